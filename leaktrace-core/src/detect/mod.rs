//! Judges the sites of a program: which of them leaks, how sure that is, why, and what to do about it.
//!
//! Nothing is called a leak because it is old: every [`Verdict`] carries the evidence that it rests on.

mod gate;
mod verdict;

pub use gate::Gate;
pub use verdict::{Severity, Verdict};
