//! A symbolised snapshot of all goroutines, its renderings, groupings, differences and files.
//!
//! A [`Dump`] knows nothing of the process that it was taken from any more: it opens on a laptop without the
//! binary. It is built by [`DumpBuilder`] from whatever has goroutines, narrowed by a [`filter`], put together in
//! [`group`]s, written by one of [`render`]'s formats, stored by [`snapshot`] and compared by [`diff`].
//! What differs between Go releases in the text that Go itself prints is all in [`text_rules`].

mod count;
mod describe;
pub mod descriptors;
pub mod diff;
pub mod filter;
pub mod group;
mod live;
pub mod model;
pub mod render;
mod sentence;
pub mod snapshot;
pub mod sock_diag;
pub mod text_rules;

pub use describe::duration;
pub use live::{ArgumentWords, Facts, Queues, from_snapshot, from_walk};
pub use model::{Dump, DumpBuilder, DumpGoroutine};
