//! Dumps, from a small one that has everything in it to ones made up by chance.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod filters;
mod formats;
mod sample;
