//! What is known about the Go runtime; [`facts`] is the only place with knowledge of particular releases.
//!
//! **Invariant:** whatever is read of a target is bounded and checked before it is believed. What cannot be known is a
//! typed refusal, and no release is compared outside of [`facts`].

pub mod arguments;
pub mod buildinfo;
pub mod code;
mod confirm;
pub mod counts;
pub mod facts;
pub mod globals;
pub mod goroutines;
pub mod holders;
pub mod layout;
pub mod moduledata;
pub mod names;
pub mod own;
pub mod pclntab;
pub mod program;
pub mod reach;
pub mod symbolize;
pub mod symbols;
pub(crate) mod timers;
pub mod traceback;
pub mod types;
pub mod unwind;
pub mod validate;
pub mod waiting;

pub use self::facts::version;
