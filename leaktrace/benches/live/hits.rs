//! What a hit costs the program, where leaktrace probes and at the functions' entries.
//!
//! The same eBPF programs write the same records into the same ring; only the places differ. A Go program goes
//! round a loop on one thread, and says how much processor time that took it: without probes, with those of one
//! kind at the cheap place, and at the entry, one after the other in every round.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use leaktrace::inspect::Inspected;
use leaktrace::kernel::cost::calibrate;
use leaktrace::kernel::nothing::Nothing;
use leaktrace::kernel::{Options, ProbeSite, Probes, Tracee};
use leaktrace::process::find::Target;
use leaktrace::process::{Pid, Procfs};
use leaktrace_common::event::Kind;
use leaktrace_core::plan::{AttachPlan, PlanOptions, PlanStyle, plan};

use crate::go::{self, Running};
use crate::statistics::{Samples, grouped, real};

const ROUNDS: usize = 9;
const MILLISECONDS: u32 = 120;
const INDEX: u16 = 0;

/// leaktrace's own default. It holds what comes in one measurement.
const RING_BYTES: u32 = 16 << 20;

/// The loop of the program that has these events.
const fn loop_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Birth | Kind::End => "spawn",
        Kind::Park | Kind::Ready => "pingpong",
    }
}

/// What was measured for one kind: nanoseconds that a hit adds, by our programs and by one that does nothing.
#[derive(Default)]
struct Figures {
    bare: Samples,
    cheap: Samples,
    entry: Samples,
    ratio: Samples,
    cheap_bound: Samples,
    entry_bound: Samples,
    ratio_bound: Samples,
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
        let bare = self.turn(kind)?;
        let (cheap, cheap_bound) = self.added(&of_kind(cheap, kind), kind, bare)?;
        let (entry, entry_bound) = self.added(&of_kind(entry, kind), kind, bare)?;
        figures.bare.add(bare);
        figures.cheap.add(cheap);
        figures.entry.add(entry);
        figures.ratio.add(entry / cheap);
        figures.cheap_bound.add(cheap_bound);
        figures.entry_bound.add(entry_bound);
        figures.ratio_bound.add(entry / cheap_bound);
        Ok(())
    }

    /// Nanoseconds of processor time that a hit adds: with our program, and with one that does nothing.
    fn added(&mut self, sites: &[ProbeSite], kind: Kind, bare: f64) -> Result<(f64, f64)> {
        let exe = format!("/proc/{}/exe", self.program.pid());
        let layout = self.inspected.program.layout.for_probes();
        let tracee = Tracee { index: INDEX, pid: self.program.pid(), exe: exe.as_ref(), layout };
        self.probes.attach(&tracee, sites.iter().copied())?;
        // The first hits find cold caches, and the sites whose stacks are always taken.
        self.program.ask(&format!("{} 10", loop_of(kind)))?;
        let before = self.probes.counters()?;
        let answer = self.program.ask(&format!("{} {MILLISECONDS}", loop_of(kind)))?;
        let counted = self.probes.counters()?.since(&before);
        self.probes.detach_target(INDEX);
        self.probes.wait_until_detached();
        self.probes.ring.drain(|_| ());
        ensure!(counted.lost() == 0, "{} records were lost", counted.lost());
        let (rounds, cpu) = answer.first().zip(answer.get(1)).context("no answer")?;
        let hits_a_turn = real(counted.hits_of(kind)) / rounds;
        let nothing = Nothing::attach(tracee.pid, &exe, sites)?;
        self.program.ask(&format!("{} 10", loop_of(kind)))?;
        let bound = self.turn(kind)?;
        drop(nothing);
        Ok(((cpu / rounds - bare) / hits_a_turn, (bound - bare) / hits_a_turn))
    }

    /// Nanoseconds of processor time that the loop takes to go round once.
    fn turn(&mut self, kind: Kind) -> Result<f64> {
        let answer = self.program.ask(&format!("{} {MILLISECONDS}", loop_of(kind)))?;
        let (rounds, cpu) = answer.first().zip(answer.get(1)).context("no answer")?;
        Ok(cpu / rounds)
    }
}

fn of_kind(plan: &AttachPlan, kind: Kind) -> Vec<ProbeSite> {
    plan.sites.iter().filter(|site| site.kind == kind).map(Into::into).collect()
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
    println!("\nThe same with a program that does nothing: what the kernel alone takes.\n");
    println!("| event | cheap place | ours on top | at the entry | our entry / nothing at the cheap place |");
    println!("|---|---:|---:|---:|---:|");
    for kind in Kind::ALL {
        let of = &figures[kind.index()];
        println!(
            "| {} | {} | {} | {} | **{:.1}** |",
            kind.as_str(),
            grouped(of.cheap_bound.median()),
            grouped(of.cheap.median() - of.cheap_bound.median()),
            grouped(of.entry_bound.median()),
            of.ratio_bound.median(),
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
