//! `mheap_.allspans` by its shape: the slice of pointers to what can only be spans.
//!
//! `mheap` is reached by no type descriptor, and its layout changes with the release and the architecture. But the
//! list of all spans has a shape that nothing else has, and one of its spans must hold the first goroutine.

use crate::base::memory::Memory;
use crate::base::num::Avma;
use crate::base::structs::{Words, read_structs};
use crate::go::layout::SpanFields;
use crate::go::moduledata::{AvmaRange, Module};
use crate::go::reach::Refusal;

use super::span::{Decoded, Use};

/// The most memory of a program's variables that is searched.
const MAX_SEARCHED: u64 = 256 << 20;
/// How much of it is read at a time.
const CHUNK: u64 = 1 << 20;
/// How many spans of a list are looked at before it is believed.
const EXAMINED: u64 = 16;
/// The most spans that are believed: 8 TiB of the smallest.
const MAX_SPANS: u64 = 1 << 30;

/// Where the slice `allspans` is; that is looked for only if it is not where it was `before`.
pub(in crate::go::reach) fn all_spans(
    module: &Module<'_>,
    fields: &SpanFields,
    memory: &dyn Memory,
    before: Option<Avma>,
) -> Result<Avma, Refusal> {
    if let Some(at) = before.filter(|at| is_there(*at, fields, memory)) {
        return Ok(at);
    }
    let mut found = Vec::new();
    for range in [module.noptrbss, module.bss] {
        search(range, fields, memory, &mut found)?;
    }
    found.sort_unstable();
    found.dedup();
    match found.as_slice() {
        [one] => Ok(*one),
        others => Err(Refusal::NoHeap { candidates: others.len() }),
    }
}

fn search(
    range: AvmaRange,
    fields: &SpanFields,
    memory: &dyn Memory,
    found: &mut Vec<Avma>,
) -> Result<(), Refusal> {
    let len = range.end.offset_from(range.start).unwrap_or(0).min(MAX_SEARCHED);
    let mut from = 0;
    while from < len {
        // A slice may begin in one chunk and end in the next.
        let bytes = memory.bytes(range.start.plus(from), (CHUNK + 16).min(len - from), usize::MAX)?;
        let words: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
        for (index, slice) in words.windows(3).enumerate() {
            let &[base, count, capacity] = slice else { continue };
            if is_plausible(base, count, capacity) && are_spans(Avma(base), count, fields, memory)? {
                found.push(range.start.plus(from + index as u64 * 8));
            }
        }
        from += CHUNK;
    }
    Ok(())
}

/// Whether the slice is at `at`.
fn is_there(at: Avma, fields: &SpanFields, memory: &dyn Memory) -> bool {
    let [Ok(base), Ok(count), Ok(capacity)] = [0, 8, 16].map(|offset| memory.u64(at.plus(offset))) else {
        return false;
    };
    is_plausible(base, count, capacity) && are_spans(Avma(base), count, fields, memory).unwrap_or(false)
}

/// Whether these can be the words of the slice.
const fn is_plausible(base: u64, count: u64, capacity: u64) -> bool {
    base != 0 && base.is_multiple_of(8) && 1 <= count && count <= capacity && capacity <= MAX_SPANS
}

/// Whether pointers to spans are at `base`: the first ones, which are as old as the process.
fn are_spans(base: Avma, count: u64, fields: &SpanFields, memory: &dyn Memory) -> Result<bool, Refusal> {
    let examined = count.min(EXAMINED);
    let mut pointers = Vec::new();
    for index in 0..examined {
        match memory.pointer(base.plus(index * 8)) {
            Ok(pointer) if !pointer.is_null() && pointer.0.is_multiple_of(8) => pointers.push(pointer),
            Err(error) if error.is_final() => return Err(error.into()),
            Ok(_) | Err(_) => return Ok(false),
        }
    }
    let (mut good, mut heap) = (0, 0);
    read_structs(memory, &pointers, fields.size as usize, |_, words: Words<'_>| {
        match Decoded::of(words, fields) {
            Decoded::InUse(span) => {
                good += 1;
                heap += usize::from(span.used_for != Use::Manual);
            }
            Decoded::Free => good += 1,
            Decoded::Nonsense => {}
        }
    })?;
    // Zeroes look like free spans, so some must be in use.
    Ok(good == pointers.len() && heap > 0)
}
