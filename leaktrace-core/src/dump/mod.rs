//! Views of all goroutines, for the command `dump`: narrowed by a [`filter`], put together in [`group`]s, written by one
//! of [`render`]'s formats, compared by [`diff`].
//!
//! **Invariant:** a view changes nothing and reads nothing but the [`Dump`](crate::goroutines::Dump) that it is given.

pub mod diff;
pub mod filter;
pub mod group;
pub mod render;
mod sentence;
