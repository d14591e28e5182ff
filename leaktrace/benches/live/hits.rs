//! What a hit costs the program, where leaktrace probes and at the functions' entries.
//!
//! The same eBPF programs write the same records into the same ring; only the places differ. A Go program goes
//! round a loop on one thread, and says how much processor time that took it: without probes, with those of one
//! kind at the cheap place, and at the entry, one after the other in every round.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use leaktrace::inspect::Inspected;
use leaktrace::kernel::cost::calibrate;
use leaktrace::kernel::{Options, Probes, Tracee};
use leaktrace::process::find::Target;
use leaktrace::process::{Pid, Procfs};
use leaktrace_common::event::Kind;
use leaktrace_core::plan::{AttachPlan, PlanOptions, PlanStyle, plan};

use crate::go::{self, Running};
use crate::statistics::{Samples, grouped, real};

const ROUNDS: usize = 9;
const MILLISECONDS: u32 = 120;
const INDEX: u16 = 0;

/// Holds what comes in one measurement, so that no hit is cheaper because it found no room.
const RING_BYTES: u32 = 128 << 20;

/// The loop of the program that has these events.
const fn loop_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Birth | Kind::End => "spawn",
        Kind::Park | Kind::Ready => "pingpong",
    }
}

/// What was measured for one kind.
#[derive(Default)]
struct Figures {
    bare: Samples,
    cheap: Samples,
    entry: Samples,
    ratio: Samples,
}

pub(crate) fn run() -> Result<()> {
    let binary = go::build("loops")?;
    let mut program = Running::start(Command::new(binary).env("GOMAXPROCS", "1"))?;
    // Once it answers, its binary is mapped.
    program.ask("spawn 1")?;
    let procfs = Procfs::system();
    let target = Target::open(&procfs, Pid(program.pid()))?;
    let inspected = Inspected::new(&target, &procfs)?;
    let mut probes = Probes::load(&Options::with_ring_bytes(RING_BYTES))?;
    let cheap = inspected.plan(&Kind::ALL, calibrate(&mut probes)?.prefers_long_nops())?;
    let options = PlanOptions { style: PlanStyle::Entry, ..PlanOptions::default() };
    let entry = plan(&inspected.elf, &inspected.program, &Kind::ALL, options)?;
    let mut bench = Bench { program, probes, inspected: &inspected };
    let mut figures: [Figures; Kind::ALL.len()] = Default::default();
    for _ in 0..ROUNDS {
        for kind in Kind::ALL {
            bench.round(kind, &cheap, &entry, &mut figures[kind.index()])?;
        }
    }
    print(&figures, &cheap, &entry);
    Ok(())
}

struct Bench<'i> {
    program: Running,
    probes: Probes,
    inspected: &'i Inspected<'i>,
}

impl Bench<'_> {
    fn round(
        &mut self,
        kind: Kind,
        cheap: &AttachPlan,
        entry: &AttachPlan,
        figures: &mut Figures,
    ) -> Result<()> {
        let bare = self.go_round(kind)?;
        let cheap = self.added(kind, cheap, bare)?;
        let entry = self.added(kind, entry, bare)?;
        figures.bare.add(bare);
        figures.cheap.add(cheap);
        figures.entry.add(entry);
        figures.ratio.add(entry / cheap);
        Ok(())
    }

    /// Nanoseconds of processor time that a hit adds.
    fn added(&mut self, kind: Kind, plan: &AttachPlan, bare: f64) -> Result<f64> {
        let layout = self.inspected.program.layout.for_probes();
        let exe = format!("/proc/{}/exe", self.program.pid());
        let tracee = Tracee { index: INDEX, pid: self.program.pid(), exe: exe.as_ref(), layout };
        let sites = plan.sites.iter().filter(|site| site.kind == kind);
        self.probes.attach(&tracee, sites.map(Into::into))?;
        // The first hits find cold caches, and the sites whose stacks are always taken.
        self.program.ask(&format!("{} 10", loop_of(kind)))?;
        let before = self.probes.counters()?;
        let rounds_and_time = self.program.ask(&format!("{} {MILLISECONDS}", loop_of(kind)))?;
        let counted = self.probes.counters()?.since(&before);
        self.probes.detach_target(INDEX);
        self.probes.wait_until_detached();
        self.probes.ring.drain(|_| ());
        ensure!(counted.lost() == 0, "{} records were lost", counted.lost());
        let [rounds, cpu, ..] = rounds_and_time[..] else { anyhow::bail!("no answer") };
        Ok((cpu - bare * rounds) / real(counted.hits_of(kind)))
    }

    /// Nanoseconds of processor time that the loop takes to go round without probes.
    fn go_round(&mut self, kind: Kind) -> Result<f64> {
        let answer = self.program.ask(&format!("{} {MILLISECONDS}", loop_of(kind)))?;
        let (rounds, cpu) = answer.first().zip(answer.get(1)).context("no answer")?;
        Ok(cpu / rounds)
    }
}

fn print(figures: &[Figures], cheap: &AttachPlan, entry: &AttachPlan) {
    println!("### What a hit adds (`cargo xtask bench hits`)\n");
    println!("Nanoseconds of the target's processor time, medians of {ROUNDS} interleaved rounds.\n");
    println!(
        "| event | cheap place | adds | at the entry | adds | entry / cheap | lowest–highest | loop without probes |"
    );
    println!("|---|---|---:|---|---:|---:|---:|---:|");
    for kind in Kind::ALL {
        let of = &figures[kind.index()];
        let (low, high) = of.ratio.range();
        println!(
            "| {} | {} | {} | {} | {} | **{:.1}** | {low:.0}–{high:.0} | {} {} |",
            kind.as_str(),
            place(cheap, kind),
            grouped(of.cheap.median()),
            place(entry, kind),
            grouped(of.entry.median()),
            of.ratio.median(),
            loop_of(kind),
            grouped(of.bare.median()),
        );
    }
    println!();
}

fn place(plan: &AttachPlan, kind: Kind) -> String {
    let sites = plan.sites.iter().filter(|site| site.kind == kind);
    let places: Vec<String> = sites
        .map(|site| format!("`{}+{:#x} {}`", site.function, site.offset_in_function, site.instruction))
        .collect();
    places.join(", ")
}
