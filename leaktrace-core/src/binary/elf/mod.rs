//! What we need of an ELF file, bounded against hostile input.
//!
//! Nothing here copies the file: an [`Elf`] borrows the (usually mapped) bytes. Section headers are a help
//! and never needed: everything leaktrace must find in a binary can be found through its load segments.
//!
//! Not here: relocated memory (see [`FileMemory`]) and DWARF (see [`crate::binary::dwarf`]).

pub mod core_file;
mod memory;
mod notes;
mod symbols;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;

use object::LittleEndian as Le;
use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader as _, ProgramHeader as _, SectionHeader as _, SectionTable};
use thiserror::Error;

pub use self::memory::FileMemory;
use crate::base::bytes;
use crate::base::num::{FileOffset, Svma};

/// The most load segments a file may have. Linkers write fewer than ten.
const MAX_SEGMENTS: usize = 256;
/// The most entries of a dynamic section that are looked at.
const MAX_DYNAMIC: usize = 1024;
/// `DT_TEXTREL`, and `DT_FLAGS` with its bit `DF_TEXTREL`.
const TEXT_RELOCATIONS: u64 = 22;
const FLAGS: u64 = 30;
const RELOCATES_TEXT: u64 = 4;

/// Why a file is not an ELF file that leaktrace can look into.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ElfError {
    /// It does not begin with the ELF magic.
    #[error("not an ELF file")]
    NotElf,
    /// It is not of the 64-bit class.
    #[error("not a 64-bit ELF file: class {class}")]
    Not64Bit {
        /// The class byte.
        class: u8,
    },
    /// It is not little-endian.
    #[error("not a little-endian ELF file: data encoding {encoding}")]
    NotLittleEndian {
        /// The data encoding byte.
        encoding: u8,
    },
    /// It is for a machine other than x86-64 and arm64.
    #[error("built for machine {machine}; only x86-64 (62) and arm64 (183) are supported")]
    WrongMachine {
        /// The machine number.
        machine: u16,
    },
    /// It is neither an executable nor a shared object.
    #[error("an ELF file of type {kind}, neither an executable (2) nor a shared object (3)")]
    WrongType {
        /// The type number.
        kind: u16,
    },
    /// It ends within its headers.
    #[error("the file is truncated: its headers do not fit into its {len} bytes")]
    Truncated {
        /// The file's length.
        len: usize,
    },
    /// It has no segment to load.
    #[error("the file has no loadable segment")]
    NoSegments,
    /// It has more segments than any linker writes.
    #[error("{count} segments exceed the limit of {MAX_SEGMENTS}")]
    TooManySegments {
        /// How many there are.
        count: usize,
    },
}

/// A processor architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// Arm of 64 bits.
    Arm64,
}

impl Arch {
    /// How long Go takes a cache line to be, in bytes (`CacheLinePadSize`, `src/internal/cpu`).
    pub(crate) const fn cache_line(self) -> u64 {
        match self {
            Self::Amd64 => 64,
            Self::Arm64 => 128,
        }
    }

    /// The architecture's name as Go writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A part of the file that is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its first address.
    pub svma: Svma,
    /// Where its bytes begin in the file.
    pub file_offset: FileOffset,
    /// How many of its bytes are in the file. Bounded by the file's length.
    pub file_size: u64,
    /// How many bytes it has in memory; those beyond `file_size` begin as zeroes.
    pub mem_size: u64,
    /// Whether its bytes can be executed.
    pub executable: bool,
    /// Whether its bytes can be written to.
    pub writable: bool,
}

impl Segment {
    /// How far `at` lies into this segment's part of the file.
    fn offset_in_file_part(&self, at: Svma) -> Option<u64> {
        at.offset_from(self.svma).filter(|&offset| offset < self.file_size)
    }
}

/// A section of the file.
#[derive(Clone, Copy, Debug)]
pub struct Section<'d> {
    /// Its address, 0 if it is not loaded.
    pub addr: Svma,
    /// Where its bytes begin in the file.
    pub offset: FileOffset,
    /// Its bytes as they are in the file; none for a section of zeroes.
    pub data: &'d [u8],
    /// Whether `data` begins with a compression header.
    pub compressed: bool,
}

/// An ELF file.
#[derive(Clone)]
pub struct Elf<'d> {
    data: &'d [u8],
    arch: Arch,
    entry: Svma,
    segments: Vec<Segment>,
    sections: SectionTable<'d, FileHeader64<Le>>,
}

impl fmt::Debug for Elf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Elf")
            .field("len", &self.data.len())
            .field("arch", &self.arch)
            .field("segments", &self.segments)
            .finish_non_exhaustive()
    }
}

impl<'d> Elf<'d> {
    /// Reads the headers of the file `data`.
    pub fn parse(data: &'d [u8]) -> Result<Self, ElfError> {
        check_ident(data)?;
        let truncated = |_| ElfError::Truncated { len: data.len() };
        let header = FileHeader64::<Le>::parse(data).map_err(truncated)?;
        let arch = arch_of(header)?;
        let kind = header.e_type(Le);
        if kind != elf::ET_EXEC && kind != elf::ET_DYN {
            return Err(ElfError::WrongType { kind: kind.0 });
        }
        let entry = Svma(header.e_entry(Le));
        let segments = load_segments(header, data)?;
        // A stripper may leave section headers that are cut off or wrong: the same as none.
        let sections = header.sections(Le, data).unwrap_or_default();
        Ok(Self { data, arch, entry, segments, sections })
    }

