//! What is attached to objects: finalizers, cleanups and the like (`runtime.special`), and those that are about to
//! run.
//!
//! A finalizer will be called with an object that nothing else refers to any more, so all that the object refers to
//! can still be used.
//!
//! Source: Go `src/runtime/mheap.go`, `mfinal.go` and `mcleanup.go`; what changes there is [`Collector`].

use crate::base::hash::KeyedSet;
use crate::base::memory::{Memory, ReadError};
use crate::base::num::Avma;
use crate::base::structs::{Words, read_structs};
use crate::go::facts::{Collector, Queue, Specials};
use crate::go::layout::SpecialFields;
use crate::go::program::Program;

use super::heap::{Heap, Span};

/// The most things attached to the objects of one span, and the most blocks of a queue.
const MAX_SPECIALS: usize = 1 << 20;
const MAX_BLOCKS: usize = 1 << 16;

/// Reaches everything that is kept for the finalizers, cleanups and weak pointers of objects.
pub(super) fn mark_specials(
    heap: &mut Heap,
    memory: &dyn Memory,
    fields: &SpecialFields,
    kinds: Specials,
) -> Result<(), ReadError> {
    let mut todo: Vec<(Avma, Span)> = heap.specials().collect();
    for _ in 0..MAX_SPECIALS {
        if todo.is_empty() {
            break;
        }
        let addresses: Vec<Avma> = todo.iter().map(|(at, _)| *at).collect();
        let (mut next, mut held) = (Vec::new(), Vec::new());
        read_structs(memory, &addresses, fields.size as usize, |index, words| {
            let (at, span) = todo[index];
            let Some(special) = Special::decode(words, fields) else { return };
            next.extend((!special.next.is_null()).then_some((special.next, span)));
            if special.kind == kinds.profile {
                return;
            }
            let is_cleanup = Some(special.kind) == kinds.cleanup;
            let count = if is_cleanup { kinds.cleanup_words } else { 1 };
            held.extend((0..count).map(|word| at.plus(u64::from(fields.size + word * 8))));
            if !is_cleanup {
                heap.mark(span.start.saturating_add(special.offset));
            }
        })?;
        read_structs(memory, &held, 8, |_, words| heap.mark(words.u64(0).unwrap_or(0)))?;
        todo = next;
    }
    Ok(())
}

struct Special {
    next: Avma,
    offset: u64,
    kind: u8,
}

impl Special {
    fn decode(words: Words<'_>, fields: &SpecialFields) -> Option<Self> {
        // 16 bits, and from go1.24 on a word: what follows it says which.
        let wide = words.u64(fields.offset)?;
        let offset = if fields.offset_len() >= 8 { wide } else { wide & 0xffff };
        Some(Self { next: words.pointer(fields.next)?, offset, kind: words.u8(fields.kind)? })
    }
}

/// Reaches what the finalizers and cleanups that are about to run will be called with.
pub(super) fn mark_queues(
    heap: &mut Heap,
    memory: &dyn Memory,
    program: &Program<'_>,
    queues: &Collector,
) -> Result<(), ReadError> {
    let globals = &program.globals;
    mark_queue(heap, memory, &globals.finalizer_words, &queues.finalizers)?;
    let Some(cleanups) = &queues.cleanups else { return Ok(()) };
    let all = cleanups.all_in_lines * program.arch.cache_line();
    let heads: Vec<Avma> = globals.cleanup_words.iter().map(|at| at.plus(all)).collect();
    mark_queue(heap, memory, &heads, &cleanups.blocks)
}

