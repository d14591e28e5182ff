//! Goroutines with names: a snapshot of all of them, symbolised, with what each is blocked on, and its file form.
//!
//! A [`Dump`] knows nothing of the process that it was taken from any more: it opens on a laptop without the
//! binary. It is built by [`DumpBuilder`] from whatever has goroutines and stored by [`snapshot`]; what differs between
//! Go releases in the text that Go itself prints is in [`text_rules`]. The `dump` command shows it, rules judge it,
//! recordings keep it.
//!
//! **Invariant:** made in one go from one walk; what could not be read is marked, never left out or made up.

mod count;
mod describe;
pub mod descriptors;
mod live;
pub mod model;
mod printable;
pub mod snapshot;
pub mod sock_diag;
pub mod text_rules;

pub(crate) use count::count_by;
pub use live::{ArgumentWords, Facts, Queues, from_snapshot, from_walk};
pub use model::{Dump, DumpBuilder, DumpGoroutine};
