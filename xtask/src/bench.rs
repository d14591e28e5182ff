//! `cargo xtask bench`: what leaktrace costs and how fast it is, in tables for docs/performance.md.

use anyhow::Result;
use leaktrace_tests::privilege;

use crate::step::{self, cargo, say};
use crate::test::runner_variable;

/// What is measured without a kernel.
const PURE: &str = "registry";

/// Measure cost and speed, on real Go programs (through sudo unless root): hits, drain, start, parked, http, registry
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these
    names: Vec<String>,
}

/// Builds what is measured as users get it, and measures.
pub(crate) fn run(args: &Args) -> Result<()> {
    let (pure, live): (Vec<&String>, Vec<&String>) = args.names.iter().partition(|name| *name == PURE);
    if args.names.is_empty() || !live.is_empty() {
        let mut bench = cargo();
        bench.args(["bench", "--package", "leaktrace", "--bench", "live", "--"]).args(live);
        if !privilege::is_root() {
            say("probing needs root: running through sudo");
            bench.env(runner_variable(), "sudo --preserve-env=PATH,HOME,XDG_CACHE_HOME,LEAKTRACE_GO_DIR");
        }
        step::run("measuring with a real kernel and real Go programs", &mut bench)?;
    }
    if args.names.is_empty() || !pure.is_empty() {
        let mut bench = cargo();
        bench.args(["bench", "--package", "leaktrace-core", "--bench", "registry"]);
        step::run("measuring the registry alone", &mut bench)?;
    }
    Ok(())
}
