//! `cargo xtask test`: every test, with a real kernel and real Go programs.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};
use leaktrace_tests::go::prerequisites::ensure_gcore;
use leaktrace_tests::{browser, privilege};

use crate::step::{build_leaktrace, cargo, say, watch};
use crate::{foreign, targets};

/// Run all tests: unit tests, and end-to-end tests on real Go programs (through sudo unless root)
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only tests whose name contains this
    filter: Option<String>,
}

/// Fetches and builds what the tests need, runs them and sums up.
pub(crate) fn run(args: &Args) -> Result<()> {
    let leaktrace = build_leaktrace()?;
    targets::run(&targets::Args::default())?;
    if let Err(error) = ensure_gcore(&mut say) {
        // The tests that need it will say so.
        say(&format!("continuing without gcore: {error:#}"));
    }
    foreign::fetch();
    if let Err(error) = browser::ensure(&mut say) {
        // Its tests will be reported as skipped, or fail in CI.
        say(&format!("continuing without a browser: {error:#}"));
    }
    let skip_log = leaktrace.with_file_name("skipped-tests.txt");
    fs::write(&skip_log, "")?;

    let mut tally = Tally::default();
    // With the feature that leaktrace turns on: without leaktrace among the packages, nobody else does.
    let features = ["--features", "leaktrace-core/svg"];
    let pure = ["--workspace", "--exclude", "leaktrace", "--exclude", "leaktrace-tests"];
    let pure = [&features[..], &pure[..]].concat();
    let mut pure = cargo_test(&pure, args, &leaktrace, &skip_log);
    tally.add("tests of the pure parts", &mut pure)?;
    let live = ["--package", "leaktrace", "--package", "leaktrace-tests"];
    let mut live = cargo_test(&live, args, &leaktrace, &skip_log);
    if !privilege::is_root() {
        live.env(runner_variable(), sudo_runner(&leaktrace, &skip_log));
    }
    tally.add("tests with a real kernel and real Go programs", &mut live)?;
    tally.sum_up(&fs::read_to_string(&skip_log)?)
}

fn cargo_test(packages: &[&str], args: &Args, leaktrace: &Path, skip_log: &Path) -> Command {
    let mut command = cargo();
    command.args(["test", "--no-fail-fast"]).args(packages).args(&args.filter);
    command.env("LEAKTRACE_BIN", leaktrace).env("LEAKTRACE_SKIP_LOG", skip_log);
    command
}

/// cargo runs tests through the program named in this variable.
pub(crate) fn runner_variable() -> String {
    format!("CARGO_TARGET_{}_UNKNOWN_LINUX_GNU_RUNNER", std::env::consts::ARCH.to_uppercase())
}

/// sudo drops the environment: what the tests need of it is named again.
fn sudo_runner(leaktrace: &Path, skip_log: &Path) -> String {
    say("the tests need root: running them through sudo");
    let kept =
        ["PATH", "HOME", "XDG_CACHE_HOME", "CI", "LEAKTRACE_CELLS", "LEAKTRACE_GO_DIR", "CARGO_TARGET_DIR"];
    let own = kept.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    let set = own.chain([
        ("LEAKTRACE_BIN", leaktrace.as_os_str().to_owned()),
        ("LEAKTRACE_SKIP_LOG", skip_log.as_os_str().to_owned()),
    ]);
    let words = set.map(|(name, value)| format!("{name}={}", OsStr::to_string_lossy(&value)));
    format!("sudo env {}", words.collect::<Vec<_>>().join(" "))
}

/// What came of the tests.
#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    broken: Vec<String>,
}

impl Tally {
    fn add(&mut self, name: &str, command: &mut Command) -> Result<()> {
        let succeeded = watch(name, command, &mut |line| {
            self.passed += count(line, " passed");
            self.failed += count(line, " failed");
        })?;
        if !succeeded {
            self.broken.push(name.to_owned());
        }
        Ok(())
    }

    /// A test that was skipped returned early, so cargo counted it as passed: we do not.
    fn sum_up(&self, skip_log: &str) -> Result<()> {
        let skipped: Vec<&str> = skip_log.lines().collect();
        for line in &skipped {
            println!("skipped: {line}");
        }
        let passed = self.passed.saturating_sub(skipped.len() as u64);
        println!("{passed} passed, {} failed, {} skipped", self.failed, skipped.len());
        if !self.broken.is_empty() {
            bail!("failed: {}", self.broken.join(", "));
        }
        Ok(())
    }
}

/// The number before `what` in cargo's `test result: ok. 3 passed; 0 failed; …`.
fn count(line: &str, what: &str) -> u64 {
    let Some(result) = line.strip_prefix("test result: ") else { return 0 };
    let number = result.split(';').find_map(|part| part.strip_suffix(what));
    number.and_then(|part| part.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn results_are_read_from_cargos_words() {
        let line =
            "test result: FAILED. 41 passed; 2 failed; 0 ignored; 0 measured; 7 filtered out; finished in 1s";
        assert_eq!((count(line, " passed"), count(line, " failed")), (41, 2));
        assert_eq!(count("41 passed; 2 failed", " passed"), 0);
    }
}
