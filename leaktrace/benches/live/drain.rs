//! Events a second through ring, decoding and registry.
//!
//! The records are real ones: a Go program in which goroutines are born, wait, are woken and end runs with all four
//! probes. First the ring is filled while nobody reads, and then drained at once: what one core can take. Then ring
//! and program run side by side: whether that is without loss.

use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use leaktrace::inspect::Inspected;
use leaktrace::kernel::{Counters, Hub, HubOptions};
use leaktrace::process::find::HeldProcess;
use leaktrace::process::{Pid, Procfs};
use leaktrace_common::event::Kind;
use leaktrace_core::base::num::Ktime;
use leaktrace_core::trace::registry::Registry;

use crate::effort::Effort;
use crate::go::{self, Running};
use crate::statistics::{Samples, grouped, in_seconds, real};
use crate::tracer::{Attached, DrainThread, Drained, drain};

const ROUNDS: usize = 7;
const MILLION: u64 = 1_000_000;
const FILLED_RING: u32 = 256 << 20;
/// leaktrace's own default.
const USUAL_RING: u32 = 16 << 20;

pub(crate) fn run(effort: Effort) -> Result<()> {
    let mut program = Running::start(Command::new(go::build("loops")?).env("GOMAXPROCS", "1"))?;
    // Once it answers, its binary is mapped.
    program.ask("spawn 1")?;
    let rounds = effort.rounds(ROUNDS);
    let filled = filled(&mut program, rounds)?;
    let mut capacity = Samples::default();
    let mut wall = Samples::default();
    for drained in &filled {
        capacity.add(real(drained.events) / in_seconds(drained.cpu));
        wall.add(real(drained.events) / in_seconds(drained.wall));
    }
    println!("### Through ring, decoding and registry (`cargo xtask bench drain`)\n");
    println!("| what | events/s | lost |");
    println!("|---|---:|---:|");
    println!(
        "| full ring of {} records drained at once, per second of CPU | **{}** | 0 |",
        grouped(real(filled[0].events)),
        grouped(capacity.median())
    );
    println!("| the same by the clock, median of {rounds} | {} | 0 |", grouped(wall.median()));
    sustained(&mut program)
}

/// Fills the ring with a million events or more, and drains it; several times.
fn filled(program: &mut Running, times: usize) -> Result<Vec<Drained>> {
    let mut attached = attached(program.pid(), FILLED_RING)?;
    let mut registry = Registry::new(Ktime(0));
    let mut rounds = Vec::new();
    for _ in 0..times {
        let before = attached.counters()?;
        let mut counted = Counters::default();
        while counted.hits.iter().sum::<u64>() < MILLION {
            program.ask("mix 50")?;
            counted = attached.counters()?.since(&before);
        }
        ensure!(counted.lost() == 0, "{} records found no room", counted.lost());
        rounds.push(drain(&mut attached, &mut registry));
    }
    Ok(rounds)
}

/// One thread of the program makes events as fast as it can, and one of ours takes them.
fn sustained(program: &mut Running) -> Result<()> {
    let reader = DrainThread::start(attached(program.pid(), USUAL_RING)?, Registry::new(Ktime(0)));
    let answer = program.ask("mix 5000")?;
    let took = answer.get(2).context("no answer")? / 1e9;
    let (drained, counters) = reader.finish()?;
    let hits: u64 = counters.hits.iter().sum();
    ensure!(drained.undecodable == 0, "{} records cannot be decoded", drained.undecodable);
    ensure!(hits == drained.events + counters.lost(), "{hits} hits, {} events", drained.events);
    println!(
        "| while one thread of a Go program makes them as fast as it can, 5 s; ring of 16 MiB | {} | {} |",
        grouped(real(hits) / took),
        grouped(real(counters.lost()))
    );
    println!(
        "| … of which the reader used {:.0}% of a core: what that core could take | {} | |\n",
        in_seconds(drained.cpu) / in_seconds(drained.wall) * 100.0,
        grouped(real(drained.events) / in_seconds(drained.cpu)),
    );
    Ok(())
}

/// All four probes, where leaktrace puts them.
fn attached(pid: u32, ring_bytes: u32) -> Result<Attached> {
    let procfs = Procfs::system();
    let target = Arc::new(HeldProcess::open(&procfs, Pid(pid))?);
    let inspected = Inspected::new(Arc::clone(&target), &procfs)?;
    let hub = Hub::new(HubOptions::default())?;
    let plan = inspected.plan(&Kind::IN_RUNTIME)?;
    Attached::new(hub, &target, &inspected, &plan, ring_bytes)
}
