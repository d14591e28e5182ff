//! `cargo xtask bench`: what leaktrace costs and how fast it is, in tables for docs/performance.md.

use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Result, bail};
use leaktrace_tests::privilege;

use crate::page;
use crate::step::{cargo, say, watch};
use crate::test::runner_variable;

/// What is measured without a kernel, and what its figures are headed with.
const PURE: [(&str, &str); 2] = [("registry", "The registry alone"), ("render", "Writing dumps alone")];

/// Measure cost and speed on real Go programs (through sudo unless root): hits, budget, targets, drain, start, parked, http, leak, dump, agent, registry, render
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Benchmarks to run [default: all]
    names: Vec<String>,
    /// Write the figures of all benchmarks to docs/performance.md (use an otherwise idle machine)
    #[arg(long, conflicts_with = "names")]
    save: bool,
    /// Measure a third as often, and skip what takes minutes
    #[arg(long, conflicts_with = "save")]
    quick: bool,
}

/// Builds what is measured as users get it, and measures.
pub(crate) fn run(args: &Args) -> Result<()> {
    let is_pure = |name: &&String| PURE.iter().any(|(pure, _)| name == pure);
    let (pure, live): (Vec<&String>, Vec<&String>) = args.names.iter().partition(is_pure);
    let mut figures = String::new();
    if args.names.is_empty() || !live.is_empty() {
        let mut bench = cargo();
        bench
            .args(["bench", "--package", "leaktrace", "--features", "bench", "--bench", "live", "--"])
            .args(live);
        bench.args(args.quick.then_some("--quick"));
        if !privilege::is_root() {
            say("probing needs root: running through sudo");
            bench.env(runner_variable(), "sudo --preserve-env=PATH,HOME,XDG_CACHE_HOME,LEAKTRACE_GO_DIR");
        }
        measure("measuring with a real kernel and real Go programs", &mut bench, &mut figures)?;
    }
    for (name, heading) in PURE {
        if args.names.is_empty() || pure.iter().any(|wanted| *wanted == name) {
            let mut bench = cargo();
            bench.args(["bench", "--package", "leaktrace-core", "--bench", name]);
            writeln!(figures, "### {heading} (`cargo xtask bench {name}`)\n\n```text")?;
            measure(&format!("measuring without a kernel: {name}"), &mut bench, &mut figures)?;
            figures.push_str("```\n\n");
        }
    }
    if args.save {
        page::save("docs/performance.md", "cargo xtask bench --save", &figures)?;
    }
    Ok(())
}

fn measure(name: &str, bench: &mut Command, figures: &mut String) -> Result<()> {
    let succeeded = watch(name, bench, &mut |line| {
        figures.push_str(line);
        figures.push('\n');
    })?;
    if !succeeded {
        bail!("{name} failed");
    }
    Ok(())
}
