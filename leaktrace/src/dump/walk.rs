//! One walk through many goroutines and their queues by two threads: most of it is the kernel's copying.

use std::ops::Range;
use std::panic::resume_unwind;
use std::thread;

use leaktrace_core::base::memory::Memory;
use leaktrace_core::base::num::Ktime;
use leaktrace_core::go::goroutines::{KeptWords, Snapshot, WalkError, Walker, WalkerInput, Want};
use leaktrace_core::go::program::Program;
use leaktrace_core::goroutines::model::MAX_VALUES;
use leaktrace_core::goroutines::{ArgumentWords, Queues};

use crate::process::workers::Party;

/// From how many goroutines on a second thread is worth its start.
const MANY: u64 = 50_000;

/// What was read of a process.
pub(super) struct Walked {
    /// All goroutines and their stacks.
    pub(super) snapshot: Snapshot,
    /// The queues that they are in.
    pub(super) queues: Queues,
    /// The values of their arguments, if they were wanted.
    pub(super) arguments: Option<KeptWords>,
}

impl Walked {
    /// Adds what was read of the goroutines behind these.
    fn append(&mut self, other: Self) {
        self.snapshot.append(other.snapshot);
        self.queues.append(&other.queues);
        if let (Some(words), Some(others)) = (&mut self.arguments, other.arguments) {
            words.append(others);
        }
    }
}

/// Reads all goroutines, their stacks, and the queues that they are in.
pub(super) fn walk(
    program: &Program<'_>,
    memory: &(dyn Memory + Sync),
    clock: &(dyn Fn() -> Ktime + Sync),
    with_arguments: bool,
) -> Result<Walked, WalkError> {
    let read = |entries: Range<u64>, room: usize| {
        let mut walker = walker(program, with_arguments.then_some(room));
        let snapshot = walker.part(memory, Want::Stacks, clock, entries)?;
        let queues = Queues::read(&snapshot, program, memory);
        Ok(Walked { snapshot, queues, arguments: walker.kept() })
    };
    let entries = walker(program, None).entries(memory)?;
    if entries < MANY || thread::available_parallelism().is_ok_and(|cpus| cpus.get() < 2) {
        return read(0..u64::MAX, MAX_VALUES);
    }
    let middle = entries / 2;
    let party = Party::current();
    thread::scope(|scope| {
        let later = thread::Builder::new().spawn_scoped(scope, || {
            // Joined only if both come to an end: if one does not, the job is given up with both.
            let _member = party.map(|party| party.join());
            read(middle..u64::MAX, MAX_VALUES / 2)
        });
        // Where no other thread can be had, this one reads all of it.
        let Ok(later) = later else { return read(0..u64::MAX, MAX_VALUES) };
        let mut walked = read(0..middle, MAX_VALUES / 2)?;
        walked.append(later.join().unwrap_or_else(|panic| resume_unwind(panic))?);
        Ok(walked)
    })
}

/// A walker that keeps the values of arguments, as many as there is `room` for.
pub(super) fn walker<'p>(program: &'p Program<'p>, room: Option<usize>) -> Walker<'p> {
    let walker = Walker::new(WalkerInput::of(program));
    match room {
        Some(room) => walker.keeping(ArgumentWords::new(program), room),
        None => walker,
    }
}
