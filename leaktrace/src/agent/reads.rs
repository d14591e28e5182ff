//! What is read of processes, on threads that may never come back. A job is a batch of processes, one after the other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use leaktrace_core::base::memory::{Memory, ReadError};
use leaktrace_core::base::num::{Ktime, ReturnPc};
use leaktrace_core::go::counts::{CountPlan, Counts};
use leaktrace_core::go::goroutines::{GoroutineKind, Snapshot, WalkError, Walker, WalkerInput, Want};
use leaktrace_core::go::program::Program;
use leaktrace_core::go::symbolize::{expand, go_statement};
use leaktrace_core::node::{Place, opts_out};
use leaktrace_core::schema::{Location, PodPlace, ProcessId};

use super::config::Meant;
use crate::clock;
use crate::inspect::Inspected;
use crate::process::exit::Gone;
use crate::process::find::{HeldProcess, age};
use crate::process::stat::Stat;
use crate::process::{Pid, ProcessError, Procfs, cgroups, cpu};
use crate::session::screen;

/// The longest environment of a process that is read, in bytes.
const MOST_ENVIRONMENT: u64 = 1 << 20;

/// When a process is looked at again that was only just started, or has just become another program.
const AGAIN: Duration = Duration::from_millis(250);

/// How many `go` statements of a process have names: those with the most goroutines.
const MOST_NAMES: usize = 64;

/// How many names are kept of a process, and how long one may be, in bytes.
const MOST_KEPT: usize = 256;
const LONGEST_NAME: usize = 512;

/// What is said of a process besides what its goroutines do.
#[derive(Clone, Debug, Default)]
pub(super) struct About {
    /// The file name of its executable.
    pub(super) exe: String,
    pub(super) place: Place,
    /// Where Kubernetes has its container, once that is known.
    pub(super) pod: Option<Arc<PodPlace>>,
    pub(super) go_version: Option<String>,
    pub(super) version: Option<String>,
}

/// What an inspection has found.
pub(super) enum Found {
    /// No Go program, or none that is meant; or it has gone.
    NotMeant,
    /// It has only just been started; after this time it may be old enough.
    TooYoung(Duration),
    /// It may not be looked at.
    NotPermitted,
    /// A Go program that cannot be looked at, and why.
    Refused(ProcessId, About, String),
    /// A Go program that is understood.
    Understood(ProcessId, About, Inspected),
}

/// Finds out what a process is.
pub(super) fn inspect(procfs: &Procfs, pid: Pid, meant: &Meant) -> Found {
    let screened = Stat::read(procfs, pid).and_then(|stat| match age(stat.start_time) {
        age if age < meant.min_age => Ok(Err(meant.min_age.saturating_sub(age))),
        _ if !meant.scope.has_place(&place(procfs, pid)) => Ok(Ok(false)),
        _ => screen(procfs, pid, |exe, comm| meant.scope.runs(exe, comm)).map(Ok),
    });
    match screened {
        Ok(Err(pause)) => return Found::TooYoung(pause),
        Ok(Ok(true)) if !wants_none(procfs, pid) => {}
        Err(ProcessError::NotPermitted { .. } | ProcessError::NotDumpable { .. }) => {
            return Found::NotPermitted;
        }
        Ok(Ok(_)) | Err(_) => return Found::NotMeant,
    }
    let target = match HeldProcess::open(procfs, pid) {
        Ok(target) => Arc::new(target),
        Err(
            ProcessError::Exited { .. } | ProcessError::Zombie { .. } | ProcessError::NoSuchProcess { .. },
        ) => {
            return Found::NotMeant;
        }
        Err(error) => return refused(procfs, pid, &error.into()),
    };
    if target.is_young() {
        return Found::TooYoung(AGAIN);
    }
    let id = ProcessId { pid: pid.0, start_ticks: target.identity.start_time };
    match Inspected::new(Arc::clone(&target), procfs) {
        Ok(inspected) => {
            let about = about(&inspected, procfs);
            inspected.target().exe.forget_pages();
            Found::Understood(id, about, inspected)
        }
        Err(_) if target.exit.has_exited() => Found::NotMeant,
        Err(_) if target.space.is_gone() => Found::TooYoung(AGAIN),
        Err(error) => refused(procfs, pid, &error),
    }
}

