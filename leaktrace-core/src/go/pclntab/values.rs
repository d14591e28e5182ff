//! Pc-value tables: for each piece of a function one number, as varint pairs.
//!
//! Source: Go `src/runtime/symtab.go` (`pcvalue`, `step`), go1.18 to go1.27.

use super::TextOffset;
use crate::base::bytes;

/// A piece of a function's code over which a value is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PcRange {
    /// Its first instruction.
    pub start: TextOffset,
    /// The first instruction after it.
    pub end: TextOffset,
    /// The value.
    pub value: i32,
}

/// The pieces of one function's pc-value table in ascending order. Ends early where the table is corrupt.
#[derive(Clone, Debug)]
pub struct PcValues<'d> {
    rest: &'d [u8],
    quantum: u8,
    at: TextOffset,
    end: TextOffset,
    value: i32,
    first: bool,
}

impl<'d> PcValues<'d> {
    /// The table that `bytes` begins with, of a function from `entry` to `end`.
    pub(super) const fn new(bytes: &'d [u8], quantum: u8, entry: TextOffset, end: TextOffset) -> Self {
        Self { rest: bytes, quantum, at: entry, end, value: -1, first: true }
    }

    /// The value at `at`.
    pub(super) fn value_at(self, at: TextOffset) -> Option<i32> {
        self.take_while(|range| range.start <= at).find(|range| at < range.end).map(|range| range.value)
    }

    fn varint(&mut self) -> Option<u32> {
        let (value, len) = bytes::uvarint(self.rest)?;
        self.rest = self.rest.get(len..)?;
        u32::try_from(value).ok()
    }
}

impl Iterator for PcValues<'_> {
    type Item = PcRange;

    fn next(&mut self) -> Option<PcRange> {
        if self.at >= self.end {
            return None;
        }
        let value_delta = self.varint()?;
        // A delta of nothing ends the table, except at its beginning.
        if value_delta == 0 && !self.first {
            return None;
        }
        self.first = false;
        self.value = self.value.wrapping_add(unzigzag(value_delta));
        let start = self.at;
        self.at = start.plus(u64::from(self.varint()?) * u64::from(self.quantum));
        // The linker never writes an empty piece; a corrupt table of them must not cost more than its function.
        (start < self.at).then_some(PcRange { start, end: self.at, value: self.value })
    }
}

/// Undoes the zig-zag encoding: 0, 1, 2, 3 are 0, -1, 1, -2.
const fn unzigzag(delta: u32) -> i32 {
    (delta >> 1).cast_signed() ^ -(delta & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(bytes: &[u8], quantum: u8) -> Vec<(u64, u64, i32)> {
        PcValues::new(bytes, quantum, TextOffset(0x100), TextOffset(0x200))
            .map(|range| (range.start.0, range.end.0, range.value))
            .collect()
    }

    #[test]
    fn deltas_are_zigzag_and_pcs_count_in_quanta() {
        // -1 + 1 = 0 for 4, + 8 for 16, - 8 to the end.
        let table = [2, 4, 16, 16, 15, 2, 0];
        assert_eq!(values(&table, 1), [(0x100, 0x104, 0), (0x104, 0x114, 8), (0x114, 0x116, 0)]);
        assert_eq!(values(&table, 4), [(0x100, 0x110, 0), (0x110, 0x150, 8), (0x150, 0x158, 0)]);
    }

    #[test]
    fn the_first_delta_may_be_nothing() {
        assert_eq!(values(&[0, 4, 2, 4, 0], 1), [(0x100, 0x104, -1), (0x104, 0x108, 0)]);
    }

    #[test]
    fn corrupt_tables_end() {
        assert_eq!(values(&[], 1), []);
        assert_eq!(values(&[2], 1), []);
        assert_eq!(values(&[2, 0, 2, 0], 1), []);
        assert_eq!(values(&[0xff; 64], 1), []);
    }

    #[test]
    fn a_value_is_that_of_the_piece_around() {
        let table = PcValues::new(&[2, 4, 16, 16, 0], 1, TextOffset(0x100), TextOffset(0x114));
        let at = |at| table.clone().value_at(TextOffset(at));
        assert_eq!([at(0xff), at(0x100), at(0x103), at(0x104)], [None, Some(0), Some(0), Some(8)]);
        assert_eq!([at(0x113), at(0x114)], [Some(8), None]);
    }
}
