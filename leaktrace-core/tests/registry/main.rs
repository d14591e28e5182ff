//! The registry from outside: stories told event by event, and random lives that must end in the truth.

mod converges;
#[path = "../helpers/records.rs"]
mod records;
mod replays;
mod sites;
mod stories;
mod support;
