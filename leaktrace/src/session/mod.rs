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
use leaktrace_core::budget::{Costs, Governor};
use leaktrace_core::go::goroutines::{Walker, WalkerInput, Want};
use leaktrace_core::go::program::Program;
use leaktrace_core::plan::{AttachPlan, Cost};
use leaktrace_core::registry::Registry;

use crate::config::Config;
use crate::inspect::Inspected;
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

/// Watches a process until it ends or the user has seen enough.
pub fn run(config: &Config, procfs: &Procfs) -> anyhow::Result<End> {
    let sink = Sink::open(&config.output)?;
    watch(config, procfs, sink).with_context(|| format!("cannot watch pid {}", config.pid))
}

fn watch(config: &Config, procfs: &Procfs, sink: Sink) -> anyhow::Result<End> {
    let interrupted = signals::listen().context("cannot listen to signals")?;
    let target = Target::open(procfs, config.pid)?;
    let inspected = Inspected::new(&target, procfs)?;
    let plan = inspected.plan(&config.probes)?;
    let attached_at = clock::now();
    let tracer = attach(config, &target, &inspected, &plan)?;
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
            governor: Governor::new(config.max_overhead, costs(&plan), kinds, attached_at),
            registry: Registry::new(attached_at),
            walks,
            snapshot: None,
            failures: 0,
            budgeted: meter::Reading::default(),
        };
        watch.budgeted = watch.read()?;
        let mut reporter =
            Reporter::new(&watch, &inspected, &config.output, sink, notices(&inspected, &plan));
        let end = runtime.block_on(watch.run(interrupted, |watch| reporter.write(watch, false)))?;
        reporter.write(&watch, true)?;
        Ok(end)
    })
}

fn attach(
    config: &Config,
    target: &Target,
    inspected: &Inspected<'_>,
    plan: &AttachPlan,
) -> anyhow::Result<Option<Tracer>> {
    if plan.sites.is_empty() {
        return Ok(None);
    }
    let layout = inspected.program.layout.for_probes();
    let tracee = Tracee { index: 0, pid: target.pid.0, exe: target.exe.door(), layout };
    Tracer::attach(&Options::with_ring_bytes(config.ring_bytes), &tracee, plan).map(Some)
}

fn walker<'p>(program: &'p Program<'_>) -> Walker<'p> {
    Walker::new(WalkerInput::of(program))
}

/// What a hit costs, as it was measured on a virtual machine.
fn costs(plan: &AttachPlan) -> Costs {
    let mut hit = [0.0_f64; 4];
    for site in &plan.sites {
        let cost = match site.cost {
            Cost::Nop5 => 250.0,
            Cost::Emulated => 500.0,
            Cost::SingleStepped => 15_000.0,
        };
        hit[site.kind.index()] = hit[site.kind.index()].max(cost);
    }
    Costs { hit, stack: 600.0 }
}

/// What every report of this session should say.
fn notices(inspected: &Inspected<'_>, plan: &AttachPlan) -> Vec<String> {
    let of_program = inspected.program.notices.iter().map(ToString::to_string);
    let of_plan = plan.missed.iter().map(ToString::to_string);
    of_program.chain(of_plan).collect()
}
