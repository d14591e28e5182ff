//! Judges the sites of a program: which of them leaks, how sure that is, why, and what to do about it.
//!
//! Each snapshot becomes an [`Observation`]; a [`History`] keeps what is worth knowing of all of them, and sums it up
//! as [`Watched`]: cohorts, which are goroutines of one `go` statement that stand at one place. The [`rules`] look at
//! one cohort each; [`judge`] makes one [`Verdict`] for each `go` statement of what they say. Nothing here has a
//! clock, and nothing is called a leak because it is old: every verdict carries the evidence that it rests on.

mod contexts;
mod facts;
mod gate;
mod history;
mod judge;
mod known;
mod levels;
mod observation;
pub mod rules;
mod sample;
mod signatures;
mod usual;
mod watched;
mod words;

pub use contexts::Contexts;
pub use facts::facts;
pub use gate::Gate;
pub use history::{History, SETTLED, Trend};
pub use judge::{Finding, Policy, judge};
pub use known::{Baseline, BaselineError, Ignore};
pub use levels::{Level, Levels};
pub use observation::{CohortKey, Object, Observation, Sighting, SiteKey, Standing, Wait};
pub use rules::{RULES, Rule, SiteFacts, UNREACHABLE};
pub use sample::{Sample, Sampler, Weight};
pub use signatures::{Signature, SignatureError, Signatures, When};
pub use watched::{Cohort, Holder, Objects, Watched};

use crate::base::num::Ktime;
use crate::go::reach::Streaks;
use crate::goroutines::Dump;
use crate::schema::Verdict;

/// The verdicts on one dump alone: what can be told at first sight.
pub fn judge_dump(dump: &Dump, policy: &Policy) -> Vec<Verdict> {
    let watched = History::default().observe(&Observation::of(dump, None, Ktime(0)), &Streaks::default());
    judge(&watched, policy, &|_| None).into_iter().map(|finding| finding.verdict).collect()
}

/// The verdicts on two dumps of one process, the `earlier` first.
pub fn judge_dumps(earlier: &Dump, later: &Dump, policy: &Policy) -> Vec<Verdict> {
    let mut history = History::default();
    let between = later.taken_at.0.saturating_sub(earlier.taken_at.0);
    let streaks = Streaks::default();
    history.observe(&Observation::of(earlier, None, Ktime(1)), &streaks);
    let watched = history.observe(&Observation::of(later, None, Ktime(1).plus(between)), &streaks);
    judge(&watched, policy, &|_| None).into_iter().map(|finding| finding.verdict).collect()
}
