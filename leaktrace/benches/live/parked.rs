//! Many goroutines that wait: how long reading all their stacks takes, and how much memory leaktrace needs.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use leaktrace::inspect::Inspected;
use leaktrace::process::find::HeldProcess;
use leaktrace::process::{Pid, Procfs};
use leaktrace_core::base::num::Ktime;
use leaktrace_core::go::goroutines::{Snapshot, Walker, WalkerInput, Want};

use crate::effort::Effort;
use crate::go::{self, Running};
use crate::statistics::{Samples, grouped, in_seconds, real, seconds};
use crate::tracer::{Leaktrace, thread_time};

const ROUNDS: usize = 7;
const COUNTS: [u64; 2] = [100_000, 1_000_000];

pub(crate) fn run(effort: Effort) -> Result<()> {
    let rounds = effort.rounds(ROUNDS);
    println!("### Parked goroutines (`cargo xtask bench parked`)\n");
    println!(
        "A snapshot is every goroutine's state and whole stack; medians of {rounds}. Memory is `VmHWM` of"
    );
    println!("`leaktrace --pid PID --interval 1s` until it has ended with its last report.\n");
    println!(
        "| goroutines | frames | states only | with stacks | of it on a CPU | first report | peak memory |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|");
    for count in COUNTS {
        row(count, rounds)?;
    }
    println!();
    Ok(())
}

fn row(count: u64, rounds: usize) -> Result<()> {
    let mut program = Running::start(Command::new(go::build("parked")?).arg(count.to_string()))?;
    program.line()?;
    let headers = snapshots(program.pid(), Want::Headers, count, rounds)?;
    let stacks = snapshots(program.pid(), Want::Stacks, count, rounds)?;
    let leaktrace = Leaktrace::start(program.pid(), "--interval 1s --min-age 0s")?;
    let first_report = leaktrace.first_report;
    std::thread::sleep(Duration::from_secs(4));
    let peak = leaktrace.finish()?;
    println!(
        "| {} | {:.1} | {} | **{}** | {} | {} | **{:.0} MB** |",
        grouped(real(count)),
        stacks.frames,
        seconds(headers.wall.median()),
        seconds(stacks.wall.median()),
        seconds(stacks.cpu.median()),
        seconds(in_seconds(first_report)),
        real(peak) / 1e6,
    );
    Ok(())
}

/// Times of several snapshots, and how deep stacks are on average.
struct Snapshots {
    wall: Samples,
    cpu: Samples,
    frames: f64,
}

fn snapshots(pid: u32, want: Want, count: u64, rounds: usize) -> Result<Snapshots> {
    let procfs = Procfs::system();
    let target = Arc::new(HeldProcess::open(&procfs, Pid(pid))?);
    let inspected = Inspected::new(Arc::clone(&target), &procfs)?;
    let mut walker = Walker::new(WalkerInput::of(inspected.program()));
    let mut taken = Snapshots { wall: Samples::default(), cpu: Samples::default(), frames: 0.0 };
    for _ in 0..rounds {
        let (began, cpu) = (Instant::now(), thread_time());
        let snapshot = walker.snapshot(&inspected.memory(), want, &|| Ktime(0))?;
        taken.wall.add(in_seconds(began.elapsed()));
        taken.cpu.add(in_seconds(thread_time().saturating_sub(cpu)));
        let seen = snapshot.goroutines.len() as u64;
        ensure!(seen >= count, "only {seen} of {count} goroutines were seen");
        ensure!(snapshot.unreadable == 0, "{} goroutines could not be read", snapshot.unreadable);
        taken.frames = mean_depth(&snapshot);
    }
    Ok(taken)
}

fn mean_depth(snapshot: &Snapshot) -> f64 {
    let depth = |id| snapshot.stacks.get(id).map_or(0, |stack| stack.pcs.len() as u64);
    let frames: u64 = snapshot.goroutines.iter().filter_map(|one| one.stack_id).map(depth).sum();
    real(frames) / real(snapshot.goroutines.len() as u64)
}
