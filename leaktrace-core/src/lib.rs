//! The pure part of leaktrace: everything that can be a function of bytes.
//!
//! No unsafe code, no system calls, no clock, no files, no async. A target process is seen through the
//! [`Memory`](base::memory::Memory) trait, a binary through a byte slice, and time is a parameter; so a live process, a
//! core dump, a recording and a test's array all take the same way through this code.
//!
//! Each wing imports only those above it in this list (`cargo xtask check` sees to it):
//!
//! - [`base`]: numbers with a meaning, bounded reads of bytes and memory
//! - [`schema`]: what a report is made of, as plain data
//! - [`binary`]: ELF files, DWARF, machine instructions
//! - [`go`]: the Go runtime as it lies in memory, from its version to what its collector would reach
//! - [`goroutines`]: a symbolised snapshot of all goroutines, and its file
//! - [`trace`]: where to probe, what the records say, who is alive, what it may cost, and recordings of it
//! - [`judge`]: which goroutines leak, how sure that is, and why
//! - [`report`] and [`dump`]: what users read, one format a file
//! - [`session`]: the watch over processes, as a state machine without a clock
//! - [`node`]: all processes of a node, each in little room: which `go` statement grows, and whose turn it is
#![forbid(unsafe_code)]

pub mod base;
pub mod binary;
pub mod dump;
pub mod go;
pub mod goroutines;
pub mod judge;
pub mod node;
pub mod report;
pub mod schema;
pub mod session;
pub mod trace;
