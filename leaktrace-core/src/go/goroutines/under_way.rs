//! What a walk has found so far, and how much more it may read.

use super::keeper::Keeper;
use super::kind::KindFacts;
use super::{Code, Snapshot, StackTable, Want};
use crate::base::memory::Memory;
use crate::base::num::Ktime;
use crate::go::unwind::{DeepBudget, MAX_FRAMES};

/// How much is read of deep stacks in one walk.
const DEEP_BYTES: u64 = 1 << 30;
/// After how many frames in one walk stacks are cut earlier, and where.
const MANY_FRAMES: usize = 64 << 20;
const FRAMES_WHEN_MANY: usize = 64;

/// A walk that is under way.
pub(super) struct Walk<'m, 'p> {
    pub(super) memory: &'m dyn Memory,
    pub(super) code: &'p dyn Code,
    /// What keeps words of the stacks, if any are wanted.
    pub(super) keeper: Option<&'m mut Keeper<'p>>,
    pub(super) facts: KindFacts,
    /// What may still be read of deep stacks.
    pub(super) deep: DeepBudget,
    /// How many frames there were so far.
    pub(super) frames: usize,
    /// What was found so far.
    pub(super) snapshot: Snapshot,
}

impl<'m, 'p> Walk<'m, 'p> {
    pub(super) fn new(
        (memory, code): (&'m dyn Memory, &'p dyn Code),
        keeper: Option<&'m mut Keeper<'p>>,
        want: Want,
        facts: KindFacts,
        started: Ktime,
    ) -> Self {
        let snapshot = Snapshot {
            goroutines: Vec::new(),
            stacks: StackTable::new(),
            started,
            finished: started,
            want,
            unreadable: 0,
            moved: 0,
            dead: 0,
            beyond_limit: 0,
        };
        Self { memory, code, keeper, facts, deep: DeepBudget(DEEP_BYTES), frames: 0, snapshot }
    }

    /// Makes room for `count` more goroutines, unless there is some already.
    pub(super) fn reserve(&mut self, count: usize) {
        if self.snapshot.goroutines.capacity() == 0 {
            self.snapshot.goroutines.reserve_exact(count);
        }
    }

    /// How many frames of the next stack are kept.
    pub(super) fn frame_limit(&self) -> usize {
        if self.frames < MANY_FRAMES { MAX_FRAMES } else { FRAMES_WHEN_MANY }
    }
}
