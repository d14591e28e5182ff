//! What is done on threads that may never come back: everything that touches a target or its binary.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use leaktrace_common::event::Kind;
use leaktrace_core::go::goroutines::WalkError;
use leaktrace_core::go::reach::{Limits, Process, Reach, Refusal, Streaks};
use leaktrace_core::go::validate::InvalidLayout;
use leaktrace_core::goroutines::Facts;
use leaktrace_core::session::Prepared;
use leaktrace_core::trace::budget::{Costs, Kinds};
use leaktrace_core::trace::plan::{AttachPlan, MissedReason, ProbedCode, Statement};
use leaktrace_core::trace::registry::Suite;

use super::observer::{Observer, Seen};
use super::recorder::RecordError;
use super::reporting::{Made, ReportOrder};
use crate::clock;
use crate::dump::facts;
use crate::inspect::{Inspected, confirm};
use crate::kernel::cost::CostPerHit;
use crate::kernel::{Loaded, Loader, ProbeSite, TargetOptions, Tracee};
use crate::output::OutputError;
use crate::process::blocked::Blocked;
use crate::process::cpu;
use crate::process::exit::Gone;
use crate::process::find::HeldProcess;
use crate::process::{Pid, ProcessError, Procfs};

/// Nanoseconds of our own for each record, from the ring to the registry (`cargo xtask bench drain`: 60 to 95).
const HANDLING: f64 = 90.0;

/// A job that has ended.
pub(super) struct Done {
    pub(super) answer: Answer,
    /// How much of the processor its thread has used for it.
    pub(super) used: Duration,
}

/// Counts what `job` uses of the processor.
pub(super) fn counted(job: impl FnOnce() -> Answer) -> Done {
    let before = cpu::used_by_this_thread();
    let answer = job();
    Done { answer, used: cpu::used_by_this_thread().saturating_sub(before) }
}

/// What a job brings.
pub(super) enum Answer {
    /// Whether it is one of those that are meant.
    Screened(Result<bool, ProcessError>),
    /// The process is too young to be understood.
    TooYoung,
    /// What it is, and what a recording should know besides.
    Inspected(anyhow::Result<(Inspected, Option<Facts>)>),
    /// How it is to be traced.
    Planned(anyhow::Result<Box<Planned>>),
    Confirmed(Result<(), InvalidLayout>),
    Walked {
        observer: Box<Observer>,
        result: Result<Seen, WalkError>,
        /// Whether the process runs something else by now, so that what was read says nothing.
        gone: Option<Gone>,
    },
    HeapPassed {
        result: Result<Streaks, Refusal>,
        took: Duration,
    },
    Reported(Box<Made>),
    /// Whether the process runs something else by now.
    Gone(Option<Gone>),
}

/// How a process is to be traced.
pub(super) struct Planned {
    pub(super) prepared: Prepared,
    /// Its programs, loaded; nothing if nothing is to be traced; or why they could not be.
    pub(super) loaded: anyhow::Result<Option<Loaded>>,
    /// Where probes are to be seen once they are attached.
    pub(super) code: Option<ProbedCode>,
}

/// What programs are loaded with.
#[derive(Clone)]
pub(super) struct Probing {
    pub(super) kinds: Vec<Kind>,
    /// The `go` statements that alone are probed, if any are.
    pub(super) statements: Vec<Statement>,
    pub(super) loader: Arc<Loader>,
    pub(super) options: TargetOptions,
    pub(super) cost: CostPerHit,
}

/// Takes hold of a process and finds out what it runs. One that has just been started may still become something else.
pub(super) fn inspect(procfs: &Procfs, pid: Pid, is_launched: bool, is_recorded: bool) -> Answer {
    let target = match HeldProcess::open(procfs, pid) {
        Ok(target) => Arc::new(target),
        Err(error) => return Answer::Inspected(Err(error.into())),
    };
    let is_young = !is_launched && target.is_young();
    let inspected = if is_launched {
        Inspected::before_start(Arc::clone(&target), procfs)
    } else {
        Inspected::new(Arc::clone(&target), procfs)
    };
    if is_young && (inspected.is_err() || target.space.is_gone()) {
        return Answer::TooYoung;
    }
    Answer::Inspected(inspected.and_then(|inspected| {
        let facts = is_recorded.then(|| facts::of_process(&target, inspected.elf(), procfs)).transpose()?;
        Ok((inspected, facts))
    }))
}

/// Finds the places for the probes, and loads the programs for them. A program that we have started is watched without
/// if there are none.
pub(super) fn plan(inspected: &Inspected, probing: Option<&Probing>, is_launched: bool) -> Answer {
    let planned = match probing {
        Some(probing) => plan_probes(inspected, probing),
        None => plan_nothing(inspected, Ok(None)),
    };
    Answer::Planned(match planned {
        Err(error) if is_launched => plan_nothing(inspected, Err(error)),
        planned => planned,
    })
}

fn plan_nothing(
    inspected: &Inspected,
    loaded: anyhow::Result<Option<Loaded>>,
) -> anyhow::Result<Box<Planned>> {
    let plan = inspected.plan(&[])?;
    Ok(Box::new(Planned { prepared: prepared(inspected, &plan, Costs::NOTHING), loaded, code: None }))
}