/// Follows those of the words at `heads` that lead to blocks.
fn mark_queue(heap: &mut Heap, memory: &dyn Memory, heads: &[Avma], queue: &Queue) -> Result<(), ReadError> {
    let mut todo = Vec::new();
    read_structs(memory, heads, 8, |_, words| todo.extend(words.pointer(0)))?;
    let mut seen = KeyedSet::default();
    while let Some(at) = todo.pop() {
        let possible = !at.is_null() && at.0.is_multiple_of(8) && heap.span_at(at).is_none();
        if !possible || seen.len() >= MAX_BLOCKS || !seen.insert(at) {
            continue;
        }
        read_structs(memory, &[at], queue.size, |_, words| {
            if words.u32(queue.count).is_none_or(|count| count > queue.capacity) {
                return;
            }
            todo.extend(queue.links.iter().filter_map(|link| words.pointer(*link)));
            (0..u32::try_from(queue.size).unwrap_or(0))
                .step_by(8)
                .for_each(|offset| heap.mark(words.u64(offset).unwrap_or(0)));
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::memory::Pieces;
    use crate::go::facts::Release;
    use crate::go::reach::heap::Use;
    use crate::go::version::GoVersion;

    const BASE: u64 = 0x00c0_0000_0000;
    const FIELDS: SpecialFields = SpecialFields { size: 24, next: 0, offset: 8, kind: 16 };

    fn of(release: &str) -> Collector {
        Release::tested(GoVersion::parse(release).unwrap()).unwrap().collector
    }

    fn heap(specials: u64) -> Heap {
        let mut heap = Heap::default();
        heap.add(Span { start: BASE, len: 8192, elem: 64, used_for: Use::Scan, specials: Avma(specials) });
        heap
    }

    fn words(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn reached(heap: &mut Heap) -> Vec<u64> {
        let objects = (0..128).map(|index| heap.object_at(Avma(BASE + index * 64)).unwrap());
        let objects: Vec<_> = objects.collect();
        objects
            .into_iter()
            .filter(|object| heap.is_reached(*object))
            .map(|object| object.base - BASE)
            .collect()
    }

    #[test]
    fn finalizers_hold_their_objects_cleanups_do_not_and_samples_hold_nothing() {
        let memory = Pieces::new()
            .with(Avma(0x1000), words(&[0x2000, 64, 2, BASE + 640]))
            .with(Avma(0x2000), words(&[0x3000, 128, 7, BASE + 704, BASE + 768, BASE + 832]))
            .with(Avma(0x3000), words(&[0, 192, 4, BASE + 896]));
        let mut heap = heap(0x1000);
        mark_specials(&mut heap, &memory, &FIELDS, of("go1.27").specials).unwrap();
        assert_eq!(reached(&mut heap), [64, 640, 704, 768, 832]);
    }

    #[test]
    fn older_releases_have_narrow_offsets_and_other_numbers() {
        let narrow = SpecialFields { size: 16, next: 0, offset: 8, kind: 10 };
        let special = |kind: u64, offset: u64| kind << 16 | offset | 0xdead << 32;
        let memory = Pieces::new()
            .with(Avma(0x1000), words(&[0x2000, special(1, 64), BASE + 640]))
            .with(Avma(0x2000), words(&[0, special(2, 128), BASE + 704]));
        let mut heap = heap(0x1000);
        mark_specials(&mut heap, &memory, &narrow, of("go1.22").specials).unwrap();
        assert_eq!(reached(&mut heap), [64, 640]);
    }

    #[test]
    fn blocks_of_a_queue_are_followed_and_other_words_are_not() {
        let block = |links: [u64; 2], count: u64, word: u64| {
            let mut block = words(&[links[0], links[1], count, word]);
            block.resize(4096, 0);
            block
        };
        let memory = Pieces::new()
            .with(Avma(0x100), words(&[0x1_0000, 17, BASE, 0x5_0000]))
            .with(Avma(0x1_0000), block([0x2_0000, 0], 1, BASE + 64))
            .with(Avma(0x2_0000), block([0x1_0000, 0], 101, BASE + 128))
            .with(Avma(0x5_0000), block([0, 0], 102, BASE + 192));
        let mut heap = heap(0);
        let heads = [0x100, 0x108, 0x110, 0x118].map(Avma);
        mark_queue(&mut heap, &memory, &heads, &of("go1.27").finalizers).unwrap();
        assert_eq!(reached(&mut heap), [64, 128]);
    }
}
