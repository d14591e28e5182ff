//! What everything stands on: numbers with a meaning, bounded reads of bytes and of a target's memory, how numbers
//! and foreign words are shown to people, and what a format of output is.
//!
//! **Invariant:** knows neither Go nor ELF, nor any other wing.

pub(crate) mod bytes;
pub mod escape;
pub mod file;
pub mod format;
pub(crate) mod hash;
pub mod human;
pub(crate) mod json;
pub mod memory;
pub mod num;
pub(crate) mod path;
pub(crate) mod structs;
pub mod time;
pub mod time_namespace;
