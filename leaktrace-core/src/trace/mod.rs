//! Tracing one process: where to probe, what the records say, who is alive, what it may cost, and how all that is kept.
//!
//! **Invariant:** counts are never lost: every hit is an event, a drop for a reason or undecodable, and what memory
//! contradicts is repaired and counted. No names and no verdicts here.

pub mod budget;
pub mod decode;
pub mod plan;
pub mod recording;
pub mod registry;
