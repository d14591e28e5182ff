//! Watches one process: the event loop and what it holds together. What anything means is decided elsewhere.

pub mod clock;
mod meter;
mod pace;
mod readiness;
mod reporting;
mod signals;
mod tracer;
mod walks;
mod watch;

use anyhow::Context;
use leaktrace_common::event::Kind;
use leaktrace_core::budget::{Costs, Governor};
use leaktrace_core::go::goroutines::{Walker, WalkerInput, Want};
use leaktrace_core::go::program::Program;
use leaktrace_core::plan::{AttachPlan, MissedReason};
use leaktrace_core::registry::Registry;

use crate::config::Config;
use crate::inspect::Inspected;
use crate::kernel::cost::CostPerHit;
use crate::kernel::{Options, Tracee};
use crate::output::Sink;
use crate::process::Procfs;
use crate::process::find::Target;
use reporting::Reporter;
use tracer::Tracer;
use walks::Walks;
use watch::Watch;

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its time was over, or the user wanted it to.
    Asked,
    /// The target exited.
    Exited,
    /// The target became another program.
    Execed,
}

impl End {
    /// What a user should be told, if this was not their own wish.
    pub const fn remark(self) -> Option<&'static str> {
        match self {
            Self::Asked => None,
            Self::Exited => Some("the process has exited; the last report is of what was known then"),
            Self::Execed => Some(
                "the process has become another program (exec); the last report is of what was known then, start \
                 again to watch the new one",
            ),
        }
    }
}

/// What came of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How it ended.
    pub end: End,
    /// Whether that was found on which the user wants to fail.
    pub found: bool,
}

/// Watches a process until it ends or the user has seen enough.
pub fn run(config: &Config, procfs: &Procfs) -> anyhow::Result<Ended> {
    let sink = Sink::open(&config.output)?;
    watch(config, procfs, sink).with_context(|| format!("cannot watch pid {}", config.pid))
}

fn watch(config: &Config, procfs: &Procfs, sink: Sink) -> anyhow::Result<Ended> {
    let interrupted = signals::listen().context("cannot listen to signals")?;
    let target = Target::open(procfs, config.pid)?;
    let inspected = Inspected::new(&target, procfs)?;
    let (mut tracer, cost) = load(config)?.unzip();
    let long_nops = cost.as_ref().is_some_and(CostPerHit::prefers_long_nops);
    let plan = inspected.plan(&config.probes, long_nops)?;
    let costs = cost.map_or(Costs::NOTHING, |cost| costs(&cost, &plan));
    let attached_at = clock::now();
    if let Some(tracer) = &mut tracer {
        attach(tracer, &target, &inspected, &plan)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::scope(|scope| {
        let walks = Walks::start(scope, || {
            let mut walker = walker(&inspected.program);
            move || walker.snapshot(&inspected.memory, Want::Stacks, &clock::now)
        });
        let kinds = plan.sites.iter().map(|site| site.kind).collect();
        let mut watch = Watch {
            config,
            procfs,
            target: &target,
            tracer,
            governor: Governor::new(config.max_overhead, costs, kinds, attached_at),
            registry: Registry::new(attached_at),
            walks,
            snapshot: None,
            failures: 0,
            budgeted: meter::Reading::default(),
        };
        watch.budgeted = watch.read()?;
        let mut reporter = Reporter::new(&watch, &inspected, config, sink, notices(&inspected, &plan))?;
        let end = runtime.block_on(watch.run(interrupted, |watch| reporter.write(watch, false).map(drop)))?;
        let found = reporter.write(&watch, true)?;
        Ok(Ended { end, found })
    })
}

/// The programs, loaded and attached to nothing yet, and what their hits cost; `None` if nothing is to be traced.
fn load(config: &Config) -> anyhow::Result<Option<(Tracer, CostPerHit)>> {
    if config.probes.is_empty() {
        return Ok(None);
    }
    let mut tracer = Tracer::load(&Options::with_ring_bytes(config.ring_bytes))?;
    let cost = tracer.calibrate();
    Ok(Some((tracer, cost)))
}

fn attach(
    tracer: &mut Tracer,
    target: &Target,
    inspected: &Inspected<'_>,
    plan: &AttachPlan,
) -> anyhow::Result<()> {
    let layout = inspected.program.layout.for_probes();
    tracer.attach(&Tracee { index: 0, pid: target.pid.0, exe: target.exe.door(), layout }, plan)
}

/// What hits cost at the places of a plan.
fn costs(measured: &CostPerHit, plan: &AttachPlan) -> Costs {
    let mut hit = [0.0_f64; Kind::ALL.len()];
    for site in &plan.sites {
        let cost = &mut hit[site.kind.index()];
        *cost = cost.max(measured.of(site.kind, site.cost));
    }
    tracing::info!(?hit, stack = measured.stack, "nanoseconds for a hit of each kind");
    Costs { hit, stack: measured.stack }
}

fn walker<'p>(program: &'p Program<'_>) -> Walker<'p> {
    Walker::new(WalkerInput::of(program))
}

/// What every report of this session should say.
fn notices(inspected: &Inspected<'_>, plan: &AttachPlan) -> Vec<String> {
    let of_program = inspected.program.notices.iter().map(ToString::to_string);
    let missed = plan.missed.iter().filter(|missed| matters(&missed.reason));
    of_program.chain(missed.map(ToString::to_string)).collect()
}

/// Whether something is missed while the program runs as it does in production.
const fn matters(reason: &MissedReason) -> bool {
    match reason {
        MissedReason::DebuggerOnly(_) => false,
        MissedReason::InlinedInto(_)
        | MissedReason::UnknownCallers(_)
        | MissedReason::NoFunction
        | MissedReason::NoPlace(_) => true,
    }
}
