//! The list of all spans, read again and again while the process makes and frees some.

use crate::base::memory::{Memory, Span as Range};
use crate::base::num::Avma;
use crate::base::structs::read_structs;
use crate::go::layout::SpanFields;
use crate::go::reach::Refusal;

use super::Heap;
use super::span::{Decoded, Span, Use};

/// How many spans are read at a time.
const BATCH: u64 = 8192;
/// How often the list is read again when the runtime has just moved it.
const ATTEMPTS: u32 = 4;

/// `mheap_.allspans`: pointers to all spans there ever were, in an array that is moved when it grows.
#[derive(Clone, Debug)]
pub(in crate::go::reach) struct SpanList {
    /// Where the slice is.
    pub(in crate::go::reach) at: Avma,
    /// Where the fields of a span are.
    pub(in crate::go::reach) fields: SpanFields,
}

impl SpanList {
    /// Brings the heap up to date: adds spans that are new or changed. Refuses when there are more than `bound`
    /// bytes with pointers, and otherwise says how many there are.
    pub(in crate::go::reach) fn refresh(
        &self,
        heap: &mut Heap,
        memory: &dyn Memory,
        bound: u64,
    ) -> Result<u64, Refusal> {
        let count = memory.u64(self.at.plus(8))?;
        let mut scannable = 0;
        for first in (0..count).step_by(usize::try_from(BATCH).unwrap_or(usize::MAX)) {
            let pointers = self.pointers(memory, first, BATCH.min(count - first))?;
            let mut nonsense = 0;
            read_structs(memory, &pointers, self.fields.size as usize, |_, words| {
                match Decoded::of(words, &self.fields) {
                    Decoded::InUse(span) => {
                        scannable += if span.used_for == Use::Scan { span.len } else { 0 };
                        heap.update(span);
                    }
                    Decoded::Free => {}
                    Decoded::Nonsense => nonsense += 1,
                }
            })?;
            // One may be in the middle of a change; a list of many is no list of spans.
            if nonsense > pointers.len() / 64 + 4 {
                return Err(Refusal::Implausible { what: "its spans are not valid" });
            }
            if scannable > bound {
                return Err(Refusal::TooLarge { bytes: scannable, bound });
            }
        }
        Ok(scannable)
    }

    /// Entries of the list.
    fn pointers(&self, memory: &dyn Memory, first: u64, count: u64) -> Result<Vec<Avma>, Refusal> {
        let len = usize::try_from(count * 8).unwrap_or(0);
        let mut bytes = vec![0; len];
        let mut base = memory.pointer(self.at)?;
        let mut readable = Vec::new();
        for _ in 0..ATTEMPTS {
            let range = Range { at: base.plus(first * 8), len };
            memory.read_spans(&[range], &mut bytes, &mut readable)?;
            let later = memory.pointer(self.at)?;
            if later == base && readable == [true] {
                let words = bytes.as_chunks::<8>().0.iter().map(|word| Avma(u64::from_le_bytes(*word)));
                return Ok(words.filter(|pointer| !pointer.is_null()).collect());
            }
            base = later;
        }
        Err(Refusal::Unreadable { bytes: count * 8 })
    }
}

impl Heap {
    /// Adds a span unless it is known.
    fn update(&mut self, span: Span) {
        let known = self.pages.get(span.start).and_then(|id| self.spans.get_mut(id as usize));
        match known {
            Some(held) if held.is(&span) => held.span.specials = span.specials,
            Some(_) | None => self.add(span),
        }
    }
}
