//! The registry from outside: stories told event by event, and random lives that must end in the truth.

mod converges;
#[path = "../shared/records.rs"]
mod records;
mod replays;
mod stories;
mod support;
