//! What is wrong, how sure that is, why, and what to do about it: the rules, what a test left behind, and limits.
//!
//! **Invariant:** nothing is called a leak because it is old, and no verdict is without the evidence that it rests on.
//! Judges know nothing of how their verdicts are shown.

pub mod detect;
pub mod incidents;
pub mod left;
pub mod owners;
pub mod thresholds;
