//! Judges the sites of a program: which of them leaks, how sure that is, why, and what to do about it.
//!
//! Each snapshot becomes an [`Observation`]; a [`History`] keeps what is worth knowing of all of them, and sums it up
//! as [`Watched`]: cohorts, which are goroutines of one `go` statement that stand at one place. The [`rules`] look at
//! one cohort each; [`findings`] makes one [`Verdict`](crate::schema::Verdict) for each `go` statement of what they say. Nothing here has a
//! clock, and nothing is called a leak because it is old: every verdict carries the evidence that it rests on.

mod connections;
mod contexts;
mod everyone;
mod facts;
mod findings;
mod gate;
mod history;
mod known;
mod levels;
mod network_reads;
mod objects;
mod observation;
mod of_dump;
pub mod rules;
mod sample;
mod signatures;
mod ties;
mod typical_cause;
mod unjudged;
mod watched;
mod words;

pub use connections::{Connection, Connections, Opened, Waited};
pub use contexts::Contexts;
pub use everyone::Everyone;
pub use facts::facts;
pub use findings::{Finding, Policy, findings, hidden};
pub(crate) use findings::{LineOf, hidden_by};
pub use gate::Gate;
pub use history::{History, Trend};
pub use known::{Baseline, BaselineError, Ignore};
pub use levels::{Level, Levels};
pub use objects::Objects;
pub use observation::{CohortKey, Object, Observation, Sighting, SiteKey, Standing, Wait};
pub use rules::{DEADLOCK, Rule, SiteFacts, UNREACHABLE};
pub(crate) use rules::{LONGER_THAN_A_RAMP_NS, RULES};
pub use sample::{Sample, Sampler, Weight};
pub use signatures::{Signature, SignatureError, Signatures, When};
pub use ties::Tie;
pub use unjudged::Unjudged;
pub use watched::{Cohort, Holder, Watched};
