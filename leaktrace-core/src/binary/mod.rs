//! What a binary says, whoever wrote it: ELF files, DWARF, machine instructions.
//!
//! **Invariant:** knows nothing of Go, and believes no length, offset or count that a file states.

pub mod btf;
pub mod disasm;
pub mod dwarf;
pub mod elf;
