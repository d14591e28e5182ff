//! What a hit costs the program, where leaktrace probes and at the functions' entries.
//!
//! The same eBPF programs write the same records into the same ring; only the places differ. A Go program goes
//! round a loop on one thread, and says how much processor time that took it: without probes, with those of one
//! kind at the cheap place, and at the entry, one after the other in every round. Then with all four at once, and
//! with what a tool has to do that finds no better places.

mod table;

use std::fs::File;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use leaktrace::inspect::Inspected;
use leaktrace::kernel::nothing::Nothing;
use leaktrace::kernel::{Hub, HubOptions, ProbeSite, TargetOptions, Tracee};
use leaktrace::process::find::HeldProcess;
use leaktrace::process::{Pid, Procfs};
use leaktrace_common::event::Kind;
use leaktrace_core::base::num::FileOffset;
use leaktrace_core::go::code::Code;
use leaktrace_core::trace::budget::Kinds;
use leaktrace_core::trace::plan::{AttachPlan, PlanStyle, plan};

use crate::effort::Effort;
use crate::go::{self, Running};
use crate::statistics::{Samples, real};

const ROUNDS: usize = 9;
const MILLISECONDS: u32 = 120;

/// leaktrace's own default. It holds what comes in one measurement.
const RING_BYTES: u32 = 16 << 20;

/// What is probed at a time, and the loop of the program that has these events.
struct ProbeSet {
    name: &'static str,
    kinds: &'static [Kind],
    round: &'static str,
}

const ROWS: [ProbeSet; 5] = [
    ProbeSet { name: "birth", kinds: &[Kind::Birth], round: "spawn" },
    ProbeSet { name: "end", kinds: &[Kind::End], round: "spawn" },
    ProbeSet { name: "park", kinds: &[Kind::Park], round: "pingpong" },
    ProbeSet { name: "ready", kinds: &[Kind::Ready], round: "pingpong" },
    ProbeSet { name: "all four at once", kinds: &Kind::IN_RUNTIME, round: "mix" },
];

/// What a tool probes that sees functions only, where that is not the entry in the other table: a new goroutine is
/// `newproc1`'s result, and a tool that asks why a goroutine waits takes `gopark`'s arguments.
const USUAL: [(&str, usize, bool); 2] = [("runtime.newproc1", 0, true), ("runtime.gopark", 2, false)];

/// What was measured for one row: nanoseconds that a hit adds, by our programs and by one that does nothing.
#[derive(Default)]
struct Figures {
    bare: Samples,
    cheap: Samples,
    entry: Samples,
    ratio: Samples,
    cheap_bound: Samples,
    entry_bound: Samples,
    ratio_bound: Samples,
    /// How many hits there are when the loop goes round once.
    hits_a_turn: f64,
}

/// What was measured for one of [`USUAL`].
#[derive(Default)]
struct UsualFigures {
    bound: Samples,
    ratio: Samples,
}

pub(crate) fn run(effort: Effort) -> Result<()> {
    let binary = go::build("loops")?;
    let mut program = Running::start(Command::new(binary).env("GOMAXPROCS", "1"))?;
    // Once it answers, its binary is mapped.
    program.ask("spawn 1")?;
    let procfs = Procfs::system();
    let target = Arc::new(HeldProcess::open(&procfs, Pid(program.pid()))?);
    let inspected = Inspected::new(Arc::clone(&target), &procfs)?;
    let hub = Hub::new(HubOptions::default())?;
    let cheap = inspected.plan(&Kind::IN_RUNTIME)?;
    let entry = plan(inspected.elf(), inspected.program(), &Kind::IN_RUNTIME, PlanStyle::Entry)?;
    let mut bench = Bench { program, hub, inspected: &inspected };
    let mut figures: [Figures; ROWS.len()] = Default::default();
    let mut usual: [UsualFigures; USUAL.len()] = Default::default();
    let rounds = effort.rounds(ROUNDS);
    for _ in 0..rounds {
        for (row, figures) in ROWS.iter().zip(&mut figures) {
            bench.round(row, &cheap, &entry, figures)?;
        }
        for (what, of) in USUAL.iter().zip(&mut usual) {
            bench.usual(*what, &figures[what.1], of)?;
        }
    }
    table::print(rounds, &figures, &usual, [&cheap, &entry]);
    Ok(())
}

/// What hits at some places add, in nanoseconds.
struct Added {
    ours: f64,
    nothing: f64,
    hits_a_turn: f64,
}

struct Bench<'i> {
    program: Running,
    hub: Hub,
    inspected: &'i Inspected,
}

