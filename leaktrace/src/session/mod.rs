//! Watches one process: the event loop and what it holds together. What anything means is decided elsewhere.

pub mod clock;
mod judge;
mod launched;
mod meter;
mod observer;
mod pace;
mod reacher;
mod readiness;
pub mod recorder;
pub(crate) mod reporting;
mod signals;
mod start;
mod tracer;
mod walks;
mod watch;

use std::sync::Arc;

use anyhow::Context;
use leaktrace_common::event::Kind;
use leaktrace_core::base::num::Ktime;
use leaktrace_core::trace::budget::Costs;
use leaktrace_core::trace::plan::{AttachPlan, MissedReason};

use crate::config::Config;
use crate::inspect::{self, Inspected};
use crate::kernel::cost::CostPerHit;
use crate::kernel::{ProbeSite, TargetOptions, Tracee};
use crate::output::Sink;
use crate::process::Procfs;
use crate::process::find::Target;
use crate::process::launch::Launched;
pub use judge::{AsItIs, Judge};
use launched::{Confirmation, Ends, without_tracing};
use recorder::{Recorder, Recording};
use reporting::Reporter;
pub use signals::INTERRUPTED;
use start::Start;
use tracer::Tracer;

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its time was over.
    TimeUp,
    /// The user wanted it to, or whoever sends signals.
    Asked,
    /// The target exited.
    Exited,
    /// The target became another program.
    Execed,
    /// The target is held at its exit.
    Leaving,
}

impl End {
    /// What a user should be told, if this was not their own wish.
    pub const fn remark(self) -> Option<&'static str> {
        match self {
            Self::TimeUp | Self::Asked | Self::Leaving => None,
            Self::Exited => Some("the process has exited; the last report shows what was known until then"),
            Self::Execed => Some(
                "the process has become another program (exec); the last report shows what was known until then; \
                 start leaktrace again to watch the new program",
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
pub fn run(config: &Config, procfs: &Procfs, judge: &mut dyn Judge) -> anyhow::Result<Ended> {
    let sink = Sink::open(&config.output)?;
    let recording = config.record.as_ref().map(Recording::create).transpose()?;
    let errand = Errand { sink, recording, launched: None, judge };
    watch(config, procfs, errand).with_context(|| format!("cannot watch pid {}", config.pid))
}

/// Watches a program that we have started, from its first instruction to its end.
pub fn run_launched(
    config: &Config,
    procfs: &Procfs,
    launched: &mut Launched,
    judge: &mut dyn Judge,
) -> anyhow::Result<Ended> {
    let sink = Sink::open(&config.output)?;
    let recording = config.record.as_ref().map(Recording::create).transpose()?;
    let errand = Errand { sink, recording, launched: Some(launched), judge };
    watch(config, procfs, errand).context("cannot watch the program")
}

/// What a session works with beside the process.
struct Errand<'e> {
    sink: Sink,
    recording: Option<Recording>,
    /// The program, if it is one that we have started.
    launched: Option<&'e mut Launched>,
    judge: &'e mut dyn Judge,
}

fn watch(config: &Config, procfs: &Procfs, errand: Errand<'_>) -> anyhow::Result<Ended> {
    let Errand { sink, recording, mut launched, judge } = errand;
    let ends = Ends::of(launched.as_deref_mut())?;
    let target = match launched {
        Some(_) => Arc::new(Target::open(procfs, config.pid)?),
        None => inspect::open(procfs, config.pid)?,
    };
    let inspected = match launched {
        Some(_) => Inspected::before_start(Arc::clone(&target), procfs)?,
        None => Inspected::new(Arc::clone(&target), procfs)?,
    };
    let traced = trace(config, &target, &inspected);
    let Traced { tracer, plan, costs, attached_at, mut notices } = match launched {
        Some(_) => traced.or_else(|error| without_tracing(&error, &inspected))?,
        None => traced?,
    };
    notices.extend(self::notices(&inspected, &plan));
    let is_launched = launched.is_some();
    let (target, inspected, debug) = (&*target, &inspected, inspected.debug());
    let start = Start { config, procfs, target, inspected, plan, costs, attached_at, notices, is_launched };
    let confirmation = Confirmation::default();
    if let Some(launched) = &launched {
        launched.release(config.at_exit || tracer.is_none());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::scope(|scope| {
        let walks = start.walks(scope, recording.is_some(), &confirmation)?;
        let recorder = recording.map(|recording| start.recorder(scope, recording)).transpose()?;
        let mut watch = start.watch(tracer, walks, recorder)?;
        let mut reporter =
            Reporter::new(&watch, inspected, &debug, config, sink, start.notices.clone(), judge)?;
        let end = runtime.block_on(watch.run(ends, |watch| reporter.write(watch, false).map(drop)))?;
        if let Some(launched) = &launched {
            launched.let_end();
            reporter.note(confirmation.result()?);
        }
        let found = reporter.write(&watch, true)?;
        watch.recorder.take().map_or(Ok(()), Recorder::finish)?;
        Ok(Ended { end, found })
    })
}

/// What a session begins with.
struct Traced {
    tracer: Option<Tracer>,
    plan: AttachPlan,
    costs: Costs,
    attached_at: Ktime,
    notices: Vec<String>,
}

/// Attaches what is to be traced.
fn trace(config: &Config, target: &Target, inspected: &Inspected) -> anyhow::Result<Traced> {
    let (mut tracer, cost) = load(config)?.unzip();
    let long_nops = cost.as_ref().is_some_and(CostPerHit::prefers_long_nops);
    let plan = inspected.plan(&config.probes, long_nops)?;
    let costs = cost.map_or(Costs::NOTHING, |cost| costs(&cost, &plan));
    let attached_at = clock::now();
    if let Some(tracer) = &mut tracer {
        attach(tracer, target, inspected, &plan)?;
    }
    Ok(Traced { tracer, plan, costs, attached_at, notices: Vec::new() })
}

/// The programs, loaded and attached to nothing yet, and what their hits cost; `None` if nothing is to be traced.
fn load(config: &Config) -> anyhow::Result<Option<(Tracer, CostPerHit)>> {
    if config.probes.is_empty() {
        return Ok(None);
    }
    let mut options = TargetOptions::with_ring_bytes(config.ring_bytes);
    if config.every_stack {
        (options.control.stacks_per_site, options.control.stack_sample_mask) = (u32::MAX, 0);
    }
    let mut tracer = Tracer::load(&options)?;
    let cost = tracer.calibrate();
    Ok(Some((tracer, cost)))
}

fn attach(
    tracer: &mut Tracer,
    target: &Target,
    inspected: &Inspected,
    plan: &AttachPlan,
) -> anyhow::Result<()> {
    let layout = inspected.program().layout.for_probes();
    let sites: Vec<ProbeSite> = plan.sites.iter().map(Into::into).collect();
    tracer.attach(&Tracee { pid: target.pid.0, exe: target.exe.door(), layout, sites: &sites })
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

/// What every report of this session should say.
fn notices(inspected: &Inspected, plan: &AttachPlan) -> Vec<String> {
    let of_program = inspected.program().notices.iter().map(ToString::to_string);
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
