//! Which blocked goroutines can never run again, because nothing that can still run refers to what they wait on.
//!
//! Go 1.27's own `goroutineleak` profile finds this out inside the process, with the garbage collector's help. Here
//! the same is found out from outside, in any supported release: what the collector would reach is marked, from the
//! program's variables and from the stacks of the goroutines that can run. A goroutine of which no channel, lock,
//! wait group, condition or coroutine is reached stays blocked for ever, unless the reference is hidden from the collector too.
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
//! use leaktrace_core::base::memory::Memory;
//! use leaktrace_core::base::num::Ktime;
//! use leaktrace_core::go::reach::{Limits, Process, Reach, Refusal, Streaks, Verdict};
//!
//! fn watch(program: &Program<'_>, memory: &dyn Memory, now: &dyn Fn() -> Ktime) -> Result<(), Refusal> {
//!     let mut reach = Reach::new(program, memory, None)?; // once: finds the heap
//!     let mut streaks = Streaks::default(); // for as long as the process is watched
//!     for _ in 0..10 {
//!         // Every second or less often, on a thread of its own. A refusal says why this pass has nothing to say.
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

mod attached;
mod candidates;
mod contexts;
mod coroutines;
mod goroutines;
mod heap;
mod pass;
mod process;
mod reasons;
mod refusal;
mod runtime;
mod stacks;
mod streaks;
mod variables;
mod verdict;
mod waits;

pub use contexts::Handed;
pub(crate) use contexts::cancelled_contexts;
pub use process::{Limits, Process, Thread, Threads};
pub use refusal::Refusal;
#[cfg(test)]
pub(crate) use streaks::made_up;
pub use streaks::{STRONG, STRONG_AFTER_NS, Streak, Streaks};
pub use verdict::{Figures, Parked, Pass, Stuck, Verdict};

use self::heap::SpanList;
use self::pass::Work;
use self::reasons::Kinds;
use crate::base::memory::Memory;
use crate::base::num::Avma;
use crate::go::facts::Collector;
use crate::go::layout::CollectorFields;
use crate::go::program::Program;

/// What is known of one program's heap; found once, used for every pass.
#[derive(Debug)]
pub struct Reach<'p, 'd> {
    program: &'p Program<'d>,
    collector: &'p CollectorFields,
    facts: &'p Collector,
    spans: SpanList,
    kinds: Kinds,
}

impl<'p, 'd> Reach<'p, 'd> {
    /// Finds the heap of a running `program`: where it [was](Self::all_spans) before, if that is known and still so, because
    /// a search reads all of the program's variables.
    pub fn new(program: &'p Program<'d>, memory: &dyn Memory, before: Option<Avma>) -> Result<Self, Refusal> {
        let unknown = Refusal::UnknownLayout { of: "runtime.mspan", version: program.version };
        let collector = program.layout.collector.as_ref().ok_or(unknown)?;
        let facts = program.facts.collector?;
        if program.wait_reasons.is_empty() {
            return Err(Refusal::NoWaitReasons);
        }
        let at = heap::all_spans(program.modules.main(), &collector.span, memory, before)?;
        let spans = SpanList { at, fields: collector.span.clone() };
        Ok(Self { program, collector, facts, spans, kinds: Kinds::of(&program.wait_reasons) })
    }

    /// Where the list of all spans is.
    pub const fn all_spans(&self) -> Avma {
        self.spans.at
    }

    /// Looks through all of the memory that the garbage collector would look through.
    pub fn pass(&mut self, process: &Process<'_>, limits: &Limits<'_>) -> Result<Pass, Refusal> {
        match self.program.modules.pending().len() {
            0 => {}
            count => return Err(Refusal::UnknownModules { count }),
        }
        let work = Work::new(self.program, (self.collector, self.facts), &self.spans, process.memory, limits);
        work.run(process, &self.kinds)
    }
}
