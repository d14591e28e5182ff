//! Which `runtime.coro` a goroutine waits in that is one side of `iter.Pull`.
//!
//! There is no wait record: `coro.gp` names the goroutine that waits, and the goroutine has the address of the `coro`,
//! in `g.coroarg` before its first step and in the frame of `runtime.corostart`, its outermost, from then on. So it is
//! the small object that one of these words points to and whose first word names the goroutine.
//!
//! Source: Go `src/runtime/coro.go`, go1.22 to go1.27.

use crate::base::hash::KeyedMap;
use crate::base::memory::{Memory, ReadError};
use crate::base::num::{Avma, GPtr};
use crate::base::structs::{Words, read_structs};
use crate::go::waiting::WaitObject;

use super::goroutines::Seen;
use super::heap::{Heap, Use};
use super::reasons::{Kinds, WaitKind};

/// The outermost bytes of a stack that hold the frame of `corostart`, which has some fifty.
const OUTERMOST: u32 = 256;
/// How much of a `runtime.g` is looked at: `coroarg` lies before that in every release.
const OF_G: u32 = 512;
/// The largest object that holds a `runtime.coro`, which has 32 bytes at most.
const LARGEST: u64 = 64;

/// Adds to `objects` what those of `goroutines` wait in that wait for the other side of a coroutine.
pub(super) fn find(
    memory: &dyn Memory,
    goroutines: &[Seen],
    kinds: &Kinds,
    heap: &mut Heap,
    objects: &mut KeyedMap<GPtr, Vec<WaitObject>>,
) -> Result<(), ReadError> {
    let is_one =
        |seen: &&Seen| seen.status.is_waiting() && kinds.get(seen.wait_reason) == Some(WaitKind::Coroutine);
    let waiting: Vec<&Seen> = goroutines.iter().filter(is_one).collect();
    let outermost = |seen: &Seen| Avma(seen.stack.hi.0.saturating_sub(OUTERMOST.into()).max(seen.stack.lo.0));
    let stacks: Vec<Avma> = waiting.iter().map(|seen| outermost(seen)).collect();
    let gs: Vec<Avma> = waiting.iter().map(|seen| seen.g.as_avma()).collect();
    let mut found: Vec<(GPtr, Avma)> = Vec::new();
    for (addresses, size) in [(&stacks, OUTERMOST), (&gs, OF_G)] {
        read_structs(memory, addresses, size as usize, |index, words| {
            found.extend(pointers(words, size, heap).map(|at| (waiting[index].g, at)));
        })?;
    }
    found.sort_unstable();
    found.dedup();
    let coros: Vec<Avma> = found.iter().map(|(_, at)| *at).collect();
    read_structs(memory, &coros, 8, |index, words| {
        let (g, at) = found[index];
        if words.u64(0) == Some(g.0) {
            objects.entry(g).or_default().push(WaitObject::Coroutine(at));
        }
    })
}

/// The small objects with pointers that `words` have the addresses of.
fn pointers(words: Words<'_>, size: u32, heap: &mut Heap) -> impl Iterator<Item = Avma> {
    let words = (0..size).step_by(8).filter_map(move |offset| words.pointer(offset));
    words.filter(|at| {
        let is_small = heap.span_at(*at).is_some_and(|span| span.elem <= LARGEST);
        let object = heap.object_at(*at).filter(|_| is_small);
        object.is_some_and(|object| object.used_for == Use::Scan && object.base == at.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::memory::Pieces;
    use crate::base::num::Goid;
    use crate::go::goroutines::StackBounds;
    use crate::go::names::{Status, WaitReasons};
    use crate::go::reach::heap::Span;

    const HEAP: u64 = 0x00c0_0000_0000;
    const STACK: u64 = 0x00c0_0010_0000;
    const G: u64 = 0x00c0_0020_0000;

    fn seen(g: u64, reason: u8) -> Seen {
        Seen {
            g: GPtr(g),
            goid: Goid(g),
            status: Status::Waiting,
            wait_reason: reason,
            stack: StackBounds { lo: Avma(STACK), hi: Avma(STACK + 2048) },
            standing: None,
            waiting: Avma(0),
            tracking_seq: None,
            defers: Avma(0),
            panics: false,
            ctxt: 0,
        }
    }

    /// What the goroutine at [`G`] waits in, by a word of its stack, one of its `runtime.g`, and two small objects.
    fn found(on_stack: u64, in_g: u64, objects: [u64; 2], reason: u8) -> Vec<WaitObject> {
        let mut heap = Heap::default();
        heap.add(Span { start: HEAP, len: 8192, elem: 32, used_for: Use::Scan, specials: Avma(0) });
        let mut small = vec![0; 64];
        small[..8].copy_from_slice(&objects[0].to_le_bytes());
        small[32..40].copy_from_slice(&objects[1].to_le_bytes());
        let with = |len: usize, at: usize, word: u64| {
            let mut bytes = vec![0; len];
            bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
            bytes
        };
        let memory = Pieces::new()
            .with(Avma(HEAP), small)
            .with(Avma(STACK), with(2048, 1984, on_stack))
            .with(Avma(G), with(512, 376, in_g));
        let kinds = Kinds::of(&WaitReasons::new(["", "coroutine", "chan receive"]));
        let mut objects = KeyedMap::default();
        find(&memory, &[seen(G, reason)], &kinds, &mut heap, &mut objects).unwrap();
        objects.remove(&GPtr(G)).unwrap_or_default()
    }

    #[test]
    fn it_waits_in_the_object_that_names_it() {
        let second = [WaitObject::Coroutine(Avma(HEAP + 32))];
        assert_eq!(found(HEAP + 32, 0, [0, G], 1), second, "as the frame of corostart has it");
        assert_eq!(found(HEAP, HEAP + 32, [8, G], 1), second, "before its first step");
        assert_eq!(found(HEAP + 32, HEAP + 32, [0, G], 1), second, "once");
    }

    #[test]
    fn it_waits_in_no_other() {
        assert_eq!(found(HEAP, 0, [7, G], 1), [], "that object names another goroutine");
        assert_eq!(found(HEAP + 8, 0, [G, 0], 1), [], "a pointer into the middle of one");
        assert_eq!(found(HEAP + 32, 0, [0, G], 2), [], "it waits for a channel");
    }
}
