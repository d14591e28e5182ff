//! Reads snapshot files, whoever wrote them.

use std::io::Read;

use flate2::read::ZlibDecoder;

use super::encode::checksum;
use super::rows::{read_rows, read_stacks, read_strings};
use super::values::{number_values, read_values};
use super::wire::PartReader;
use super::{Header, Limits, MAGIC, Section, SnapshotError, VERSION};
use crate::goroutines::Dump;

/// Deflate cannot make more of a byte than this.
const MAX_RATIO: u64 = 1_032;

/// Reads a snapshot file.
pub fn decode(file: &[u8]) -> Result<Dump, SnapshotError> {
    decode_within(file, Limits::default())
}

/// Reads a snapshot file that is no larger than `limits` when it is unpacked.
pub fn decode_within(file: &[u8], limits: Limits) -> Result<Dump, SnapshotError> {
    let mut input = Input { rest: file };
    let (version, header) = read_header(&mut input, file)?;
    let (mut dump, sections) = (dump_of(header), Section::of_version(version));
    let (mut seen, mut left) = (0, limits.bytes);
    loop {
        let stored = next_section(&mut input)?;
        let Some(section) = Section::from_tag(stored.tag) else { continue };
        // Sections refer back, and one that came twice would pull the ground from under what was read.
        if sections.get(seen) != Some(&section) {
            return Err(SnapshotError::Corrupt { part: section.name(), what: "a wrong order of sections" });
        }
        seen += 1;
        let raw = inflate(section, &stored, &mut left)?;
        read_section(section, &raw, limits, &mut dump)?;
        if section == Section::End {
            return Ok(dump);
        }
    }
}

/// What of the file has not been read.
struct Input<'d> {
    rest: &'d [u8],
}

impl<'d> Input<'d> {
    fn take(&mut self, len: usize, part: &'static str) -> Result<&'d [u8], SnapshotError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(SnapshotError::Truncated { part })?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, part: &'static str) -> Result<[u8; N], SnapshotError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(SnapshotError::Truncated { part })?;
        self.rest = rest;
        Ok(*taken)
    }

    fn u64(&mut self, part: &'static str) -> Result<u64, SnapshotError> {
        self.array(part).map(u64::from_le_bytes)
    }

    fn u32(&mut self, part: &'static str) -> Result<u32, SnapshotError> {
        self.array(part).map(u32::from_le_bytes)
    }
}

/// The version and the header.
fn read_header(input: &mut Input<'_>, file: &[u8]) -> Result<(u16, Header), SnapshotError> {
    const PART: &str = "the header";
    check_magic(file)?;
    input.take(MAGIC.len(), PART)?;
    let version = input.array(PART).map(u16::from_le_bytes)?;
    if version > VERSION {
        return Err(SnapshotError::Future { version });
    }
    input.take(2, PART)?;
    let len = input.u32(PART)?;
    let json = input.take(len as usize, PART)?;
    let covered = file.len() - input.rest.len();
    if input.u32(PART)? != checksum(&file[..covered]) {
        return Err(SnapshotError::Checksum { part: PART });
    }
    let header = serde_json::from_slice(json);
    let corrupt = SnapshotError::Corrupt { part: PART, what: "unexpected JSON" };
    header.map(|header| (version, header)).map_err(|_| corrupt)
}

fn check_magic(file: &[u8]) -> Result<(), SnapshotError> {
    let begins = |len: usize| file.len() >= len && file[..len] == MAGIC[..len];
    if begins(MAGIC.len()) {
        Ok(())
    } else if file.len() < MAGIC.len() && !file.is_empty() && begins(file.len()) {
        Err(SnapshotError::Truncated { part: "the header" })
    } else if begins(4) {
        Err(SnapshotError::ConvertedAsText)
    } else {
        Err(SnapshotError::Foreign)
    }
}

fn dump_of(header: Header) -> Dump {
    let Header { format: _, taken_at: _, taken_at_unix_ns, goroutines: _, target, completeness, mappings } =
        header;
    Dump { taken_at: taken_at_unix_ns, target, mappings, completeness, ..Dump::default() }
}

/// A section as it is in the file.
struct Stored<'d> {
    tag: [u8; 4],
    raw_len: u64,
    bytes: &'d [u8],
}

fn next_section<'d>(input: &mut Input<'d>) -> Result<Stored<'d>, SnapshotError> {
    const PART: &str = "the sections";
    let tag = input.array(PART)?;
    let part = Section::from_tag(tag).map_or("an unknown section", Section::name);
    let stored_len = input.u64(part)?;
    let raw_len = input.u64(part)?;
    let expected = input.u32(part)?;
    let len = usize::try_from(stored_len).map_err(|_| SnapshotError::Truncated { part })?;
    let bytes = input.take(len, part)?;
    if checksum(bytes) != expected {
        return Err(SnapshotError::Checksum { part });
    }
    Ok(Stored { tag, raw_len, bytes })
}

/// Unpacks a section, of whose length `left` is still allowed.
fn inflate(section: Section, stored: &Stored<'_>, left: &mut u64) -> Result<Vec<u8>, SnapshotError> {
    let part = section.name();
    let len = stored.raw_len;
    *left = left.checked_sub(len).ok_or(SnapshotError::TooLarge { part, len, bound: *left })?;
    let corrupt = |what| SnapshotError::Corrupt { part, what };
    if len / MAX_RATIO > stored.bytes.len() as u64 {
        return Err(corrupt("an impossible length"));
    }
    let mut raw = Vec::new();
    let inflated = ZlibDecoder::new(stored.bytes).take(len.saturating_add(1)).read_to_end(&mut raw);
    match inflated {
        Ok(read) if read as u64 == len => Ok(raw),
        Ok(_) => Err(corrupt("a length other than the stated one")),
        Err(_) => Err(corrupt("invalid compressed data")),
    }
}

pub(super) fn read_section(
    section: Section,
    raw: &[u8],
    limits: Limits,
    dump: &mut Dump,
) -> Result<(), SnapshotError> {
    let mut input = PartReader::new(raw, section.name(), limits.entries);
    let tables = &mut dump.tables;
    match section {
        Section::Strings => read_strings(&mut input, tables)?,
        Section::Functions => tables.functions = read_rows(&mut input, tables)?,
        Section::Locations => tables.locations = read_rows(&mut input, tables)?,
        Section::Stacks => read_stacks(&mut input, tables)?,
        Section::Labels => tables.labels = read_rows(&mut input, tables)?,
        Section::Channels => tables.channels = read_rows(&mut input, tables)?,
        Section::Blocked => tables.blocked = read_rows(&mut input, tables)?,
        Section::Arguments => tables.arguments = read_rows(&mut input, tables)?,
        Section::Goroutines => {
            dump.goroutines = read_rows(&mut input, tables)?;
            number_values(&mut dump.goroutines, &mut tables.values);
        }
        Section::Values => read_values(&mut input, limits, dump)?,
        Section::End => {}
    }
    input.finish()
}
