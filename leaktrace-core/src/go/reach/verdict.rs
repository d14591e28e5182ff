//! What a pass says about each goroutine.

use crate::base::hash::KeyedMap;
use crate::base::num::{Avma, GPtr, Goid};
use crate::go::waiting::WaitObject;

/// Whether a goroutine can ever run again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It runs, or waits for something that is no object in memory: time, the network, a system call. Also one that
    /// moved during the pass.
    NotACandidate,
    /// Something that can still run refers to what it waits on, or what it waits on lies where everything may.
    Reachable,
    /// Nothing that can still run refers to anything that it waits on.
    Unreachable(Stuck),
}

/// A goroutine that nothing can wake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// What it waits on: all the channels of a select, one object else. Empty where it waits for nothing that could
    /// ever come: a nil channel, or a select without cases.
    pub waits_on: Box<[WaitObject]>,
    /// The wait that this is about.
    pub parked: Parked,
}

/// One wait of a goroutine. Equal in two passes, it is one and the same wait, as far as a `runtime.g` can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Parked {
    /// Its `runtime.g`.
    pub g: GPtr,
    /// Its stack pointer.
    pub sp: Avma,
    /// Where it goes on.
    pub pc: u64,
    /// Its first wait record, nil where it has none.
    pub waiting: Avma,
    /// Why it waits, a number of the target's own table.
    pub wait_reason: u8,
    /// How often it left the CPU, modulo 256, in releases that count.
    pub tracking_seq: Option<u8>,
}

/// What a pass read and reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Goroutines that were looked at.
    pub goroutines: u64,
    /// Those of them that wait for an object in memory.
    pub candidates: u64,
    /// Bytes of heap with pointers in them.
    pub scannable: u64,
    /// Bytes of the target that were read, some of them more than once.
    pub read: u64,
    /// Objects that were marked.
    pub marked: u64,
    /// Stacks whose words were all taken for pointers, because their maps could not be used.
    pub conservative_stacks: u64,
}

/// What one look through a process's memory says.
#[derive(Clone, Debug, Default)]
pub struct Pass {
    pub(super) verdicts: KeyedMap<Goid, Verdict>,
    pub(super) consistent: bool,
    pub(super) figures: Figures,
}

impl Pass {
    /// The verdict on a goroutine. One that the pass did not meet is no candidate.
    pub fn verdict(&self, goid: Goid) -> &Verdict {
        self.verdicts.get(&goid).unwrap_or(&Verdict::NotACandidate)
    }

    /// All goroutines that wait for an object in memory, in no particular order.
    pub fn verdicts(&self) -> impl Iterator<Item = (&Goid, &Verdict)> {
        self.verdicts.iter()
    }

    /// Whether the process was stopped, so that a goroutine that is unreachable certainly is.
    pub(crate) const fn is_consistent(&self) -> bool {
        self.consistent
    }

    /// What it cost.
    pub const fn figures(&self) -> &Figures {
        &self.figures
    }
}
