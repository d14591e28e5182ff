#![no_main]

#[path = "../../leaktrace-core/tests/hostile/entries.rs"]
#[expect(dead_code, reason = "each target calls one of the functions")]
mod entries;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entries::elf(data));
