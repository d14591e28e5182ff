//! The Go programs of the benchmarks: built with the newest release that the tests know, and run.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use leaktrace_tests::go::run::run;
use leaktrace_tests::go::toolchain::cache_dir;
use leaktrace_tests::go::{Toolchain, Version};

/// Builds a program of `benches/go` with the newest release; Go itself knows when nothing is to be done.
pub(crate) fn build(name: &str) -> Result<PathBuf> {
    let toolchain = Toolchain::get(Version::NEWEST, &mut |what| eprintln!("bench: {what}"))?;
    let directory = cache_dir("benches");
    std::fs::create_dir_all(&directory)?;
    let binary = directory.join(name);
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/go");
    let mut command = toolchain.go();
    command.current_dir(sources).env("CGO_ENABLED", "0");
    command.args(["build", "-trimpath", "-buildvcs=false", "-o"]).arg(&binary).arg(format!("./{name}"));
    run(&mut command).with_context(|| format!("cannot build {name}"))?;
    Ok(binary)
}

/// A running program that answers on stdout; killed when dropped.
pub(crate) struct Running {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = started.with_context(|| format!("cannot start {command:?}"))?;
        let stdin = child.stdin.take().context("stdin is piped")?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        Ok(Self { child, stdin, stdout: BufReader::new(stdout) })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line that it writes.
    pub(crate) fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stdout.read_line(&mut line)? == 0 {
            bail!("the program has ended: {}", self.child.wait()?);
        }
        Ok(line.trim().to_owned())
    }

    /// Sends a line and returns the numbers of the answer.
    pub(crate) fn ask(&mut self, line: &str) -> Result<Vec<f64>> {
        writeln!(self.stdin, "{line}")?;
        let answer = self.line()?;
        numbers(&answer)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It can only have ended by itself: nothing is left to do then.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The numbers in a line.
pub(crate) fn numbers(line: &str) -> Result<Vec<f64>> {
    let numbers = line.split_whitespace().map(|word| word.parse().context(line.to_owned()));
    numbers.collect()
}
