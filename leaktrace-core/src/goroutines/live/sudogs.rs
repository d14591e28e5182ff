//! One entry of a wait queue, `runtime.sudog`.
//!
//! Source: Go `src/runtime/runtime2.go` and `sema.go`, go1.19 to go1.27.

use super::words::{Words, read_structs};
use crate::base::hash::KeyedSet;
use crate::base::memory::Memory;
use crate::base::num::{Avma, GPtr};
use crate::go::facts::same::SEMTABLE_SLOTS;
use crate::go::layout::SudogFields;
use crate::go::program::Program;

/// An entry of a wait queue.
#[derive(Clone, Copy)]
pub(super) struct Sudog {
    pub(super) g: GPtr,
    pub(super) next: Avma,
    pub(super) prev: Avma,
    pub(super) waitlink: Avma,
    /// The channel; nil for a lock.
    pub(super) channel: Avma,
    /// For a lock, its address.
    pub(super) elem: Avma,
}

impl Sudog {
    pub(super) fn of(words: Words<'_>, fields: &SudogFields) -> Option<Self> {
        Some(Self {
            g: GPtr(words.u64(fields.g)?),
            next: words.pointer(fields.next)?,
            prev: words.pointer(fields.prev)?,
            waitlink: words.pointer(fields.waitlink)?,
            channel: words.pointer(fields.c)?,
            elem: words.pointer(fields.elem)?,
        })
    }

    /// The lock that is waited for, if it is one.
    pub(super) fn lock(&self) -> Option<Avma> {
        (self.channel.is_null() && !self.elem.is_null()).then_some(self.elem)
    }
}

/// Up to Go 1.25 a goroutine that waits for a lock is found in the table of semaphores only: 251 trees, in which each
/// address is one node, and those that wait for the same one are a list. Who waits for which lock, in no more than
/// `limit` entries.
pub(super) fn read_semtable(program: &Program<'_>, memory: &dyn Memory, limit: usize) -> Vec<(GPtr, Avma)> {
    let fields = &program.layout.sudog;
    let mut known = KeyedSet::<Avma>::default();
    let (mut waiters, mut todo) = (Vec::new(), trees(program, memory));
    while !todo.is_empty() && known.len() < limit {
        todo.retain(|at| !at.is_null() && !known.contains(at));
        todo.sort_unstable();
        todo.dedup();
        todo.truncate(limit - known.len());
        known.extend(&todo);
        let mut next = Vec::new();
        read_structs(memory, &todo, fields.size as usize, |_, words| {
            let Some(sudog) = Sudog::of(words, fields) else { return };
            next.extend([sudog.prev, sudog.next, sudog.waitlink]);
            waiters.extend(sudog.lock().map(|lock| (sudog.g, lock)));
        });
        todo = next;
    }
    waiters
}

/// The roots of the trees.
fn trees(program: &Program<'_>, memory: &dyn Memory) -> Vec<Avma> {
    const LOCK: u64 = 8;
    let Some(table) = program.globals.semtable else { return Vec::new() };
    let stride = program.arch.cache_line();
    let roots: Vec<_> = (0..SEMTABLE_SLOTS).map(|slot| table.plus(slot * stride + LOCK)).collect();
    let mut trees = Vec::new();
    read_structs(memory, &roots, 8, |_, words| trees.extend(words.pointer(0)));
    trees
}