/// Whether a process says in its environment that it wants to be left alone. Nothing else is looked for there; what is longer
/// than is read says nothing.
fn wants_none(procfs: &Procfs, pid: Pid) -> bool {
    procfs.read(pid, "environ", MOST_ENVIRONMENT).is_ok_and(|environment| opts_out(&environment))
}

fn refused(procfs: &Procfs, pid: Pid, error: &anyhow::Error) -> Found {
    match outside(procfs, pid) {
        Some((id, about)) => Found::Refused(id, about, format!("{error:#}")),
        None => Found::NotMeant,
    }
}

/// What the kernel says of a process without its help; nothing if it has gone.
pub(super) fn outside(procfs: &Procfs, pid: Pid) -> Option<(ProcessId, About)> {
    let stat = Stat::read(procfs, pid).ok()?;
    let link = procfs.link(pid, "exe").ok();
    let exe = link.and_then(|link| Some(link.file_name()?.to_string_lossy().into_owned()));
    let about = About { exe: exe.unwrap_or(stat.name), place: place(procfs, pid), ..About::default() };
    Some((ProcessId { pid: pid.0, start_ticks: stat.start_time }, about))
}

fn about(inspected: &Inspected, procfs: &Procfs) -> About {
    let (target, build) = (inspected.target(), inspected.program().build.as_ref());
    let name = target.exe.name();
    let exe = name.file_name().unwrap_or(name.as_os_str()).to_string_lossy().into_owned();
    let version = build.map(|build| build.version_text.clone());
    About {
        pod: None,
        exe,
        place: place(procfs, target.pid),
        go_version: Some(version.unwrap_or_else(|| inspected.program().version.to_string())),
        version: build.and_then(|build| build.setting("vcs.revision")).map(str::to_owned),
    }
}

fn place(procfs: &Procfs, pid: Pid) -> Place {
    Place::of(&cgroups::list(procfs, pid).unwrap_or_default())
}

/// One process of a batch.
pub(super) struct Reading {
    pub(super) id: ProcessId,
    pub(super) inspected: Inspected,
    pub(super) plan: CountPlan,
    /// The names of `go` statements that are known.
    pub(super) names: Arc<Names>,
    /// Whether they are to be named at all.
    pub(super) is_named: bool,
    /// Those that are to have one however few goroutines they have.
    pub(super) wanted: Vec<ReturnPc>,
}

/// `go` statements with their places.
pub(super) type Names = HashMap<ReturnPc, Location>;

/// What a look brings.
pub(super) struct Looked {
    /// What the counters said just before.
    pub(super) counts: Counts,
    pub(super) snapshot: Snapshot,
}

/// What came of a read.
pub(super) struct Brought<T> {
    pub(super) reading: Reading,
    /// When that was.
    pub(super) at: Ktime,
    pub(super) result: Result<T, WalkError>,
    /// Whether the process runs something else by now, so that what was read says nothing.
    pub(super) gone: Option<Gone>,
    /// What it took of a processor.
    pub(super) took: Duration,
}

/// Reads the counters of each process.
pub(super) fn peek(batch: Vec<Reading>) -> Vec<Brought<Counts>> {
    let peek =
        |reading: &mut Reading| reading.plan.read(&reading.inspected.memory()).map_err(WalkError::List);
    batch.into_iter().map(|reading| read(reading, false, peek)).collect()
}

/// Reads who there is, of each process.
pub(super) fn count(batch: Vec<Reading>) -> Vec<Brought<Looked>> {
    batch.into_iter().map(|reading| read(reading, true, look)).collect()
}

