//! One walk through many goroutines and their queues by two threads: most of it is the kernel's copying.

use std::ops::Range;
use std::panic::resume_unwind;
use std::thread;

use leaktrace_core::dump::Queues;
use leaktrace_core::go::goroutines::{Snapshot, WalkError, Walker, WalkerInput, Want};
use leaktrace_core::go::program::Program;
use leaktrace_core::memory::Memory;
use leaktrace_core::num::Ktime;

/// From how many goroutines on a second thread is worth its start.
const MANY: u64 = 50_000;

/// Reads all goroutines, their stacks, and the queues that they are in.
pub(super) fn walk(
    program: &Program<'_>,
    memory: &(dyn Memory + Sync),
    clock: &(dyn Fn() -> Ktime + Sync),
) -> Result<(Snapshot, Queues), WalkError> {
    let walker = || Walker::new(WalkerInput::of(program));
    let read = |entries: Range<u64>| {
        let snapshot = walker().part(memory, Want::Stacks, clock, entries)?;
        let queues = Queues::read(&snapshot, program, memory);
        Ok((snapshot, queues))
    };
    let entries = walker().entries(memory)?;
    if entries < MANY || thread::available_parallelism().is_ok_and(|cpus| cpus.get() < 2) {
        return read(0..u64::MAX);
    }
    let middle = entries / 2;
    thread::scope(|scope| {
        let later = scope.spawn(|| read(middle..u64::MAX));
        let (mut snapshot, mut queues) = read(0..middle)?;
        let (other, others) = later.join().unwrap_or_else(|panic| resume_unwind(panic))?;
        snapshot.append(other);
        queues.append(&others);
        Ok((snapshot, queues))
    })
}