fn plan_probes(inspected: &Inspected, probing: &Probing) -> anyhow::Result<Box<Planned>> {
    let target = inspected.target();
    if target.about.reader != target.pid {
        return Err(ProcessError::NoFirstThread { pid: target.pid }.into());
    }
    let plan = if probing.statements.is_empty() {
        inspected.plan(&probing.kinds)?
    } else {
        inspected.plan_statements(&probing.statements)?
    };
    let sites: Vec<ProbeSite> = plan.sites.iter().map(Into::into).collect();
    let layout = inspected.program().layout.for_probes();
    let exe = target.exe.reopen(target.pid)?;
    let tracee = Tracee { pid: target.pid.0, exe: &exe, layout, sites: &sites };
    let loaded = probing.loader.load(&tracee, &probing.options)?;
    let prepared = prepared(inspected, &plan, costs(&probing.cost, &plan));
    let code = Some(plan.code(inspected.bias()));
    Ok(Box::new(Planned { prepared, loaded: Ok(Some(loaded)), code }))
}

fn prepared(inspected: &Inspected, plan: &AttachPlan, costs: Costs) -> Prepared {
    let kinds: Kinds = plan.sites.iter().map(|site| site.kind).collect();
    Prepared {
        kinds,
        costs,
        notices: notices(inspected, plan),
        sites: plan.statements.clone(),
        suite: Suite::of(&inspected.program().modules),
    }
}

/// What hits cost at the places of a plan.
fn costs(measured: &CostPerHit, plan: &AttachPlan) -> Costs {
    let mut hit = [0.0_f64; Kind::ALL.len()];
    for site in &plan.sites {
        let cost = &mut hit[site.kind.index()];
        *cost = cost.max(measured.of(site.kind, site.cost));
    }
    tracing::info!(?hit, stack = measured.stack, "nanoseconds for a hit of each kind");
    Costs { hit, stack: measured.stack, handling: HANDLING }
}

/// What every report on this process should say.
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

/// Compares the memory of a program that we have started with its file.
pub(super) fn confirm_layout(inspected: &Inspected, is_leaving: &AtomicBool) -> Answer {
    let (memory, exit) = (inspected.memory(), &inspected.target().exit);
    Answer::Confirmed(confirm(inspected.program(), &memory, exit, &|| is_leaving.load(Ordering::Acquire)))
}

/// Looks at the memory.
pub(super) fn walk(mut observer: Box<Observer>, streaks: &Streaks, inspected: &Inspected) -> Answer {
    let result = observer.look(streaks);
    Answer::Walked { observer, result, gone: gone(inspected) }
}

/// What became of the process if what was inspected runs no more.
pub(super) fn gone(inspected: &Inspected) -> Option<Gone> {
    inspected.target().space.gone()
}

/// Finds out what nothing refers to, until it is to `stop`.
pub(super) fn scan_heap(inspected: &Inspected, streaks: &Streaks, stop: &AtomicBool) -> Answer {
    let began = Instant::now();
    let go_on = || !stop.load(Ordering::Relaxed);
    let limits = Limits { go_on: &go_on, ..Limits::default() };
    let memory = inspected.memory();
    let pass = Reach::new(inspected.program(), &memory, inspected.all_spans()).and_then(|mut reach| {
        inspected.remember_all_spans(reach.all_spans());
        reach.pass(&Process::running(&memory), &limits)
    });
    let result = pass.map(|pass| {
        tracing::debug!(figures = ?pass.figures(), "scanned the heap");
        let mut streaks = streaks.clone();
        streaks.add(&pass, clock::now());
        streaks
    });
    Answer::HeapPassed { result, took: began.elapsed() }
}

/// Makes a report.
pub(super) fn report(order: ReportOrder) -> Answer {
    Answer::Reported(Box::new(order.make()))
}

/// Why a target can be watched no longer: its job ended without an answer.
pub(super) fn lost() -> anyhow::Error {
    anyhow::anyhow!("a thread that reads the target has ended")
}

/// Whether this is about a read that does not return.
pub(super) fn is_blocked(error: &anyhow::Error) -> bool {
    error.chain().any(<dyn std::error::Error>::is::<Blocked>)
}

/// The context of what is refused about one process. That a file cannot be written is not about any.
pub(super) fn cannot_watch(error: anyhow::Error, pid: Pid, is_launched: bool) -> anyhow::Error {
    if error.is::<OutputError>() || error.is::<RecordError>() {
        error
    } else if is_launched {
        error.context("cannot watch the program")
    } else {
        error.context(format!("cannot watch pid {pid}"))
    }
}

/// Puts the cause of a plan that was given up into words.
pub(super) fn untraced(error: &anyhow::Error) -> String {
    format!(
        "nothing is traced: {error:#}; the report is from memory alone, read for the last time while the \
         program was held at its exit"
    )
}

/// The costs that were measured, or the usual ones.
pub(super) fn cost(hub: &mut crate::kernel::Hub) -> CostPerHit {
    hub.cost().unwrap_or_else(|error| {
        let error = format!("{:#}", anyhow::Error::new(error));
        tracing::warn!(error, "cannot measure the cost of a probe");
        CostPerHit::USUAL
    })
}
