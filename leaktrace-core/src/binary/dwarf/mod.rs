//! Debug information, where a file has it: functions, lines and inlined calls of Go and of C, and structs.
//!
//! leaktrace does not need it for Go code; the function table says the same. It is the only source for the C
//! frames of a cgo program, the best one for struct layouts, and an independent witness for the tests.
//!
//! Built on gimli. Go compresses these sections; they are decompressed on loading, up to a bound.

mod lines;
mod structs;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::io::Read as _;

use flate2::read::ZlibDecoder;
use gimli::{AttributeValue, DebuggingInformationEntry, EndianSlice, LittleEndian, SectionId, UnitHeader};
use thiserror::Error;

pub use self::lines::{DwarfFrame, DwarfLines};
pub use self::structs::{StructField, StructLayout};
use crate::base::bytes;
use crate::binary::elf::{Elf, Section};

/// How gimli reads here.
type Slice<'a> = EndianSlice<'a, LittleEndian>;
type Unit<'a> = gimli::Unit<Slice<'a>>;
type Entry<'a> = DebuggingInformationEntry<Slice<'a>>;

/// The most bytes that one section may have once decompressed.
const MAX_SECTION: u64 = 1 << 30;
/// The size of an `Elf64_Chdr`: type, pad, size, alignment.
const COMPRESSION_HEADER_SIZE: usize = 24;
const COMPRESSION_ZLIB: u32 = 1;
/// How many references are followed from an entry to the one that has its name.
const MAX_REFERENCES: usize = 8;

/// Why debug information cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DwarfError {
    /// The file has none.
    #[error("the file has no debug information")]
    None,
    /// A section is compressed in a way that is not supported.
    #[error("section {section} has the unsupported compression type {kind}")]
    UnknownCompression {
        /// Which.
        section: &'static str,
        /// The type in its compression header.
        kind: u32,
    },
    /// A section does not decompress to what its header says.
    #[error("section {section} does not decompress to {size} bytes as its header says")]
    Damaged {
        /// Which.
        section: &'static str,
        /// The size in its compression header.
        size: u64,
    },
    /// The debug information contradicts itself.
    #[error("malformed debug information: {0}")]
    Malformed(#[from] gimli::Error),
}

/// A file's debug information. Owns what had to be decompressed.
#[derive(Debug)]
pub struct DebugInfo<'d> {
    sections: gimli::DwarfSections<Cow<'d, [u8]>>,
}

impl<'d> DebugInfo<'d> {
    /// Loads what `elf` has, decompressed.
    pub fn load(elf: &Elf<'d>) -> Result<Self, DwarfError> {
        if elf.section(SectionId::DebugInfo.name()).is_none_or(|section| section.data.is_empty()) {
            return Err(DwarfError::None);
        }
        Ok(Self { sections: gimli::DwarfSections::load(|id| load(elf, id))? })
    }

    /// The same as gimli takes it.
    fn dwarf(&self) -> gimli::Dwarf<Slice<'_>> {
        self.sections.borrow(|section| EndianSlice::new(section, LittleEndian))
    }
}

/// The section `id`, decompressed; empty if there is none or nothing here has a use for it.
fn load<'d>(elf: &Elf<'d>, id: SectionId) -> Result<Cow<'d, [u8]>, DwarfError> {
    let is_used = matches!(
        id,
        SectionId::DebugAbbrev
            | SectionId::DebugAddr
            | SectionId::DebugInfo
            | SectionId::DebugLine
            | SectionId::DebugLineStr
            | SectionId::DebugRanges
            | SectionId::DebugRngLists
            | SectionId::DebugStr
            | SectionId::DebugStrOffsets
    );
    match elf.section(id.name()).filter(|_| is_used) {
        Some(section) if section.compressed => decompress(&section, id.name()).map(Cow::Owned),
        Some(section) => Ok(Cow::Borrowed(section.data)),
        None => Ok(Cow::Borrowed(&[])),
    }
}

