//! Where a file keeps its function table.

use super::{HEADER_SIZE, MAGIC_1_18, MAGIC_1_20, Pclntab, PclntabError, check_shape};
use crate::base::num::Svma;
use crate::binary::elf::{Elf, Segment};

/// The section's name, and its name where relocations may write to it (internally linked PIE up to Go 1.25).
const SECTIONS: [&str; 2] = [".gopclntab", ".data.rel.ro.gopclntab"];
/// How many places that look like a header are looked at closely.
const MAX_CANDIDATES: usize = 64;

impl<'d> Pclntab<'d> {
    /// Finds the table in a file, by its section or else by its looks, and says where it is.
    ///
    /// Externally linked PIE and shared objects have no section for it up to Go 1.25, and a file may have no
    /// sections at all.
    pub fn find_in(elf: &Elf<'d>) -> Result<(Svma, Self), PclntabError> {
        let section = SECTIONS.iter().find_map(|name| elf.section(name));
        let by_section = section.map(|section| (section.addr, Self::parse(section.data)));
        match by_section {
            Some((at, Ok(table))) if !table.is_empty() => Ok((at, table)),
            // The segments may hold what the section header has wrong; if not, the section's error says more.
            Some((_, Err(error))) => scan(elf).ok_or(error),
            Some((_, Ok(_))) | None => scan(elf).ok_or(PclntabError::NotFound),
        }
    }

    /// Whether the first functions ascend and have records inside the table.
    fn is_plausible(&self) -> bool {
        let ascends = |index| self.entry(index) < self.entry(index + 1);
        !self.is_empty()
            && (0..self.len().min(16)).all(|index| ascends(index) && self.function(index).is_some())
    }
}

/// Looks for a header in everything that is loaded.
fn scan<'d>(elf: &Elf<'d>) -> Option<(Svma, Pclntab<'d>)> {
    let headers = elf.segments().iter().flat_map(|segment| headers(elf, segment));
    headers
        .take(MAX_CANDIDATES)
        .filter(|(_, data)| Pclntab::parse_header(data).is_ok_and(|table| table.is_plausible()))
        .find_map(|(at, data)| Pclntab::parse(data).ok().map(|table| (at, table)))
}

/// The aligned places of a segment whose first eight bytes are those of a header.
fn headers<'d>(elf: &Elf<'d>, segment: &Segment) -> impl Iterator<Item = (Svma, &'d [u8])> + use<'d> {
    let start = segment.svma.plus(segment.svma.0.wrapping_neg() % 8);
    let data = elf.bytes_from(start).unwrap_or_default();
    let places = data.chunks_exact(8).enumerate().filter(|(_, word)| looks_like_header(word));
    places.filter_map(move |(index, _)| {
        let rest = data.get(index * 8..).filter(|rest| rest.len() >= HEADER_SIZE)?;
        Some((start.plus(index as u64 * 8), rest))
    })
}

fn looks_like_header(word: &[u8]) -> bool {
    let magic = word.first_chunk().copied().map(u32::from_le_bytes);
    matches!(magic, Some(MAGIC_1_18 | MAGIC_1_20)) && check_shape(word).is_ok()
}
