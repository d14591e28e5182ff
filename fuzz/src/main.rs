//! One fuzzer for everything that reads what nobody vouches for: the variable `LEAKTRACE_FUZZ` names what it tries.

#![no_main]

#[path = "../../leaktrace-core/tests/hostile/entries/mod.rs"]
mod entries;
mod memory;
mod program;

use std::alloc::System;
use std::sync::OnceLock;

use cap::Cap;
use entries::{ENTRIES, Entry};
use libfuzzer_sys::fuzz_target;

/// Inputs are small: what asks for more than this believed a length that it read.
const ROOM: usize = 256 << 20;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, ROOM);

/// What needs a Go program beside the input.
const WITH_PROGRAM: [(&str, Entry); 2] = [("types", program::types), ("memory", program::memory)];

static CHOSEN: OnceLock<Entry> = OnceLock::new();

fn chosen() -> Entry {
    let name = std::env::var("LEAKTRACE_FUZZ").unwrap_or_default();
    let found = ENTRIES.iter().chain(&WITH_PROGRAM).find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("LEAKTRACE_FUZZ={name}: there is no such target")).1
}

fuzz_target!(|data: &[u8]| CHOSEN.get_or_init(chosen)(data));