fn decompress(section: &Section<'_>, name: &'static str) -> Result<Vec<u8>, DwarfError> {
    let kind = bytes::u32_at(section.data, 0).unwrap_or(0);
    let size = bytes::u64_at(section.data, 8).unwrap_or(0);
    if kind != COMPRESSION_ZLIB {
        return Err(DwarfError::UnknownCompression { section: name, kind });
    }
    let damaged = DwarfError::Damaged { section: name, size };
    let stream = section.data.get(COMPRESSION_HEADER_SIZE..).filter(|_| size <= MAX_SECTION);
    // The size is the file's claim: memory is taken as bytes come, and no more of them than claimed.
    let mut out = Vec::new();
    let read = ZlibDecoder::new(stream.ok_or(damaged.clone())?).take(size).read_to_end(&mut out);
    match read {
        Ok(len) if len as u64 == size => Ok(out),
        Ok(_) | Err(_) => Err(damaged),
    }
}

/// All units of a file, so that references between them can be followed.
struct Units<'a> {
    dwarf: gimli::Dwarf<Slice<'a>>,
    headers: Vec<UnitHeader<Slice<'a>>>,
}

impl<'a> Units<'a> {
    fn new(info: &'a DebugInfo<'_>) -> Result<Self, DwarfError> {
        let dwarf = info.dwarf();
        let mut headers = Vec::new();
        let mut units = dwarf.units();
        while let Some(header) = units.next()? {
            headers.push(header);
        }
        Ok(Self { dwarf, headers })
    }

    /// A string attribute as text.
    fn text(&self, unit: &Unit<'a>, value: AttributeValue<Slice<'a>>) -> Option<&'a str> {
        std::str::from_utf8(self.dwarf.attr_string(unit, value).ok()?.slice()).ok()
    }

    /// The entry's own name.
    fn own_name(&self, unit: &Unit<'a>, entry: &Entry<'a>) -> Option<&'a str> {
        self.text(unit, entry.attr_value(gimli::DW_AT_name)?)
    }

    /// The name of an entry, or of the one that it is an instance of.
    fn name(&self, unit: &Unit<'a>, entry: &Entry<'a>) -> Option<&'a str> {
        if let Some(name) = self.own_name(unit, entry) {
            return Some(name);
        }
        let mut reference = origin(entry)?;
        let mut other: Option<Unit<'a>> = None;
        for _ in 0..MAX_REFERENCES {
            let (found, offset) = self.resolve(other.as_ref().unwrap_or(unit), reference)?;
            if found.is_some() {
                other = found;
            }
            let unit = other.as_ref().unwrap_or(unit);
            let entry = unit.entry(offset).ok()?;
            if let Some(name) = self.own_name(unit, &entry) {
                return Some(name);
            }
            reference = origin(&entry)?;
        }
        None
    }

    /// The unit that a reference leads to, if it is another one, and the offset in it.
    fn resolve(
        &self,
        unit: &Unit<'a>,
        reference: AttributeValue<Slice<'a>>,
    ) -> Option<(Option<Unit<'a>>, gimli::UnitOffset)> {
        match reference {
            AttributeValue::UnitRef(offset) => Some((None, offset)),
            AttributeValue::DebugInfoRef(offset) => {
                if let Some(offset) = offset.to_unit_offset(&unit.header) {
                    return Some((None, offset));
                }
                let (other, offset) = self.unit_of(offset)?;
                Some((Some(other), offset))
            }
            _ => None,
        }
    }

    /// The unit that holds the entry at `offset` of the section.
    fn unit_of(&self, offset: gimli::DebugInfoOffset) -> Option<(Unit<'a>, gimli::UnitOffset)> {
        let start = |header: &UnitHeader<_>| header.debug_info_offset().map_or(0, |offset| offset.0);
        let after = self.headers.partition_point(|header| start(header) <= offset.0);
        let header = *self.headers.get(after.checked_sub(1)?)?;
        let inside = offset.to_unit_offset(&header)?;
        Some((self.dwarf.unit(header).ok()?, inside))
    }
}

/// What an entry is an instance of.
fn origin<'a>(entry: &Entry<'a>) -> Option<AttributeValue<Slice<'a>>> {
    entry.attr_value(gimli::DW_AT_abstract_origin).or_else(|| entry.attr_value(gimli::DW_AT_specification))
}
