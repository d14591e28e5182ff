//! `cargo xtask targets`: builds the Go programs that the tests run, into the cache.

use std::time::Instant;

use anyhow::Result;
use leaktrace_tests::go::{self, Mode, Program, Version};

use crate::step::say;

/// Build the Go programs that the tests run, for every release and mode
#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Releases such as 1.22.10; all the tested ones when none is given
    versions: Vec<String>,
}

/// Builds what is missing, and lists all.
pub(crate) fn run(args: &Args) -> Result<()> {
    let versions = args.versions.iter().map(|name| Version::parse(name)).collect::<Result<Vec<_>>>()?;
    let started = Instant::now();
    for (version, mode) in go::every_build() {
        if versions.is_empty() || versions.contains(&version) {
            println!("{}", go::build(Program::Scenarios, version, mode, &mut say)?.display());
        }
    }
    println!("{}", go::build(Program::Service, Version::NEWEST, Mode::Stripped, &mut say)?.display());
    say(&format!("targets ready after {:.0?}", started.elapsed()));
    Ok(())
}
