//! Looking at the words of what was reached, until nothing more is.

use crate::base::bytes;
use crate::base::memory::{Memory, Span as Range};
use crate::base::num::Avma;
use crate::go::reach::{Limits, Refusal};

use super::{Heap, Mask};

/// How much is read at a time, and how much of one object.
const BATCH: usize = 4 << 20;
const PIECE: u64 = 1 << 20;
/// How many ranges are read at a time, which is as many as the kernel takes.
const RANGES: usize = 1024;

/// A part of a span that is read at once.
#[derive(Clone, Copy, Debug)]
struct Piece {
    at: u64,
    len: usize,
    what: What,
}

/// Which of a piece's words are looked at.
#[derive(Clone, Copy, Debug)]
enum What {
    /// All: it is part of a large object.
    All,
    /// Those of the objects `first..end` of the batch, which are in this span.
    Objects { span: u32, first: usize, end: usize },
}

/// Reads objects in batches, and counts.
#[derive(Debug, Default)]
pub(in crate::go::reach) struct Drain {
    pieces: Vec<Piece>,
    objects: Vec<u64>,
    /// What is still to be read of large objects.
    large: Vec<std::ops::Range<u64>>,
    ranges: Vec<Range>,
    pub(super) bytes: Vec<u8>,
    readable: Vec<bool>,
    /// Bytes that were read.
    pub(in crate::go::reach) read: u64,
    /// Bytes that could not be.
    pub(in crate::go::reach) unreadable: u64,
}

impl Drain {
    /// Reaches all that can be reached from what was.
    pub(in crate::go::reach) fn run(
        &mut self,
        heap: &mut Heap,
        memory: &dyn Memory,
        limits: &Limits<'_>,
    ) -> Result<(), Refusal> {
        while !heap.queue.is_empty() || !self.large.is_empty() {
            if !(limits.go_on)() {
                return Err(Refusal::Interrupted);
            }
            self.plan(heap);
            self.read(memory)?;
            self.scan(heap);
        }
        Ok(())
    }

    /// Takes parts of large objects, and then spans from the queue, as many as are read at once.
    fn plan(&mut self, heap: &mut Heap) {
        self.pieces.clear();
        self.objects.clear();
        let mut total = 0;
        while total < BATCH && self.pieces.len() < RANGES {
            let piece = if let Some(part) = self.large.pop() {
                self.part_of(part)
            } else if let Some(id) = heap.queue.pop_front() {
                let Some(piece) = self.span_of(heap, id) else { continue };
                piece
            } else {
                return;
            };
            total += piece.len;
            self.pieces.push(piece);
        }
    }

    /// The first part of what is left of a large object.
    fn part_of(&mut self, part: std::ops::Range<u64>) -> Piece {
        let len = PIECE.min(part.end - part.start);
        if part.start + len < part.end {
            self.large.push(part.start + len..part.end);
        }
        Piece { at: part.start, len: usize::try_from(len).unwrap_or(0), what: What::All }
    }

    /// The part of a span that has all of its objects that are to be looked at.
    fn span_of(&mut self, heap: &mut Heap, id: u32) -> Option<Piece> {
        let held = heap.spans.get_mut(id as usize)?;
        held.queued = false;
        let (span, first) = (held.span, self.objects.len());
        heap.marks.take_pending(held.marks?, span.objects(), &mut self.objects);
        let pending = self.objects.get(first..)?;
        let (start, last) = (span.base(*pending.first()?), span.base(*pending.last()?));
        let end = last + span.elem;
        if end - start > PIECE {
            // Only an object that has the span for itself is as large.
            return Some(self.part_of(start..end));
        }
        let what = What::Objects { span: id, first, end: self.objects.len() };
        Some(Piece { at: start, len: usize::try_from(end - start).ok()?, what })
    }

    fn read(&mut self, memory: &dyn Memory) -> Result<(), Refusal> {
        self.ranges.clear();
        self.ranges.extend(self.pieces.iter().map(|piece| Range { at: Avma(piece.at), len: piece.len }));
        self.bytes.resize(self.ranges.iter().map(|range| range.len).sum(), 0);
        memory.read_spans(&self.ranges, &mut self.bytes, &mut self.readable)?;
        Ok(())
    }

    fn scan(&mut self, heap: &mut Heap) {
        let mut rest = &self.bytes[..];
        for (piece, &readable) in self.pieces.iter().zip(&self.readable) {
            let (bytes, tail) = rest.split_at(piece.len);
            rest = tail;
            if readable {
                self.read += piece.len as u64;
                match piece.what {
                    What::All => heap.mark_bytes(bytes),
                    What::Objects { span, first, end } => {
                        let objects = self.objects.get(first..end).unwrap_or_default();
                        scan_objects(heap, span, objects, piece.at, bytes);
                    }
                }
            } else {
                self.unreadable += piece.len as u64;
            }
        }
    }
}

/// Reaches what the words of a span's objects point to, of which `bytes` begin at `start`.
fn scan_objects(heap: &mut Heap, span: u32, objects: &[u64], start: u64, bytes: &[u8]) {
    let Some(held) = heap.spans.get(span as usize) else { return };
    let (span, masked) = (held.span, held.masked);
    for &object in objects {
        let base = span.base(object);
        let mask = if masked { heap.masks.get(&base).copied() } else { None };
        let (from, len) = match mask {
            None => (base, span.elem),
            Some(Mask::Opaque) => continue,
            Some(Mask::Only(offset)) => (base + u64::from(offset), 8),
        };
        heap.mark_bytes(bytes::range(bytes, from.wrapping_sub(start), len).unwrap_or_default());
    }
}
