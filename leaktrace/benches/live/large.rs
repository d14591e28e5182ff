//! A large Go program that others wrote: Debian's packer, one stripped binary of 107 MB.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};
use leaktrace_core::binary::elf::Elf;
use leaktrace_tests::go::toolchain::cache_dir;
use leaktrace_tests::packages::Package;

use crate::go::Running;

/// Starts `packer console`, which waits for input.
pub(crate) fn start() -> Result<(Running, PathBuf)> {
    let binary = fetch().context("cannot fetch Debian's packer")?;
    let mut command = Command::new(&binary);
    // It asks the network for newer releases unless told not to, and starts plugins that it finds at home.
    command.arg("console").env("CHECKPOINT_DISABLE", "1").env("HOME", cache_dir("large"));
    let program = Running::start(&mut command)?;
    // It says nothing when it has come to rest.
    sleep(Duration::from_secs(3));
    Ok((program, binary))
}

/// Size of the file and of its function table, in MB.
pub(crate) fn sizes(binary: &Path) -> Result<(f64, f64)> {
    let bytes = std::fs::read(binary)?;
    let elf = Elf::parse(&bytes)?;
    let names = [".gopclntab", ".data.rel.ro.gopclntab"];
    let table = names.iter().find_map(|name| elf.section(name)).map_or(0, |section| section.data.len());
    Ok((megabytes(bytes.len()), megabytes(table)))
}

fn megabytes(bytes: usize) -> f64 {
    crate::statistics::real(bytes as u64) / 1e6
}

fn fetch() -> Result<PathBuf> {
    let directory = Package::Debian("packer").fetch(&mut |what| eprintln!("bench: {what}"))?;
    Ok(directory.join("usr/bin/packer"))
}
