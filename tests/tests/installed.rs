//! Ring 1: what `cargo install` gives users is small, and has nothing in it that only a debugger reads.

use std::path::Path;
use std::process::Command;

use leaktrace_core::binary::elf::Elf;
use leaktrace_tests::go::run::run;

/// As built by `cargo install` for x86-64 it is some 16.4 MB, of which TLS and HTTP/2, for the agent, are some 4.
const LARGEST: usize = 17_500_000;

/// The sections that hold line tables, types and names, of which any is many megabytes.
const FOR_DEBUGGERS: [&str; 6] =
    [".symtab", ".strtab", ".debug_info", ".debug_line", ".debug_str", ".debug_abbrev"];

#[test]
fn the_installed_binary_is_small_and_stripped() {
    let root = tempfile::tempdir().expect("a folder can be made");
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("leaktrace");
    // From what has been built and downloaded already: `cargo xtask test` builds the same first.
    let mut install = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    install.args(["install", "--quiet", "--frozen", "--no-track", "--path"]).arg(&package);
    run(install.arg("--root").arg(root.path())).expect("it can be installed");

    let installed = root.path().join("bin/leaktrace");
    let binary = std::fs::read(&installed).expect("it is there");
    assert!(binary.len() <= LARGEST, "{} bytes", binary.len());
    let elf = Elf::parse(&binary).expect("it is an ELF file");
    let left: Vec<&str> = FOR_DEBUGGERS.into_iter().filter(|name| elf.section(name).is_some()).collect();
    assert!(elf.section(".text").is_some(), "its sections can be read");
    assert!(left.is_empty(), "{left:?} are in it");

    let says = run(Command::new(&installed).arg("--version")).expect("it runs");
    assert!(says.starts_with("leaktrace "), "{says}");
}
