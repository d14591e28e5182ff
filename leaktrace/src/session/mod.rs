//! Watches processes: the event loop and what it holds together. What anything means is decided elsewhere.

mod answers;
mod closing;
mod counting;
mod discovery;
mod engine;
mod events;
mod jobs;
mod keeping;
mod member;
mod observer;
mod pass;
mod probes;
pub mod publish;
pub(crate) mod readiness;
pub mod recorder;
pub(crate) mod reporting;
mod serve;
mod writer;

use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use leaktrace_core::session::StopReason;
use thiserror::Error;

use crate::config::{Config, Selection};
use crate::output::is_broken_pipe;
use crate::process::Procfs;
use crate::process::launch::Launched;
use crate::process::workers::Workers;
use crate::signals::Interrupts;
use crate::sources::SourceTree;
use closing::Ledger;
pub use closing::Unseen;
pub(crate) use discovery::screen;
use engine::Engine;
use events::{Ends, Events};
pub use pass::{AsItIs, ReportPass};
use publish::{Consumer, Consumers};
use recorder::Recording;
use reporting::Shared;

/// What came of a session.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub reason: StopReason,
    /// Whether that was found on which the user wants to fail.
    pub found: bool,
    /// The exit status of whoever a signal has ended as it has ended this session.
    pub interrupted: Option<u8>,
    /// Whether there is a report on any process.
    pub has_reported: bool,
    /// Whether no probe was ever hit of a process that had some.
    pub is_unreached: bool,
}

/// What a user should be told of how a session ended, if that was not their own wish.
pub const fn remark(ended: &Ended) -> Option<&'static str> {
    match ended.reason {
        StopReason::TimeUp | StopReason::Asked | StopReason::HeldAtExit if ended.is_unreached => {
            Some("no probe was ever hit: the report has what snapshots show, and says why")
        }
        StopReason::TimeUp | StopReason::Asked | StopReason::HeldAtExit | StopReason::Blocked => None,
        StopReason::Exited => Some("the process has exited; the last report shows what was known until then"),
        StopReason::Execed => Some(
            "the process called exec and now runs another program; the last report shows its state until then; start \
             leaktrace again to watch the new program",
        ),
    }
}

/// Makes what looks at the reports of one target.
pub type PassMaker<'e> = Box<dyn FnMut() -> Box<dyn ReportPass> + 'e>;

/// A program that we have started.
#[derive(Debug)]
struct LaunchedProgram<'e> {
    program: &'e Launched,
    /// Whether it is held at its exit for a last look.
    at_exit: bool,
}

/// What is watched, and who gets the signals that would end that.
enum Source<'e> {
    /// Processes that run anyway. We do.
    Running(Interrupts),
    /// A program that we have started, and whether it is held at its exit. It does.
    Launched(&'e mut Launched, bool),
}

impl<'e> Source<'e> {
    /// What ends the session from outside, and the program, if it is one.
    fn split(self) -> (Ends, Option<LaunchedProgram<'e>>) {
        match self {
            Self::Running(interrupts) => (Ends::of_signals(interrupts), None),
            Self::Launched(program, at_exit) => {
                (Ends::of_program(program), Some(LaunchedProgram { program, at_exit }))
            }
        }
    }
}

/// How many targets may block reads until no other is read.
const MOST_STUCK: usize = 64;

/// What a session works with.
struct SessionInputs<'e> {
    config: &'e Config,
    procfs: &'e Procfs,
    consumer: &'e mut dyn Consumer,
    launched: Option<LaunchedProgram<'e>>,
    make_pass: PassMaker<'e>,
    shared: Arc<Shared>,
    workers: Workers,
}

/// Watches processes until they end or the user has seen enough.
pub fn run(
    config: &Config,
    selection: &Selection,
    procfs: &Procfs,
    interrupts: Interrupts,
    make_pass: PassMaker<'_>,
) -> anyhow::Result<Ended> {
    watch(config, selection, procfs, Source::Running(interrupts), make_pass)
}

/// Watches a program that we have started, from its first instruction to its end. With `at_exit` it is held at its exit
/// for a last look.
pub(crate) fn run_launched(
    config: &Config,
    procfs: &Procfs,
    launched: &mut Launched,
    at_exit: bool,
    make_pass: PassMaker<'_>,
) -> anyhow::Result<Ended> {
    let selection = Selection::Pids(vec![launched.pid()]);
    watch(config, &selection, procfs, Source::Launched(launched, at_exit), make_pass)
}

