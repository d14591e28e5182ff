//! The watch over processes, as far as it needs neither system calls nor a clock.
//!
//! [`Target`] is one process from its discovery to its end: it is [told](Told) what happened and says what it
//! [wants](Want) to be done. [`FairQueue`] decides whose reading of memory is done next where many targets share few
//! threads. Whoever runs them has the clock, the probes, the threads and the descriptors, and decides nothing.
//!
//! **Invariant:** nothing here waits. What takes time is wanted, and its end is told.

mod beginning;
mod drains;
mod ending;
mod heap;
mod leases;
mod looks;
mod meter;
mod own_share;
mod queue;
mod report;
mod selection;
mod tally;
mod target;
#[cfg(test)]
mod tests;
mod told;
mod unreached;

pub use leases::{Leases, Spending};
pub use meter::{Counted, Reading};
pub use own_share::{Part, most};
pub use queue::{Bounds, Class, FairQueue};
pub use report::{ReportInputs, overhead};
pub use selection::{Glob, Matcher, MatcherError};
pub use tally::Tally;
pub use target::{Options, Target};
pub use told::{Failure, Look, Prepared, StopReason, Told, Want};

use std::time::Duration;

use crate::base::num::Ktime;
use crate::base::time::nanoseconds;

/// The time that lies so long after another.
fn after(time: Ktime, duration: Duration) -> Ktime {
    time.plus(nanoseconds(duration))
}

/// Later than anything.
const NEVER: Ktime = Ktime(u64::MAX);
