//! Memory in which some ranges never change: those are read once, in pieces that are worth a system call, or not at all
//! where a file has them.

use std::cell::RefCell;
use std::ops::Range;

use super::{Memory, Pieces, ReadError, Span};
use crate::base::hash::KeyedMap;
use crate::base::num::Avma;

/// How much is read at once, and from where on: a multiple of this.
const PIECE: u64 = 16 << 10;
/// How many pieces are kept before they are all given up: 8 MiB.
const MAX_PIECES: usize = 512;

/// The bytes of a piece as far as it lies in its range; `None` if they cannot be read together.
type Piece = Option<Box<[u8]>>;

/// Memory that is read through to, but for ranges that never change: constants, type descriptors, names.
///
/// Descriptors are small, and one leads to the next: read one by one, thousands of system calls go by before the
/// runtime's structs are known. What may change must not be in the ranges. It is for one look at a process and is to
/// be dropped with it.
pub struct Unchanging<'m> {
    memory: &'m dyn Memory,
    known: Pieces<'m>,
    ranges: Vec<Range<Avma>>,
    pieces: RefCell<KeyedMap<(usize, u64), Piece>>,
}

impl<'m> Unchanging<'m> {
    /// The memory `memory`, nothing of which changes in `ranges`.
    pub fn new(memory: &'m dyn Memory, ranges: impl IntoIterator<Item = Range<Avma>>) -> Self {
        let ranges = ranges.into_iter().collect();
        Self { memory, known: Pieces::new(), ranges, pieces: RefCell::default() }
    }

    /// The same, of which `bytes` at `at` are known already.
    #[must_use]
    pub fn with(mut self, at: Avma, bytes: &'m [u8]) -> Self {
        self.known.map(at, bytes);
        self
    }

    /// Fills `buf` from the pieces of the range that holds all of it; `None` where there is no such range, or
    /// something near it cannot be read.
    fn copy(&self, at: Avma, buf: &mut [u8]) -> Option<()> {
        let end = at.0.checked_add(buf.len() as u64)?;
        let number = self.ranges.iter().position(|range| range.start <= at && end <= range.end.0)?;
        let (mut at, mut rest) = (at.0, buf);
        while !rest.is_empty() {
            let copied = self.copy_from_piece(number, at, rest)?;
            rest = rest.get_mut(copied..)?;
            at += copied as u64;
        }
        Some(())
    }

    /// Fills the beginning of `buf` with what the piece around `at` has from there on, and says how much that is.
    fn copy_from_piece(&self, number: usize, at: u64, buf: &mut [u8]) -> Option<usize> {
        let start = at - at % PIECE;
        let mut pieces = self.pieces.borrow_mut();
        if pieces.len() >= MAX_PIECES && !pieces.contains_key(&(number, start)) {
            pieces.clear();
        }
        let range = self.ranges.get(number)?;
        let piece = pieces.entry((number, start)).or_insert_with(|| self.piece(range, start)).as_ref()?;
        let offset = usize::try_from(at - start.max(range.start.0)).ok()?;
        let found = piece.get(offset..)?;
        let len = found.len().min(buf.len());
        buf.get_mut(..len)?.copy_from_slice(found.get(..len)?);
        Some(len)
    }

    /// Reads the part of `range` that lies in the piece that begins at `start`.
    fn piece(&self, range: &Range<Avma>, start: u64) -> Piece {
        let end = start.saturating_add(PIECE).min(range.end.0);
        let start = start.max(range.start.0);
        let mut bytes = vec![0; usize::try_from(end.checked_sub(start)?).ok()?];
        self.memory.read(Avma(start), &mut bytes).ok()?;
        Some(bytes.into_boxed_slice())
    }
}

