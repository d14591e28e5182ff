//! Made-up services whose leaks are known, run through the verdicts of leaktrace on a clock of their own.
//!
//! A [`Service`] is drawn by a seed and a number: some `go` statements ([`kinds`]), how leaktrace comes to it (before it
//! starts, while it does, long after) and how often it looks. [`Service::run`] shows it to
//! [`History`](leaktrace_core::judge::detect::History) and [`findings`](leaktrace_core::judge::detect::findings) as a
//! session does, and notes what they say of which site. Only counts, places and parents are made up here: there are no
//! stacks of real libraries, no heap passes and no clients but in numbers. So it says how rules behave on what
//! somebody thought of, not on services that nobody here has seen.
#![forbid(unsafe_code)]

mod arrivals;
mod draft;
pub mod kinds;
mod look;
mod outcome;
mod random;
mod routine;
mod service;
mod tally;

pub use kinds::{Group, KINDS, Kind};
pub use outcome::{Alarm, Outcome, Told};
pub use random::{Random, float};
pub use service::{Service, run_all};
pub use tally::{Limits, Tally};

/// Times are in nanoseconds.
pub(crate) const SECOND: u64 = 1_000_000_000;
pub(crate) const MINUTE: u64 = 60 * SECOND;
pub(crate) const HOUR: u64 = 60 * MINUTE;
