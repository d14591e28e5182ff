//! The harness of the end-to-end tests: Go toolchains, Go targets built with them, and what to expect of both.
//!
//! Nothing here knows leaktrace's own code: a test compares leaktrace with what the Go program says of itself.

pub mod agent;
pub mod agreement;
pub mod behaviour;
pub mod blocking;
pub mod browser;
pub mod certificates;
pub mod cgroup;
pub mod foreign;
pub mod fuse;
pub mod go;
pub mod held;
pub mod http;
pub mod install;
pub mod leaktrace;
pub mod matrix;
pub mod nobody;
pub mod own_text;
pub mod packages;
pub mod poll;
pub mod privilege;
pub mod process;
pub mod receiver;
pub mod report;
pub mod runc;
pub mod scenarios;
pub mod suite;
pub mod text;
pub mod traceback;
pub mod turns;

pub use go::{Mode, Program, Version};
pub use process::Target;
