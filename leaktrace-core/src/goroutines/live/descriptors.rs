//! Which file descriptor a goroutine waits for.
//!
//! Nothing in the runtime leads from a goroutine to its `pollDesc`, but the `pollDesc` leads back: it names the
//! goroutine that waits for it to be readable or writable, and itself. Its address lies in the goroutine's innermost
//! frames, since `poll_runtime_pollWait` needs it again when the wait is over. So each word there is looked at, and
//! taken only if it points to what names both: a word that points to something else is found out.
//!
//! Source: Go `src/runtime/netpoll.go`, go1.19 to go1.27: `link` and `fd` come first in every release, then `rg` and
//! `wg` after one (go1.19) or two words (since `fdseq`), and `self` behind the timers, whose size changes.

use super::frame_words::{distinct, pointers};
use super::words::{Words, read_structs};
use crate::base::hash::KeyedMap;
use crate::base::memory::{Memory, Span};
use crate::base::num::{Avma, GPtr};
use crate::go::goroutines::{Goroutine, Snapshot};
use crate::go::program::Program;

/// How many goroutines are looked at together, so that what is remembered of them is bounded.
const CHUNK: usize = 4_096;
/// The part of a `pollDesc` up to `wg`, in bytes.
const HEAD: usize = 48;
/// Where `fd` is.
const FD: u32 = 8;
/// Where `rg` and `wg` are in one release or another.
const WAITERS: [u32; 3] = [24, 32, 40];
/// Between which offsets `self` is.
const SELF: std::ops::Range<u64> = 64..1_024;

/// The beginning of what may be a `pollDesc`.
#[derive(Clone, Copy)]
struct Head {
    fd: u64,
    waiters: [u64; 3],
}

impl Head {
    fn of(words: Words<'_>) -> Option<Self> {
        let [first, second, third] = WAITERS.map(|offset| words.u64(offset));
        Some(Self { fd: words.u64(FD)?, waiters: [first?, second?, third?] })
    }

    /// The descriptor, if this is what `g` waits for.
    fn fd_for(&self, g: GPtr) -> Option<i32> {
        let fd = i32::try_from(self.fd).ok()?;
        self.waiters.contains(&g.0).then_some(fd)
    }
}

/// The descriptors that goroutines of `snapshot` wait for, where that can be proved.
pub(super) fn read(snapshot: &Snapshot, program: &Program<'_>, memory: &dyn Memory) -> KeyedMap<GPtr, i32> {
    let Some(reason) = program.wait_reasons.number("IO wait") else { return KeyedMap::default() };
    let waits = |one: &&Goroutine| one.status.is_waiting() && one.wait_reason == reason && one.stack_used > 0;
    let waiting: Vec<&Goroutine> = snapshot.goroutines.iter().filter(waits).collect();
    let mut search = Search { program, memory, self_at: None };
    waiting.chunks(CHUNK).flat_map(|waiting| search.descriptors(waiting)).collect()
}

/// Something that names a goroutine where a `pollDesc` would.
struct Match {
    at: Avma,
    g: GPtr,
    fd: i32,
}

struct Search<'a> {
    program: &'a Program<'a>,
    memory: &'a dyn Memory,
    /// Where `self` is, once that is known.
    self_at: Option<u64>,
}

impl Search<'_> {
    fn descriptors(&mut self, waiting: &[&Goroutine]) -> Vec<(GPtr, i32)> {
        let candidates = pointers(waiting, self.program, self.memory);
        let heads = self.heads(&candidates);
        let matches = waiting.iter().zip(&candidates).flat_map(|(goroutine, candidates)| {
            let fd = |at: &Avma| heads.get(at)?.fd_for(goroutine.g);
            candidates.iter().filter_map(move |at| Some(Match { at: *at, g: goroutine.g, fd: fd(at)? }))
        });
        let matches: Vec<_> = matches.collect();
        self.that_name_themselves(&matches)
    }

    fn heads(&self, candidates: &[Vec<Avma>]) -> KeyedMap<Avma, Head> {
        let addresses = distinct(candidates);
        let mut heads = KeyedMap::default();
        read_structs(self.memory, &addresses, HEAD, |index, words| {
            heads.extend(Head::of(words).map(|head| (addresses[index], head)));
        });
        heads
    }

    /// The matches that have the pointer to themselves that every `pollDesc` has, at the same place in all.
    fn that_name_themselves(&mut self, matches: &[Match]) -> Vec<(GPtr, i32)> {
        let learn = || matches.iter().find_map(|one| find_self(self.memory, one.at));
        self.self_at = self.self_at.or_else(learn);
        let Some(offset) = self.self_at else { return Vec::new() };
        let addresses: Vec<_> = matches.iter().map(|one| one.at.plus(offset)).collect();
        let mut found = Vec::new();
        read_structs(self.memory, &addresses, 8, |index, words| {
            let Match { at, g, fd } = matches[index];
            found.extend((words.pointer(0) == Some(at)).then_some((g, fd)));
        });
        found
    }
}

/// How far behind `at` there is a pointer to it.
fn find_self(memory: &dyn Memory, at: Avma) -> Option<u64> {
    let spans: Vec<_> = SELF.step_by(8).map(|offset| Span { at: at.plus(offset), len: 8 }).collect();
    let (mut bytes, mut readable) = (vec![0; spans.len() * 8], Vec::new());
    memory.read_spans(&spans, &mut bytes, &mut readable).ok()?;
    let words = bytes.as_chunks().0.iter().copied().map(u64::from_le_bytes);
    let found = words.zip(readable).position(|(word, readable)| readable && word == at.0)?;
    SELF.step_by(8).nth(found)
}