impl Memory for Unchanging<'_> {
    /// What is longer than a piece needs no help, and what cannot be had by pieces is tried as it is.
    fn read(&self, at: Avma, buf: &mut [u8]) -> Result<(), ReadError> {
        let is_known = self.known.read(at, buf).is_ok();
        if is_known || ((1..=PIECE).contains(&(buf.len() as u64)) && self.copy(at, buf).is_some()) {
            return Ok(());
        }
        self.memory.read(at, buf)
    }

    /// Many at once are worth their system call.
    fn read_spans(&self, spans: &[Span], out: &mut [u8], readable: &mut Vec<bool>) -> Result<(), ReadError> {
        self.memory.read_spans(spans, out, readable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Memory that counts its reads and has another value in every byte each time.
    struct Live {
        mapped: Range<u64>,
        reads: RefCell<Vec<(u64, usize)>>,
    }

    impl Live {
        fn new(mapped: Range<u64>) -> Self {
            Self { mapped, reads: RefCell::default() }
        }

        fn taken(&self) -> Vec<(u64, usize)> {
            self.reads.take()
        }
    }

    impl Memory for Live {
        fn read(&self, at: Avma, buf: &mut [u8]) -> Result<(), ReadError> {
            self.reads.borrow_mut().push((at.0, buf.len()));
            if at.0 < self.mapped.start || self.mapped.end < at.0 + buf.len() as u64 {
                return Err(ReadError::Unmapped { at, len: buf.len() });
            }
            buf.fill(u8::try_from(self.reads.borrow().len()).unwrap());
            Ok(())
        }
    }

    fn range(range: Range<u64>) -> Range<Avma> {
        Avma(range.start)..Avma(range.end)
    }

    #[test]
    fn what_does_not_change_is_read_once_and_what_may_is_read_each_time() {
        let live = Live::new(0..0x10_0000);
        let memory = Unchanging::new(&live, [range(0x1_0100..0x1_8000)]);
        assert_eq!([memory.u8(Avma(0x1_0100)), memory.u8(Avma(0x1_3fff))], [Ok(1), Ok(1)]);
        assert_eq!(live.taken(), [(0x1_0100, 0x3f00)], "as much of the piece as is in the range");
        // The last byte before, the first one after, and both edges.
        for at in [0x1_00ff, 0x1_8000, 0x1_00fc, 0x1_7ffc] {
            assert_ne!(memory.u64(Avma(at)), memory.u64(Avma(at)), "{at:#x}");
            assert_eq!(live.taken(), [(at, 8), (at, 8)]);
        }
    }

    #[test]
    fn a_read_over_the_edge_of_a_piece_has_the_bytes_of_both() {
        let bytes: Vec<u8> = (0..0x9000_u32).map(|index| (index % 251) as u8).collect();
        let pieces = Pieces::new().with(Avma(0x1000), bytes.clone());
        let memory = Unchanging::new(&pieces, [range(0x1000..0xa000)]);
        for (at, len) in [(0x3ffc, 8), (0x3ffc, 0x4008), (0x1000, 0x4000), (0x9ff8, 8)] {
            let mut buf = vec![0; len];
            memory.read(Avma(at), &mut buf).unwrap();
            let start = usize::try_from(at - 0x1000).unwrap();
            assert_eq!(buf, bytes[start..start + len], "{at:#x}");
        }
    }

    #[test]
    fn a_hole_in_a_piece_hides_nothing_of_it() {
        let live = Live::new(0x4000..0x5000);
        let memory = Unchanging::new(&live, [range(0x4000..0x8000)]);
        assert_eq!(memory.u8(Avma(0x4ff8)), Ok(2));
        assert_eq!(memory.u64(Avma(0x4ff8)).map(|word| word & 0xff), Ok(3));
        assert_eq!(live.taken(), [(0x4000, 0x4000), (0x4ff8, 1), (0x4ff8, 8)], "the piece is tried once");
        let at = Avma(0x4ffc);
        assert_eq!(memory.u64(at), Err(ReadError::Unmapped { at, len: 8 }));
    }

    #[test]
    fn what_is_known_is_not_read() {
        let live = Live::new(0..0x1_0000);
        let memory = Unchanging::new(&live, [range(0x1000..0x1008)]).with(Avma(0x2000), &[7; 8]);
        assert_eq!(memory.u64(Avma(0x2000)), Ok(0x0707_0707_0707_0707));
        assert_eq!(live.taken(), []);
        // The last byte is not known, so that all are what the memory has.
        assert_eq!(memory.u64(Avma(0x2001)), Ok(0x0101_0101_0101_0101));
    }

    #[test]
    fn nothing_can_be_read_only_where_something_is() {
        let pieces = Pieces::new();
        let memory = Unchanging::new(&pieces, [range(0..0xa001)]);
        assert_eq!(memory.read(Avma(0xa001), &mut []), pieces.read(Avma(0xa001), &mut []));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let live = Live::new(0..u64::MAX);
        let memory = Unchanging::new(&live, [range(0..u64::MAX)]);
        for index in 0..3 * MAX_PIECES as u64 {
            live.taken();
            memory.u8(Avma(index * PIECE)).unwrap();
            assert!(memory.pieces.borrow().len() <= MAX_PIECES);
        }
        live.taken();
        memory.read(Avma(0), &mut vec![0; 1 << 20]).unwrap();
        assert_eq!(live.taken(), [(0, 1 << 20)], "what is long is read as it is");
    }

    proptest! {
        #[test]
        fn the_same_is_read_with_and_without(
            reads in proptest::collection::vec((0..0x1_4000_u64, 0..0x5000_usize), 0..20),
            ranges in proptest::collection::vec((0..0x1_4000_u64, 0..0x1_4000_u64), 0..3),
        ) {
            let bytes: Vec<u8> = (0..0x8000_u32).map(|index| (index % 251) as u8).collect();
            let pieces = Pieces::new().with(Avma(0x2000), bytes.clone()).with(Avma(0xb000), bytes);
            let memory = Unchanging::new(&pieces, ranges.into_iter().map(|(start, end)| range(start..end)));
            for (at, len) in reads {
                let (mut with, mut without) = (vec![0; len], vec![0; len]);
                let expected = pieces.read(Avma(at), &mut without);
                prop_assert_eq!(memory.read(Avma(at), &mut with), expected.clone());
                prop_assert!(expected.is_err() || with == without);
            }
        }
    }
}
