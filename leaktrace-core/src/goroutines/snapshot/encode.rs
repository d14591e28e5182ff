//! Writes snapshot files.

use std::io::{self, Write};

use flate2::{Compression, Crc, write::ZlibEncoder};

use super::rows::{write_rows, write_stacks, write_strings};
use super::values::write_values;
use super::wire::Writer;
use super::{Header, MAGIC, Section, VERSION};
use crate::goroutines::Dump;

/// Writes `dump` as a snapshot file. The same dump gives the same bytes.
pub fn encode(dump: &Dump, out: &mut dyn Write) -> io::Result<()> {
    write_header(dump, out)?;
    Section::ALL.into_iter().try_for_each(|section| write_section(section, dump, out))
}

fn write_header(dump: &Dump, out: &mut dyn Write) -> io::Result<()> {
    let header = Header {
        format: "leaktrace snapshot".to_owned(),
        taken_at: dump.taken_at.to_string(),
        taken_at_unix_ns: dump.taken_at,
        goroutines: dump.goroutines.len() as u64,
        target: dump.target.clone(),
        completeness: dump.completeness.clone(),
        mappings: dump.mappings.clone(),
    };
    let json = serde_json::to_vec(&header)?;
    let len = u32::try_from(json.len()).map_err(|_| io::Error::other("the header is too long"))?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend([0, 0]);
    bytes.extend(len.to_le_bytes());
    bytes.extend(json);
    bytes.extend(checksum(&bytes).to_le_bytes());
    out.write_all(&bytes)
}

fn write_section(section: Section, dump: &Dump, out: &mut dyn Write) -> io::Result<()> {
    let raw = content(section, dump);
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(&raw)?;
    let stored = zlib.finish()?;
    out.write_all(&section.tag())?;
    out.write_all(&(stored.len() as u64).to_le_bytes())?;
    out.write_all(&(raw.len() as u64).to_le_bytes())?;
    out.write_all(&checksum(&stored).to_le_bytes())?;
    out.write_all(&stored)
}

fn content(section: Section, dump: &Dump) -> Vec<u8> {
    let (tables, mut out) = (&dump.tables, Writer::default());
    match section {
        Section::Strings => write_strings(tables, &mut out),
        Section::Functions => write_rows(&tables.functions, &mut out),
        Section::Locations => write_rows(&tables.locations, &mut out),
        Section::Stacks => write_stacks(tables, &mut out),
        Section::Labels => write_rows(&tables.labels, &mut out),
        Section::Channels => write_rows(&tables.channels, &mut out),
        Section::Blocked => write_rows(&tables.blocked, &mut out),
        Section::Arguments => write_rows(&tables.arguments, &mut out),
        Section::Goroutines => write_rows(&dump.goroutines, &mut out),
        Section::Values => write_values(dump, &mut out),
        Section::End => {}
    }
    out.into_bytes()
}

/// The CRC-32 of gzip.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}