    /// The whole file.
    pub const fn data(&self) -> &'d [u8] {
        self.data
    }

    /// What it was built for.
    pub const fn arch(&self) -> Arch {
        self.arch
    }

    /// Where it begins to run.
    pub const fn entry(&self) -> Svma {
        self.entry
    }

    /// The segments to load, in the order of the file.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The first section called `name`.
    pub fn section(&self, name: &str) -> Option<Section<'d>> {
        let (_, header) = self.sections.section_by_name(Le, name.as_bytes())?;
        Some(Section {
            addr: Svma(header.sh_addr(Le)),
            offset: FileOffset(header.sh_offset(Le)),
            data: header.data(Le, self.data).ok()?,
            compressed: header.sh_flags(Le).contains(elf::SHF_COMPRESSED),
        })
    }

    /// Whether the file still has section headers.
    pub fn has_sections(&self) -> bool {
        !self.sections.is_empty()
    }

    /// The bytes that the file has from `at` to the end of the segment.
    pub fn bytes_from(&self, at: Svma) -> Option<&'d [u8]> {
        let (segment, offset) = self.locate(at)?;
        let start = segment.file_offset.0.checked_add(offset)?;
        bytes::range(self.data, start, segment.file_size - offset)
    }

    /// Where in the file the byte at `at` is.
    pub fn file_offset(&self, at: Svma) -> Option<FileOffset> {
        let (segment, offset) = self.locate(at)?;
        Some(segment.file_offset.plus(offset))
    }

    /// The segment whose file part holds `at`, and how far `at` lies into it.
    fn locate(&self, at: Svma) -> Option<(&Segment, u64)> {
        self.segments
            .iter()
            .find_map(|segment| segment.offset_in_file_part(at).map(|offset| (segment, offset)))
    }

    /// The GNU build id in hexadecimal digits, else the Go build id as it is.
    pub fn build_id(&self) -> Option<String> {
        notes::build_id(self)
    }

    /// Whether loading it changes what it cannot write to itself.
    pub(crate) fn relocates_text(&self) -> bool {
        let flags = self.dynamic(FLAGS).unwrap_or_default();
        self.dynamic(TEXT_RELOCATIONS).is_some() || flags & RELOCATES_TEXT != 0
    }

    /// The value that the dynamic section has for `tag`.
    fn dynamic(&self, tag: u64) -> Option<u64> {
        let entries = self.program_headers(elf::PT_DYNAMIC).next()?.chunks_exact(16).take(MAX_DYNAMIC);
        entries
            .map(|entry| (bytes::u64_at(entry, 0), bytes::u64_at(entry, 8)))
            .find_map(|(found, value)| value.filter(|_| found == Some(tag)))
    }

    /// The program headers of one type, as file ranges.
    fn program_headers(&self, wanted: elf::ProgramType) -> impl Iterator<Item = &'d [u8]> {
        let data = self.data;
        let headers = FileHeader64::<Le>::parse(data).and_then(|header| header.program_headers(Le, data));
        headers
            .unwrap_or_default()
            .iter()
            .take(MAX_SEGMENTS)
            .filter(move |header| header.p_type(Le) == wanted)
            .filter_map(move |header| bytes::range(data, header.p_offset(Le), header.p_filesz(Le)))
    }
}

/// Tells apart the ways not to be a 64-bit little-endian ELF file.
fn check_ident(data: &[u8]) -> Result<(), ElfError> {
    if !data.starts_with(&elf::ELFMAG) {
        return Err(ElfError::NotElf);
    }
    let truncated = ElfError::Truncated { len: data.len() };
    let class = bytes::u8_at(data, 4).ok_or(truncated.clone())?;
    let encoding = bytes::u8_at(data, 5).ok_or(truncated)?;
    if class != 2 {
        return Err(ElfError::Not64Bit { class });
    }
    if encoding != 1 {
        return Err(ElfError::NotLittleEndian { encoding });
    }
    Ok(())
}

/// The machine that a file is for, if it is one of ours.
fn arch_of(header: &FileHeader64<Le>) -> Result<Arch, ElfError> {
    match header.e_machine(Le) {
        elf::EM_X86_64 => Ok(Arch::Amd64),
        elf::EM_AARCH64 => Ok(Arch::Arm64),
        other => Err(ElfError::WrongMachine { machine: other.0 }),
    }
}

/// The `PT_LOAD` segments, each cut to what the file really has.
fn load_segments(header: &FileHeader64<Le>, data: &[u8]) -> Result<Vec<Segment>, ElfError> {
    let headers = header.program_headers(Le, data).map_err(|_| ElfError::Truncated { len: data.len() })?;
    if headers.len() > MAX_SEGMENTS {
        return Err(ElfError::TooManySegments { count: headers.len() });
    }
    let len = data.len() as u64;
    let segments: Vec<_> = headers
        .iter()
        .filter(|header| header.p_type(Le) == elf::PT_LOAD)
        .map(|header| {
            let offset = header.p_offset(Le);
            let flags = header.p_flags(Le);
            Segment {
                svma: Svma(header.p_vaddr(Le)),
                file_offset: FileOffset(offset),
                file_size: header.p_filesz(Le).min(len.saturating_sub(offset)),
                mem_size: header.p_memsz(Le),
                executable: flags.contains(elf::PF_X),
                writable: flags.contains(elf::PF_W),
            }
        })
        .collect();
    if segments.is_empty() { Err(ElfError::NoSegments) } else { Ok(segments) }
}
