//! Stacks, each stored once however many goroutines stand there.

use std::hash::BuildHasher;
use std::num::NonZeroU32;

use crate::base::hash::KeyedMap;
use crate::base::num::{Pc, ReturnPc};
use crate::go::unwind::StackEnd;

/// How many addresses one table holds at most. What comes after is cut short, and says so.
pub(super) const MAX_TABLE_PCS: usize = 8 << 20;

/// How many are kept of a stack that does not fit.
const SHORT: usize = 64;

/// A stack of a [`StackTable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StackId(NonZeroU32);

impl StackId {
    /// The number of the stack in its table, from 0 and without gaps.
    pub const fn index(self) -> usize {
        self.0.get() as usize - 1
    }

    fn from_index(index: usize) -> Option<Self> {
        u32::try_from(index).ok()?.checked_add(1).and_then(NonZeroU32::new).map(Self)
    }
}

/// One stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stack<'t> {
    /// Return addresses, innermost first. As `runtime.Callers` does, the address of an instruction that is not
    /// a call (a trap, or a goroutine that has not begun) is stored plus one, so that
    /// [`call_site`](ReturnPc::call_site) is what to look up for each of them. `runtime.goexit` is left out.
    pub pcs: &'t [ReturnPc],
    /// Why there are no more.
    pub end: StackEnd,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    len: u32,
    /// The next stack with the same hash.
    next: Option<StackId>,
    end: StackEnd,
}

/// Stacks by number, equal ones only once.
#[derive(Clone, Debug, Default)]
pub struct StackTable {
    pcs: Vec<ReturnPc>,
    entries: Vec<Entry>,
    /// The newest stack with each hash, one that is keyed: a target cannot make its stacks meet in one chain.
    by_hash: KeyedMap<u64, StackId>,
}

impl StackTable {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many different stacks there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many addresses there are in all.
    pub(super) fn pcs(&self) -> usize {
        self.pcs.len()
    }

    /// Whether there are no stacks.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The stack with this number, `None` for a number of another table.
    pub fn get(&self, id: StackId) -> Option<Stack<'_>> {
        self.entries.get(id.index()).map(|entry| self.stack_of(*entry))
    }

    /// All stacks with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (StackId, Stack<'_>)> {
        let stacks = self.entries.iter().map(|entry| self.stack_of(*entry));
        (0..).map_while(StackId::from_index).zip(stacks)
    }

    /// The number of this stack, which is stored if it is new.
    pub fn intern(&mut self, pcs: &[ReturnPc], end: StackEnd) -> Option<StackId> {
        let hash = self.by_hash.hasher().hash_one((pcs, end));
        let first = self.by_hash.get(&hash).copied();
        let mut candidate = first;
        while let Some(entry) = candidate.and_then(|id| self.entries.get(id.index())) {
            if self.stack_of(*entry) == (Stack { pcs, end }) {
                return candidate;
            }
            candidate = entry.next;
        }
        self.add(pcs, end, hash, first)
    }

    /// The stack's innermost frames, as many as there is room for.
    fn add(&mut self, pcs: &[ReturnPc], end: StackEnd, hash: u64, next: Option<StackId>) -> Option<StackId> {
        let room = MAX_TABLE_PCS.saturating_sub(self.pcs.len());
        if pcs.len() > room {
            // Where nothing fits any more one stack stands for all that did not.
            let kept = if room < SHORT { 0 } else { SHORT.min(pcs.len() / 2) };
            let next = pcs.get(kept).filter(|_| kept > 0).map_or(Pc(0), |pc| Pc(pc.0));
            return self.intern(&pcs[..kept], StackEnd::Cut(next));
        }
        let id = StackId::from_index(self.entries.len())?;
        let start = u32::try_from(self.pcs.len()).ok()?;
        let len = u32::try_from(pcs.len()).ok()?;
        self.pcs.extend_from_slice(pcs);
        self.entries.push(Entry { start, len, next, end });
        self.by_hash.insert(hash, id);
        Some(id)
    }

    fn stack_of(&self, entry: Entry) -> Stack<'_> {
        let range = entry.start as usize..entry.start as usize + entry.len as usize;
        Stack { pcs: self.pcs.get(range).unwrap_or_default(), end: entry.end }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pcs(numbers: &[u64]) -> Vec<ReturnPc> {
        numbers.iter().copied().map(ReturnPc).collect()
    }

    #[test]
    fn equal_stacks_are_stored_once_and_the_end_makes_a_difference() {
        let mut table = StackTable::new();
        let one = table.intern(&pcs(&[1, 2, 3]), StackEnd::Outermost).unwrap();
        let cut = table.intern(&pcs(&[1, 2, 3]), StackEnd::Cut(Pc(4))).unwrap();
        assert_eq!(table.intern(&pcs(&[1, 2, 3]), StackEnd::Outermost), Some(one));
        assert_ne!(one, cut);
        assert_eq!(table.len(), 2);
        assert_eq!(table.get(one).unwrap().pcs, pcs(&[1, 2, 3]));
        assert_eq!(table.get(cut).unwrap().end, StackEnd::Cut(Pc(4)));
    }

    #[test]
    fn what_does_not_fit_is_cut_and_says_so() {
        let mut table = StackTable::new();
        let half = vec![ReturnPc(7); MAX_TABLE_PCS / 2 + 1];
        table.intern(&half, StackEnd::Outermost).unwrap();
        let late = table.intern(&half, StackEnd::Broken(Pc(7))).unwrap();
        assert_eq!(table.get(late).unwrap(), Stack { pcs: &half[..SHORT], end: StackEnd::Cut(Pc(7)) });
        table.intern(&half[..MAX_TABLE_PCS - table.pcs.len()], StackEnd::Outermost).unwrap();
        let later = table.intern(&[ReturnPc(8)], StackEnd::Outermost).unwrap();
        assert_eq!(table.get(later).unwrap(), Stack { pcs: &[], end: StackEnd::Cut(Pc(0)) });
    }

    proptest! {
        #[test]
        fn every_stack_is_found_again(stacks in prop::collection::vec(prop::collection::vec(0u64..4, 0..5), 0..60)) {
            let mut table = StackTable::new();
            let ids: Vec<_> =
                stacks.iter().map(|stack| table.intern(&pcs(stack), StackEnd::Outermost).unwrap()).collect();
            for (stack, id) in stacks.iter().zip(ids) {
                prop_assert_eq!(table.get(id).unwrap().pcs, pcs(stack));
            }
            let mut different = stacks.clone();
            different.sort();
            different.dedup();
            prop_assert_eq!(table.len(), different.len());
            prop_assert_eq!(table.iter().count(), different.len());
        }
    }
}