fn watch(
    config: &Config,
    selection: &Selection,
    procfs: &Procfs,
    source: Source<'_>,
    make_pass: PassMaker<'_>,
) -> anyhow::Result<Ended> {
    let mut consumers = Consumers::open(config, selection.is_many())?;
    let recording = config.writing.record.as_ref().map(Recording::create).transpose()?;
    let runtime = runtime()?;
    let (ends, launched) = source.split();
    let events = Events::new(ends);
    let is_launched = launched.is_some();
    let inputs = SessionInputs {
        config,
        procfs,
        consumer: &mut consumers,
        launched,
        make_pass,
        shared: Arc::new(shared(config)?),
        workers: Workers::new(MOST_STUCK),
    };
    let mut engine = Engine::new(inputs, events, recording);
    engine.select(selection);
    let ran = runtime.block_on(engine.run());
    let (ended, ledger) = (ended(&engine), std::mem::take(&mut engine.ledger));
    let (recorded, has_found) = (engine.recorded.take(), engine.has_found);
    drop(engine);
    let written = finish(&mut consumers, has_found);
    let ran = ran.and(written).and(recorded.map_or(Ok(()), |rest| Ok(rest.wait()?)));
    match selection {
        Selection::Pids(pids) if let [pid] = pids[..] => {
            ran.and_then(|()| one(ledger, ended)).map_err(|error| jobs::cannot_watch(error, pid, is_launched))
        }
        Selection::Pids(_) | Selection::Matching(_) => {
            ran?;
            several(ledger, ended)
        }
    }
}

/// Waits until the reports are written. Whoever reads them may take their time, and so may a disk: by now there is nothing that
/// waits for them. Who does not read on is told by the status all the same that something was found.
fn finish(consumers: &mut Consumers, has_found: bool) -> anyhow::Result<()> {
    let is_told = |error: &anyhow::Error| has_found && is_broken_pipe(error);
    consumers.finish().or_else(|error| if is_told(&error) { Ok(()) } else { Err(error) })
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the event loop")
}

/// What comes of a session that ends for a reason.
fn ended(engine: &Engine<'_>) -> impl FnOnce(StopReason) -> Ended + use<> {
    let (found, is_unreached) = (engine.has_found, engine.is_unreached);
    let (interrupted, has_reported) = (engine.events.interrupted(), engine.ledger.has_reported);
    move |reason| Ended { reason, found, interrupted, has_reported, is_unreached }
}

/// What came of the only process.
fn one(ledger: Ledger, ended: impl FnOnce(StopReason) -> Ended) -> anyhow::Result<Ended> {
    match (ledger.first_failure, ledger.last_reason) {
        (Some((_, error)), _) => Err(error),
        (None, Some(reason)) => Ok(ended(reason)),
        (None, None) => Err(jobs::lost()),
    }
}

/// What came of several: well, if there is a report on any of them.
fn several(ledger: Ledger, ended: impl FnOnce(StopReason) -> Ended) -> anyhow::Result<Ended> {
    match ledger.first_failure {
        _ if ledger.has_reported => Ok(ended(StopReason::TimeUp)),
        Some((pid, error)) => Err(jobs::cannot_watch(error, pid, false)),
        // Whoever interrupts us wants no more.
        None if ledger.last_reason == Some(StopReason::Asked) => Ok(ended(StopReason::Asked)),
        None if ledger.has_unscreened => Err(NothingFound::InTime.into()),
        None => Err(ledger.unasked.map_or_else(
            || NothingFound::AtAll.into(),
            |why| why.context("cannot find out which processes run Go"),
        )),
    }
}

/// No process was found that is like what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NothingFound {
    /// There is none.
    #[error("no matching Go process was found")]
    AtAll,
    /// It could not be found out whether there is one.
    #[error("no matching Go process was found in time; some processes were not looked at")]
    InTime,
}

fn shared(config: &Config) -> anyhow::Result<Shared> {
    let sources = SourceTree::of(config.writing.sources.folder.as_deref(), config.writing.sources.blame)?;
    Ok(Shared {
        view: config.view.of_report(),
        incidents: config.view.incidents,
        gate: config.judging.gate.clone(),
        probes: config.tracing.probes.clone(),
        policy: config.judging.policy.clone(),
        sources: sources.map(Mutex::new),
    })
}

#[cfg(test)]
mod tests {
    use super::member::Outcome;
    use super::*;
    use crate::process::workers::Refused;

    /// How a session over several processes ends of which none is reported on.
    fn without_a_report(ledger: Ledger) -> Result<StopReason, NothingFound> {
        let ended = |reason| Ended {
            reason,
            found: false,
            interrupted: None,
            has_reported: false,
            is_unreached: false,
        };
        let ended = several(ledger, ended).map(|ended| ended.reason);
        ended.map_err(|error| *error.downcast_ref().expect("nothing was found"))
    }

    #[test]
    fn nobody_is_said_not_to_be_there_who_was_not_looked_at() {
        let (none, of) = (Ledger::default(), Outcome::Ended);
        assert_eq!(without_a_report(none), Err(NothingFound::AtAll));
        let mut late = Ledger::default();
        late.leave_unscreened(of(StopReason::TimeUp));
        assert_eq!(without_a_report(late), Err(NothingFound::InTime));
        let mut interrupted = Ledger::default();
        interrupted.leave_unscreened(of(StopReason::Asked));
        assert_eq!(without_a_report(interrupted), Ok(StopReason::Asked));
        let mut unasked = Ledger::default();
        let no_thread = std::io::Error::from_raw_os_error(libc::EAGAIN);
        unasked.leave_unscreened(Outcome::Failed(Refused::NoThread(no_thread).into()));
        let error = several(unasked, |_| unreachable!()).unwrap_err();
        assert!(
            format!("{error:#}")
                .starts_with("cannot find out which processes run Go: cannot start a thread: ")
        );
    }
}
