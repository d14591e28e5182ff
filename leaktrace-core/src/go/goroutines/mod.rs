//! All goroutines of a process as its memory shows them: who they are, what they wait for, where they stand.
//!
//! A [`Snapshot`] is taken from a process that keeps running. It knows nothing of the past: births and
//! parking times are the registry's matter, and names and lines are found only for what is shown.

mod batch;
mod code;
mod header;
mod keeper;
mod kind;
mod rows;
mod stacks;
mod still;
mod under_way;
mod walk;
mod words;

pub use kind::StartKind;
pub use rows::WordRows;
pub use stacks::{Stack, StackId, StackTable};
pub use walk::{WalkError, WalkMemo, Walker, WalkerInput};
pub use words::{KeptWords, Word, WordPlan, WordPlans};

use crate::base::num::{Avma, GPtr, Goid, Ktime, Pc, ReturnPc};
use crate::go::names::Status;
use crate::go::unwind::FrameRules;
pub use crate::go::unwind::StackEnd;

/// What the walk asks about a program's code.
pub trait Code: FrameRules {
    /// What a goroutine is that was started with the function at `entry`.
    fn start_kind(&self, entry: Pc) -> StartKind;
}

/// The part of the address space that a goroutine's stack occupies, `[lo, hi)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StackBounds {
    /// The lowest address.
    pub lo: Avma,
    /// The address after the highest.
    pub hi: Avma,
}

impl StackBounds {
    /// The size in bytes, 0 for bounds that make no sense.
    pub const fn size(self) -> u64 {
        self.hi.0.saturating_sub(self.lo.0)
    }
}

/// A length or a count that the target states, as far as there can be so much here.
fn to_usize(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

/// Whose goroutine it is, by the rule of the runtime itself (`isSystemGoroutine`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GoroutineKind {
    /// The program's: Go's own dumps show it.
    User,
    /// One that the runtime started for itself, which Go's own dumps leave out.
    Runtime,
}

/// One goroutine that is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Goroutine {
    /// Its id, unique in the process for ever.
    pub goid: Goid,
    /// Where its `runtime.g` is; the next goroutine may live in the same one.
    pub g: GPtr,
    /// Who started it, from Go 1.21 on; `None` also for the first goroutine.
    pub parent_goid: Option<Goid>,
    /// The return address of the `go` statement that started it.
    pub gopc: ReturnPc,
    /// The entry of the function that it was started with, perhaps a wrapper.
    pub startpc: Pc,
    /// Its stack.
    pub stack: StackBounds,
    /// When the garbage collector noticed that it waits; not when it began to.
    pub wait_since: Option<Ktime>,
    /// `g.labels`, nil without profiler labels.
    pub labels: Avma,
    /// `g.waiting`: the first `sudog` of what it waits on, nil where there is none.
    pub waiting: Avma,
    /// Where it stands; `None` if it is on a CPU, kept moving, or no stacks were wanted.
    pub stack_id: Option<StackId>,
    /// How many bytes of its stack are in use, 0 where `stack_id` is `None`.
    pub stack_used: u32,
    /// Its state.
    pub status: Status,
    /// Why it waits, a number of the target's own table; meaningful while it [waits](Status::is_waiting).
    pub wait_reason: u8,
    /// How often it left a CPU, modulo 256: one that shows the same number, state and place again has most likely not
    /// run meanwhile. `None` where the runtime does not count.
    pub tracking_seq: Option<u8>,
    /// Whether it is locked to its thread.
    pub locked: bool,
    /// Whether it moved each time that its stack was read, so that the stack is not known.
    pub moved: bool,
    /// Whose it is.
    pub kind: GoroutineKind,
}

// A million of them have to fit beside everything else.
const _: () = assert!(size_of::<Goroutine>() <= 112);

/// How much of every goroutine is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Everything but the stacks.
    Headers,
    /// The stacks as well.
    Stacks,
}

/// All goroutines of a process that were alive, each as it was at some moment from `started` to `finished`.
#[derive(Debug)]
pub struct Snapshot {
    /// The goroutines, in no particular order.
    pub goroutines: Vec<Goroutine>,
    /// Where they stand.
    pub stacks: StackTable,
    /// Before the first byte was read.
    pub started: Ktime,
    /// After the last byte was read.
    pub finished: Ktime,
    /// Whether stacks were read.
    pub want: Want,
    /// How many goroutines could not be read, or made no sense.
    pub unreadable: u64,
    /// How many of `goroutines` kept moving, so that their stacks are not known.
    pub moved: u64,
    /// How many `runtime.g` are free for reuse.
    pub dead: u64,
    /// How many entries of `allgs` were not looked at, being more than the walker's bound.
    pub beyond_limit: u64,
}

impl Snapshot {
    /// Adds what another walker has found meanwhile in another part of the list.
    pub fn append(&mut self, other: Self) {
        let stacks = other.stacks.iter().map(|(_, stack)| self.stacks.intern(stack.pcs, stack.end));
        let stacks: Vec<_> = stacks.collect();
        let stack_id = |id: StackId| stacks.get(id.index()).copied().flatten();
        self.goroutines.extend(
            other
                .goroutines
                .into_iter()
                .map(|one| Goroutine { stack_id: one.stack_id.and_then(stack_id), ..one }),
        );
        self.started = self.started.min(other.started);
        self.finished = self.finished.max(other.finished);
        self.unreadable += other.unreadable;
        self.moved += other.moved;
        self.dead += other.dead;
        self.beyond_limit += other.beyond_limit;
    }
}

#[cfg(test)]
mod tests;