fn read<T>(
    mut reading: Reading,
    asks_whether_gone: bool,
    read: impl FnOnce(&mut Reading) -> Result<T, WalkError>,
) -> Brought<T> {
    let before = cpu::used_by_this_thread();
    let result = read(&mut reading);
    let asks = asks_whether_gone || result.is_err();
    let gone = if asks { reading.inspected.target().space.gone() } else { None };
    let took = cpu::used_by_this_thread().saturating_sub(before);
    Brought { reading, at: clock::now(), result, gone, took }
}

fn look(reading: &mut Reading) -> Result<Looked, WalkError> {
    let (program, memory) = (reading.inspected.program(), reading.inspected.memory());
    let memory: &dyn Memory = &memory;
    // First: an id below what was given out by then is of somebody who was there before.
    let counts = match reading.plan.read(memory) {
        Err(error) if error.is_final() => return Err(WalkError::List(error)),
        counts => counts.unwrap_or_default(),
    };
    let mut walker = Walker::new(WalkerInput::of(program));
    let snapshot = walker.snapshot(memory, Want::Headers, &clock::now)?;
    if reading.is_named {
        name(program, &snapshot, &reading.wanted, Arc::make_mut(&mut reading.names));
    }
    reading.inspected.target().exe.forget_pages();
    Ok(Looked { counts, snapshot })
}

/// Names the `go` statements that most goroutines come from, as far as they are not known.
fn name(program: &Program<'_>, snapshot: &Snapshot, wanted: &[ReturnPc], names: &mut Names) {
    let mut counts: HashMap<ReturnPc, u32> = HashMap::default();
    for goroutine in snapshot.goroutines.iter().filter(|one| one.kind == GoroutineKind::User) {
        *counts.entry(goroutine.gopc).or_insert(0) += 1;
    }
    names.retain(|pc, _| counts.contains_key(pc));
    let mut most: Vec<(u32, ReturnPc)> = counts.into_iter().map(|(pc, count)| (count, pc)).collect();
    most.sort_unstable_by_key(|(count, pc)| (std::cmp::Reverse(*count), pc.0));
    most.truncate(MOST_NAMES);
    for pc in most.into_iter().map(|(_, pc)| pc).chain(wanted.iter().copied().take(MOST_NAMES)) {
        if names.len() < MOST_KEPT {
            names.entry(pc).or_insert_with(|| creator(program, pc));
        }
    }
}

/// Where a `go` statement is.
fn creator(program: &Program<'_>, pc: ReturnPc) -> Location {
    let mut frames = Vec::new();
    expand(&program.modules, pc.call_site(), &mut frames);
    let mut location = Location { function: None, file: None, line: None, pc: format!("{:#x}", pc.0) };
    match go_statement(&frames) {
        // The main goroutine is not started by a statement.
        Some(frame) if frame.function == "runtime.newproc" => {
            location.function = Some("runtime.main".to_owned());
        }
        Some(frame) => {
            location.function = Some(cut(frame.function));
            location.file = Some(cut(frame.file)).filter(|file| file != "?");
            location.line = Some(frame.line).filter(|line| *line > 0);
        }
        None => {}
    }
    location
}

/// As much of a name as is kept.
fn cut(name: &str) -> String {
    name.chars()
        .scan(0, |len, c| {
            *len += c.len_utf8();
            (*len <= LONGEST_NAME).then_some(c)
        })
        .collect()
}

/// Why nothing more is read of the process, and whether that is because a read did not return.
pub(super) fn end(error: &WalkError) -> Option<bool> {
    let (WalkError::List(error) | WalkError::Goroutines(error)) = error;
    match error {
        ReadError::Blocked { .. } => Some(true),
        ReadError::NotPermitted | ReadError::Unsupported => Some(false),
        _ => None,
    }
}