impl Bench<'_> {
    fn round(
        &mut self,
        row: &ProbeSet,
        cheap: &AttachPlan,
        entry: &AttachPlan,
        figures: &mut Figures,
    ) -> Result<()> {
        let bare = self.turn(row)?;
        let cheap = self.added(&sites_of(cheap, row), row, bare)?;
        let entry = self.added(&sites_of(entry, row), row, bare)?;
        figures.bare.add(bare);
        figures.cheap.add(cheap.ours);
        figures.entry.add(entry.ours);
        figures.ratio.add(entry.ours / cheap.ours);
        figures.cheap_bound.add(cheap.nothing);
        figures.entry_bound.add(entry.nothing);
        figures.ratio_bound.add(entry.ours / cheap.nothing);
        figures.hits_a_turn = cheap.hits_a_turn;
        Ok(())
    }

    /// Nanoseconds of processor time that a hit adds: with our program, and with one that does nothing.
    fn added(&mut self, sites: &[ProbeSite], row: &ProbeSet, bare: f64) -> Result<Added> {
        let exe = File::open(self.exe())?;
        let layout = self.inspected.program().layout.for_probes();
        let pid = self.program.pid();
        let tracee = Tracee { pid, exe: &exe, layout, sites };
        let id = self.hub.add(&tracee, &TargetOptions::with_ring_bytes(RING_BYTES))?;
        self.hub.set_kinds(id, Kinds::ALL)?;
        // The first hits find cold caches, and the sites whose stacks are always taken.
        self.program.ask(&format!("{} 10", row.round))?;
        let before = self.hub.counters(id)?;
        let answer = self.program.ask(&format!("{} {MILLISECONDS}", row.round))?;
        let counted = self.hub.counters(id)?.since(&before);
        self.hub.set_kinds(id, Kinds::NONE)?;
        self.hub.wait_until_detached(id)?;
        self.hub.remove(id);
        ensure!(counted.lost() == 0, "{} records were lost", counted.lost());
        let (rounds, cpu) = answer.first().zip(answer.get(1)).context("no answer")?;
        let hits: u64 = row.kinds.iter().map(|&kind| counted.hits_of(kind)).sum();
        let hits_a_turn = real(hits) / rounds;
        let offsets: Vec<FileOffset> = sites.iter().map(|site| site.offset).collect();
        let nothing = self.turn_under(&Nothing::attach(pid, &self.exe(), &offsets)?, row)?;
        let a_hit = |turn: f64| (turn - bare) / hits_a_turn;
        Ok(Added { ours: a_hit(cpu / rounds), nothing: a_hit(nothing), hits_a_turn })
    }

    /// What a tool's probes would add if its program did nothing.
    fn usual(
        &mut self,
        (function, row, returns): (&str, usize, bool),
        ours: &Figures,
        figures: &mut UsualFigures,
    ) -> Result<()> {
        let row = &ROWS[row];
        let code =
            Code::new(self.inspected.elf(), self.inspected.bias(), self.inspected.program().modules.main());
        let entry = code.function(function).and_then(|found| code.file_offset(code.address(found.entry())));
        let entry = entry.with_context(|| format!("{function} is not in the program"))?;
        let attach = if returns { Nothing::attach_to_returns } else { Nothing::attach };
        let bare = self.turn(row)?;
        let nothing = attach(self.program.pid(), &self.exe(), &[entry])?;
        let added = (self.turn_under(&nothing, row)? - bare) / ours.hits_a_turn;
        figures.bound.add(added);
        figures.ratio.add(added / ours.cheap.median());
        Ok(())
    }

    /// Nanoseconds of processor time that the loop takes to go round once.
    fn turn(&mut self, row: &ProbeSet) -> Result<f64> {
        let answer = self.program.ask(&format!("{} {MILLISECONDS}", row.round))?;
        let (rounds, cpu) = answer.first().zip(answer.get(1)).context("no answer")?;
        Ok(cpu / rounds)
    }

    /// The same with warm caches while a program that does nothing is attached.
    fn turn_under(&mut self, _attached: &Nothing, row: &ProbeSet) -> Result<f64> {
        self.program.ask(&format!("{} 10", row.round))?;
        self.turn(row)
    }

    fn exe(&self) -> String {
        format!("/proc/{}/exe", self.program.pid())
    }
}

fn sites_of(plan: &AttachPlan, row: &ProbeSet) -> Vec<ProbeSite> {
    plan.sites.iter().filter(|site| row.kinds.contains(&site.kind)).map(Into::into).collect()
}
