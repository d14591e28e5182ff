//! From the start of `leaktrace --pid` to its first report.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::go::{self, Running};
use crate::large;
use crate::statistics::{Samples, in_seconds, seconds};
use crate::tracer::Leaktrace;

const ROUNDS: usize = 9;

pub(crate) fn run() -> Result<()> {
    println!("### From start to the first report (`cargo xtask bench start`)\n");
    println!("`leaktrace --pid PID` with no other option; median of {ROUNDS}.\n");
    println!("| target | file | function table | first report | lowest–highest |");
    println!("|---|---:|---:|---:|---:|");
    let binary = go::build("loops")?;
    let mut small = Running::start(&mut Command::new(&binary))?;
    // Once it answers, its binary is mapped.
    small.ask("spawn 1")?;
    row("a small Go 1.27 program, not stripped", &binary, small.pid())?;
    match large::start() {
        Ok((large, binary)) => row("Debian's packer (Go 1.19), stripped", &binary, large.pid())?,
        Err(error) => println!("| a large program: not measured, {error:#} | | | | |"),
    }
    println!();
    Ok(())
}

fn row(name: &str, binary: &Path, pid: u32) -> Result<()> {
    let mut times = Samples::default();
    for _ in 0..ROUNDS {
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
