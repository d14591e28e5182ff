//! From the start of `leaktrace --pid` to its first report.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::effort::Effort;
use crate::go::{self, Running};
use crate::large;
use crate::statistics::{Samples, in_seconds, seconds};
use crate::tracer::Leaktrace;

const ROUNDS: usize = 9;

pub(crate) fn run(effort: Effort) -> Result<()> {
    let rounds = effort.rounds(ROUNDS);
    println!("### From start to the first report (`cargo xtask bench start`)\n");
    println!("`leaktrace --pid PID` with no other option; median of {rounds}.\n");
    println!("| target | file | function table | first report | lowest–highest |");
    println!("|---|---:|---:|---:|---:|");
    let binary = go::build("loops")?;
    let mut small = Running::start(&mut Command::new(&binary))?;
    // Once it answers, its binary is mapped.
    small.ask("spawn 1")?;
    row("a small Go 1.27 program, not stripped", &binary, small.pid(), rounds)?;
    match large::start() {
        Ok((large, binary)) => row("Debian's packer (Go 1.19), stripped", &binary, large.pid(), rounds)?,
        Err(error) => println!("| a large program: not measured, {error:#} | | | | |"),
    }
    println!();
    Ok(())
}

fn row(name: &str, binary: &Path, pid: u32, rounds: usize) -> Result<()> {
    let mut times = Samples::default();
    for _ in 0..rounds {
        let leaktrace = Leaktrace::start(pid, "")?;
        times.add(in_seconds(leaktrace.first_report));
        leaktrace.finish()?;
    }
    let (file, table) = large::sizes(binary)?;
    let (low, high) = times.range();
    println!(
        "| {name} | {file:.0} MB | {table:.1} MB | **{}** | {}–{} |",
        seconds(times.median()),
        seconds(low),
        seconds(high)
    );
    Ok(())
}
