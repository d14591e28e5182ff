//! The way in for fuzzers.

use super::decode::read_section;
use super::{Limits, Section, decode_within, encode};
use crate::goroutines::Dump;

/// How large a fuzzer's dump may be.
const LIMITS: Limits = Limits { bytes: 1 << 20, entries: 1 << 14 };

/// Does with `data` what users do with a file: reads it and, if it can be read, stores it and reads it again. What was
/// read, if it could be.
///
/// Data that begins with an even byte is a file. As chance does not get the checksums right, data that begins with
/// an odd byte is the unpacked sections, each with two bytes of length before it.
///
/// # Panics
///
/// If a dump that was read is another one after it was written and read again.
pub fn fuzz(data: &[u8]) -> Option<Dump> {
    let (mode, data) = data.split_first()?;
    let dump = if mode % 2 == 0 { decode_within(data, LIMITS).ok() } else { from_sections(data) };
    let dump = dump?;
    let mut file = Vec::new();
    let written = encode(&dump, &mut file).is_ok();
    let again = decode_within(&file, Limits::default());
    assert!(written && again.is_ok_and(|again| again == dump), "a dump changed when it was stored");
    Some(dump)
}

fn from_sections(mut data: &[u8]) -> Option<Dump> {
    let mut dump = Dump::default();
    for section in Section::ALL {
        let (len, rest) = data.split_first_chunk().unwrap_or((&[0, 0], &[]));
        let (raw, rest) = rest.split_at(usize::from(u16::from_le_bytes(*len)).min(rest.len()));
        read_section(section, raw, LIMITS, &mut dump).ok()?;
        data = rest;
    }
    Some(dump)
}
