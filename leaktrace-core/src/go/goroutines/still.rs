//! Stacks that a walk need not read again: those of goroutines that have not run since the walk before.
//!
//! The runtime counts how often a goroutine leaves a CPU (`g.trackingSeq`, modulo 256). One that shows the same number,
//! state, reason and stack pointer as before still stands where it stood, or has run a multiple of 256 times and come to
//! rest at the same depth. So that the latter is not believed for ever, each stack is read again after some walks.

use std::hash::BuildHasher;

use super::header::Header;
use super::{StackId, StackTable};
use crate::base::hash::{Keyed, KeyedMap};

/// After how many walks a stack is read again, whatever the `runtime.g` says.
const READ_AGAIN: usize = 16;

/// Of larger tables none is kept.
const MAX_PCS: usize = 1 << 20;

/// What one walk leaves to the next about an entry of `allgs`.
#[derive(Clone, Copy, Debug, Default)]
struct Remembered {
    /// A hash, with a key that no target knows, of what says that a goroutine has not run.
    print: u64,
    /// Where it stood, in the table of that walk.
    stack: Option<StackId>,
}

/// What the walk before found, and what this one does.
#[derive(Debug, Default)]
pub(super) struct StillStacks {
    key: Keyed,
    before: Vec<Remembered>,
    now: Vec<Remembered>,
    table: StackTable,
    /// The same stacks in the table of this walk.
    moved: KeyedMap<StackId, StackId>,
    walks: usize,
    /// Whether the walk before came to its end.
    is_complete: bool,
}

impl StillStacks {
    /// Begins a walk.
    pub(super) fn begin(&mut self) {
        std::mem::swap(&mut self.before, &mut self.now);
        self.now.clear();
        if !std::mem::take(&mut self.is_complete) {
            self.forget();
        }
        self.moved.clear();
        self.walks = self.walks.wrapping_add(1);
    }

    /// Ends a walk that stored its stacks in `table`.
    pub(super) fn finish(&mut self, table: &StackTable) {
        if table.pcs() <= MAX_PCS {
            self.table.clone_from(table);
        } else {
            (self.table, self.now) = (StackTable::default(), Vec::new());
        }
        self.before.clear();
        self.is_complete = true;
    }

    /// Forgets what the walk before found: this one is not to be compared with it.
    pub(super) fn forget(&mut self) {
        self.before.clear();
    }

    /// Where this goroutine still stands.
    pub(super) fn stack(&mut self, header: &Header, stacks: &mut StackTable) -> Option<StackId> {
        let entry = header.entry as usize;
        let is_due = entry.wrapping_add(self.walks).is_multiple_of(READ_AGAIN);
        let before = self.before.get(entry).filter(|_| !is_due)?;
        let old = before.stack.filter(|_| before.print == self.print(header))?;
        if let Some(stack) = self.moved.get(&old) {
            return Some(*stack);
        }
        let stack = self.table.get(old)?;
        let stack = stacks.intern(stack.pcs, stack.end)?;
        self.moved.insert(old, stack);
        Some(stack)
    }

    /// This is where it stands.
    pub(super) fn remember(&mut self, header: &Header, stack: StackId) {
        let (entry, print) = (header.entry as usize, self.print(header));
        if self.now.len() <= entry {
            self.now.resize(entry + 1, Remembered::default());
        }
        if let Some(row) = self.now.get_mut(entry) {
            *row = Remembered { print, stack: Some(stack) };
        }
    }

    fn print(&self, header: &Header) -> u64 {
        let Header { goid, status, wait_reason, stack, waiting, standing, tracking_seq, .. } = *header;
        let bounds = (stack.lo.0, stack.hi.0);
        let standing = (standing.pc.0, standing.sp, standing.lr, standing.in_syscall);
        self.key.hash_one((goid, status, wait_reason, bounds, waiting.0, standing, tracking_seq))
    }
}
