//! `cargo xtask fuzz`: tries everything that reads foreign bytes on inputs that grow by what they reach.
//!
//! libFuzzer needs counters in the code, which stable Rust can compile in; `cargo fuzz` and a nightly are not needed. Of
//! the sanitizers none is used: `leaktrace-core` has no unsafe code.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::thread;

use anyhow::{Context as _, Result, bail};
use leaktrace_tests::Mode;
use leaktrace_tests::go::prerequisites::ensure_cpp_compiler;
use leaktrace_tests::go::{Program, Version, build};

use crate::step::{cargo, run as run_step, say};

/// Feed mutated files, tables, recordings and memory to the code that reads them
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Seconds to fuzz each target
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Fuzz targets to run [default: all]
    targets: Vec<String>,
}

/// The names that `fuzz/src/main.rs` knows.
const TARGETS: [&str; 11] = [
    "elf",
    "pclntab",
    "modules",
    "buildinfo",
    "dwarf",
    "types",
    "core",
    "snapshot",
    "recording",
    "event",
    "memory",
];

/// What makes rustc count where the code goes, as `cargo fuzz` has it.
const COUNTERS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=4";

/// Ten seconds for one input are a hang; a gigabyte, one that believed a length.
const LIMITS: [&str; 4] = ["-timeout=10", "-rss_limit_mb=1024", "-max_len=16384", "-verbosity=0"];

/// Builds the fuzzer and tries every target, as many at a time as there are processors.
pub(crate) fn run(args: &Args) -> Result<()> {
    let chosen =
        if args.targets.is_empty() { TARGETS.map(str::to_owned).to_vec() } else { args.targets.clone() };
    let fuzzer = Fuzzer::build(args.seconds)?;
    let (left, failed) = (Mutex::new(chosen.into_iter()), Mutex::new(Vec::new()));
    let next = || left.lock().ok()?.next();
    let work = || {
        while let Some(target) = next() {
            if let Err(error) = fuzzer.try_target(&target) {
                say(&format!("fuzz {target}: {error:#}"));
                failed.lock().expect("nobody panics with it").push(target);
            }
        }
    };
    thread::scope(|scope| {
        let workers = thread::available_parallelism().map_or(1, usize::from);
        (0..workers).for_each(|_| drop(scope.spawn(work)));
    });
    let failed = failed.into_inner().unwrap_or_default();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// The fuzzer and what it works with.
struct Fuzzer {
    binary: PathBuf,
    /// The Go program that some targets need.
    program: PathBuf,
    corpus: PathBuf,
    /// Where what it finds goes.
    finds: PathBuf,
    seconds: u64,
}

impl Fuzzer {
    fn build(seconds: u64) -> Result<Self> {
        ensure_cpp_compiler(&mut say)?;
        let program = build(Program::Scenarios, Version::NEWEST, Mode::Stripped, &mut say)?;
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the repository has a root")?;
        let target = root.join("target/fuzz");
        // With a target of its own, build scripts are compiled without the counters.
        let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let mut command = cargo();
        command
            .current_dir(root.join("fuzz"))
            .env("RUSTFLAGS", COUNTERS)
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        command.args(["build", "--release", "--locked", "--quiet", "--target", &triple, "--target-dir"]);
        run_step("building the fuzzer", command.arg(&target))?;
        let binary = target.join(triple).join("release/leaktrace-fuzz");
        Ok(Self { binary, program, corpus: root.join("fuzz/corpus"), finds: target.join("finds"), seconds })
    }

    fn try_target(&self, target: &str) -> Result<()> {
        let grown = self.finds.join(target);
        std::fs::create_dir_all(&grown)?;
        let mut command = Command::new(&self.binary);
        command.env("LEAKTRACE_FUZZ", target).env("LEAKTRACE_FUZZ_PROGRAM", &self.program);
        command.args(LIMITS).arg(format!("-max_total_time={}", self.seconds)).arg("-print_final_stats=1");
        command.arg(format!("-artifact_prefix={}/{target}-", self.finds.display()));
        let output = command.arg(&grown).arg(self.corpus.join(target)).output();
        let output = output.with_context(|| format!("cannot start {}", self.binary.display()))?;
        let runs = runs(&output);
        if !output.status.success() {
            eprintln!("{}", String::from_utf8_lossy(&output.stderr));
            bail!(
                "{} after {runs} runs: keep the input in fuzz/corpus/{target} when it is mended",
                output.status
            );
        }
        say(&format!("fuzz {target}: {runs} runs"));
        Ok(())
    }
}

/// How many inputs were tried, in libFuzzer's own words.
fn runs(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    line.map_or_else(|| "an unknown number of".to_owned(), |number| number.trim().to_owned())
}
