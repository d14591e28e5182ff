//! Dumps, from a small one that has everything in it to ones made up by chance.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod differences;
mod files;
mod filters;
mod formats;
#[path = "../helpers/hostile.rs"]
mod hostile;
mod made_up;
mod names;
mod recordings;
mod sample;
