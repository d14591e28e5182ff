//! `cargo xtask targets`: builds the Go programs that the tests run, into the cache.

use std::time::Instant;

use anyhow::Result;
use leaktrace_tests::go::{self, Mode, Program, Toolchain, Version};

use crate::step::say;

/// Build the Go programs that the tests run, for every release and mode
#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Releases such as 1.22.10 [default: all tested releases]
    versions: Vec<String>,
}

/// Builds what is missing, and lists all.
pub(crate) fn run(args: &Args) -> Result<()> {
    let versions = args.versions.iter().map(|name| Version::parse(name)).collect::<Result<Vec<_>>>()?;
    let started = Instant::now();
    go::target::prune()?;
    for version in
        Version::ALL.into_iter().filter(|version| versions.is_empty() || versions.contains(version))
    {
        match Toolchain::get(version, &mut say) {
            Ok(_) => build_all(version)?,
            // Its tests will be reported as skipped, or fail in CI.
            Err(error) => say(&format!("continuing without Go {version}: {error:#}")),
        }
    }
    println!("{}", go::build(Program::Service, Version::NEWEST, Mode::Stripped, &mut say)?.display());
    say(&format!("targets ready in {:.0?}", started.elapsed()));
    Ok(())
}

fn build_all(version: Version) -> Result<()> {
    for mode in Mode::ALL.into_iter().filter(|mode| mode.exists_in(version)) {
        println!("{}", go::build(Program::Scenarios, version, mode, &mut say)?.display());
    }
    Ok(())
}
