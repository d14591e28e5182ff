//! `cargo xtask foreign`: programs that others wrote, out of their packages.

use std::process::Command;

use anyhow::{Result, bail};
use leaktrace_tests::foreign::{ALL, Foreign};
use leaktrace_tests::privilege;

use crate::step::{build_leaktrace, cargo, say, watch};
use crate::test::runner_variable;

/// Dump and watch third-party Go programs while they work (through sudo unless root)
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only programs whose names contain these words
    words: Vec<String>,
    /// Fetch the programs without running the tests
    #[arg(long)]
    fetch: bool,
}

/// Fetches what is missing, lists it and runs the tests.
pub(crate) fn run(args: &Args) -> Result<()> {
    fetch();
    if args.fetch {
        return Ok(());
    }
    let mut test = cargo();
    test.args(["test", "--package", "leaktrace-tests", "--test", "foreign", "--", "--nocapture"]);
    test.env("LEAKTRACE_CELLS", args.words.join(" ")).env("LEAKTRACE_BIN", build_leaktrace()?);
    if !watch("dumping and watching third-party programs", as_root(&mut test), &mut |_| {})? {
        bail!("some programs could not be dumped and watched");
    }
    Ok(())
}

fn as_root(test: &mut Command) -> &mut Command {
    if privilege::is_root() {
        return test;
    }
    say("probing needs root: running through sudo");
    let kept = "sudo --preserve-env=PATH,HOME,XDG_CACHE_HOME,LEAKTRACE_CELLS,LEAKTRACE_BIN";
    test.env(runner_variable(), kept)
}

/// Fetches every program. The tests of one that cannot be fetched will be reported as skipped, or fail in CI.
pub(crate) fn fetch() {
    for program in &ALL {
        fetch_one(program);
    }
}

fn fetch_one(program: &Foreign) {
    match program.fetch(&mut say) {
        Ok(binary) => println!("{:<14} {:<34} {}", program.name, program.build, binary.display()),
        Err(error) => say(&format!("continuing without {}: {error:#}", program.name)),
    }
}
