//! Reports from a registry, a snapshot and a program's names: what they say, and what they look like.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod golden;
mod numbers;
mod origins;
mod service;
