//! `cargo xtask check`: everything that is checked without running leaktrace.

use std::process::Command;

use anyhow::{Result, bail};

use crate::step::{cargo, run, say};
use crate::{ebpf, facts, licences, named, releases, rules};

/// Check format, lints, documentation, the dependency rules, licences and the rules of the tests
#[derive(clap::Args)]
pub(crate) struct Args {}

type Check = (&'static str, fn() -> Result<()>);

/// Runs every check, and fails when any did.
pub(crate) fn run_all(_: &Args) -> Result<()> {
    let checks: [Check; 12] = [
        ("format", format),
        ("lints", lints),
        ("documentation", documentation),
        ("files that documents name", named::check),
        ("dependency rules", rules::dependencies),
        ("comparisons of Go releases", releases::check),
        ("facts about Go releases", facts::check),
        ("folders that use each other", rules::folders),
        ("sizes of functions and files", rules::sizes),
        ("licences and sources of dependencies", licences::check),
        ("rules of the tests", rules::tests),
        ("eBPF objects", ebpf::check),
    ];
    let mut failed = Vec::new();
    for (name, check) in checks {
        if let Err(error) = check() {
            say(&format!("{name}: {error:#}"));
            failed.push(name);
        }
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    say("every check passed");
    Ok(())
}

fn format() -> Result<()> {
    run("cargo fmt", cargo().args(["fmt", "--all", "--check"]))
}

fn lints() -> Result<()> {
    run(
        "cargo clippy",
        cargo().args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--features",
            "leaktrace/bench",
            "--",
            "-D",
            "warnings",
        ]),
    )
}

fn documentation() -> Result<()> {
    let mut doc: Command = cargo();
    run("cargo doc", doc.args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
}
