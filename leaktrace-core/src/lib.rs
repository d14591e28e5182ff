//! The pure part of leaktrace: everything that can be a function of bytes.
//!
//! No unsafe code, no system calls, no clock, no files, no async. A target process is seen through the
//! [`memory::Memory`] trait, a binary through a byte slice, and time is a parameter; so a live process, a core
//! dump, a recording and a test's array all take the same way through this code.
#![forbid(unsafe_code)]

pub mod budget;
mod bytes;
pub mod decode;
pub mod detect;
pub mod disasm;
pub mod dump;
pub mod dwarf;
pub mod elf;
pub mod go;
mod hash;
pub mod left;
pub mod memory;
pub mod num;
pub mod plan;
pub mod reach;
pub mod recording;
pub mod registry;
pub mod render;
pub mod report;
pub mod source;
mod structs;
pub mod symbolize;
pub mod thresholds;
pub mod traceback;
