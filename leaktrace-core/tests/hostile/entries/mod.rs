//! What is done with bytes that nobody vouches for. Only that each function comes to its end matters, and that it takes
//! little memory for little input; the fuzzer in `fuzz/` and the tests beside this folder call the same ones.

mod cores;
mod events;
pub(crate) mod programs;
mod recordings;
mod snapshots;

/// What is tried with bytes.
pub(crate) type Entry = fn(&[u8]);

/// Every one, by the name of the folder that holds its corpus.
pub(crate) const ENTRIES: [(&str, Entry); 9] = [
    ("elf", programs::elf),
    ("pclntab", programs::pclntab),
    ("modules", programs::modules),
    ("buildinfo", programs::buildinfo),
    ("dwarf", programs::dwarf),
    ("core", cores::core),
    ("snapshot", snapshots::snapshot),
    ("recording", recordings::recording),
    ("event", events::event),
];
