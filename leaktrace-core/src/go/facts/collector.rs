//! What is attached to objects, and the queues of what is about to run.

/// What the marking of the heap needs to know, besides layouts that the target tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collector {
    /// The kinds of `runtime.special` that hold less than others.
    pub specials: Specials,
    /// The finalizers that are about to run: blocks of type `finblock`, from go1.25 on `finBlock`.
    pub finalizers: Queue,
    /// The cleanups that are about to run, in releases that have a queue for them.
    pub cleanups: Option<Cleanups>,
}

/// The numbers of two kinds of `runtime.special`. Source: `src/runtime/mheap.go`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Specials {
    /// `_KindSpecialProfile`, a sample of the memory profile: holds nothing.
    pub profile: u8,
    /// `_KindSpecialCleanup`, a function that is called when the object is gone, without it.
    pub cleanup: Option<u8>,
    /// How many words a `specialCleanup` has for its function and its argument, before its `id`.
    pub cleanup_words: u32,
}

/// A queue of functions that are about to run: a list of blocks outside of the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// The size of a block.
    pub size: usize,
    /// Where in a block the next ones are.
    pub links: &'static [u32],
    /// Where it says how many entries it has, 32 bits.
    pub count: u32,
    /// The most entries that it can have.
    pub capacity: u32,
}

/// `runtime.gcCleanups`. Source: `src/runtime/mcleanup.go`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleanups {
    /// How many cache lines into the struct `all` is, the first of all blocks.
    pub all_in_lines: u64,
    /// The blocks, of type `cleanupBlock`.
    pub blocks: Queue,
}
