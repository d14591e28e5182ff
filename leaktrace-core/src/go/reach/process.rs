//! What a pass looks at, and how much of it.

use crate::base::memory::Memory;

/// The most memory with pointers in it that a pass reads unless told otherwise, in bytes.
const MAX_HEAP: u64 = 2 << 30;

/// A process as it runs, or as it stood when all of its threads were stopped.
#[derive(Clone, Copy)]
pub struct Process<'m> {
    /// Its memory.
    pub memory: &'m dyn Memory,
    /// Its threads.
    pub threads: Threads<'m>,
}

impl<'m> Process<'m> {
    /// A process that is not stopped.
    pub const fn running(memory: &'m dyn Memory) -> Self {
        Self { memory, threads: Threads::Running }
    }
}

/// Whether the threads were stopped while memory was read, and what was in their registers.
#[derive(Clone, Copy, Debug)]
pub enum Threads<'m> {
    /// They run on: memory changes while it is read, and registers are not known.
    Running,
    /// They were stopped, all of them, from the first byte that was read to the last.
    Stopped(&'m [Thread]),
}

/// A stopped thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    /// Its id as the thread's own pid namespace counts it: what `m.procid` holds.
    pub tid: u32,
    /// Its stack pointer.
    pub sp: u64,
    /// The words in its general registers and in its vector registers, in any order.
    pub words: Vec<u64>,
}

/// What a pass may cost.
#[derive(Clone, Copy)]
pub struct Limits<'c> {
    /// The most bytes of heap with pointers that are looked through: a larger heap is refused before it is read.
    pub heap: u64,
    /// Asked now and then; `false` ends the pass with [`Refusal::Interrupted`](super::Refusal::Interrupted).
    pub go_on: &'c dyn Fn() -> bool,
}

impl Default for Limits<'_> {
    /// Heaps up to 2 GiB, and no interruption.
    fn default() -> Self {
        Self { heap: MAX_HEAP, go_on: &|| true }
    }
}
