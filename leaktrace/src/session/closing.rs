//! Makes reports, and lets go of targets.

use std::sync::atomic::Ordering;

use leaktrace_core::schema::ProcessState;
use leaktrace_core::session::{Spending, StopReason, Told};
use thiserror::Error;

use super::engine::Engine;
use super::jobs;
use super::member::{Key, Outcome};
use super::probes::Probes;
use super::publish::Publication;
use super::recorder::Recorder;
use super::reporting::ReportOrder;
use crate::process::workers::Refused;
use crate::process::{Pid, ProcessError};

impl Engine<'_> {
    /// Begins a report. The target is away until that is made.
    pub(super) fn begin_report(&mut self, key: Key, is_last: bool) -> anyhow::Result<()> {
        let counted = self.count(key)?;
        if is_last {
            self.write_meter(key, &counted);
            if let Some(launched) = &self.launched {
                launched.program.let_end();
            }
        }
        let Some(member) = self.members.get_mut(&key) else { return Ok(()) };
        let Some((target, reporter)) = member.target.take().zip(member.reporter.take()) else {
            return Ok(());
        };
        let spending = member.probes.as_ref().map_or(Spending::NOTHING, Probes::spending);
        let order = ReportOrder { target, reporter, counted, spending, is_last };
        let job = self.workers.submit(move || jobs::counted(|| jobs::report(order)))?;
        self.events.await_job(key, None, job);
        Ok(())
    }

    /// Has the probes of a target taken away.
    pub(super) fn detach(&mut self, key: Key) -> anyhow::Result<Option<Told>> {
        let probes = self.members.get_mut(&key).and_then(|member| member.probes.as_mut());
        let Some((probes, hub)) = probes.zip(self.hub.as_mut()) else { return Ok(Some(Told::Detached)) };
        probes.detach(hub)?;
        self.detaching.push(key);
        Ok(None)
    }

    /// The watch over a target has ended as it should.
    pub(super) fn end(&mut self, key: Key, reason: StopReason) -> anyhow::Result<()> {
        let blocked = self.members.get_mut(&key).and_then(|member| member.blocked.take());
        self.close(key, blocked.map_or(Outcome::Ended(reason), Outcome::Failed))
    }

    /// Lets go of a target.
    pub(super) fn close(&mut self, key: Key, outcome: Outcome) -> anyhow::Result<()> {
        let Some(mut member) = self.members.remove(&key) else { return Ok(()) };
        if let Some((probes, hub)) = member.probes.take().zip(self.hub.as_mut()) {
            hub.remove(probes.id());
        }
        member.stop.store(true, Ordering::Relaxed);
        self.queue.forget(key);
        self.detaching.retain(|detaching| *detaching != key);
        if member.screening.is_some() {
            // Nobody knows whether it was meant.
            self.ledger.leave_unscreened(outcome);
            return Ok(());
        }
        let is_seen = member.has_reported || self.launched.is_some();
        let unseen = Unseen::of(&outcome).filter(|_| !is_seen);
        let (process, (state, reason)) = (member.process, told_of(&outcome));
        let reason = reason.or_else(|| unseen.map(|unseen| unseen.to_string()));
        let outcome = unseen.map_or(outcome, |unseen| Outcome::Failed(unseen.into()));
        if let Some(discovery) = &mut self.discovery {
            discovery.has_ended(process.pid, state == ProcessState::Execed);
        }
        // Of those that are found by what they are, one that has gone was never there.
        let was_there = self.discovery.is_none() || member.has_reported || !is_gone(&outcome);
        if was_there {
            self.ledger.enter(process.pid, member.has_reported, outcome);
        }
        // To wait for what is left of it would hold up the others.
        self.recorded = self.recorded.take().or(member.recorder.take().map(Recorder::finish));
        self.consumer.take(&Publication::Ended { process, state, reason })
    }
}

/// Whether a process had ended before it could be looked at.
fn is_gone(outcome: &Outcome) -> bool {
    let Outcome::Failed(error) = outcome else { return false };
    let is_end = |error: &ProcessError| {
        use ProcessError::{Exited, NoSuchProcess, Zombie};
        matches!(error, NoSuchProcess { .. } | Zombie { .. } | Exited { .. })
    };
    error.chain().any(|cause| cause.downcast_ref().is_some_and(is_end))
}

/// What came of the targets that are closed.
#[derive(Default)]
pub(super) struct Ledger {
    /// Whether there was a report on any.
    pub(super) has_reported: bool,
    /// The first that could not be watched to its end.
    pub(super) first_failure: Option<(Pid, anyhow::Error)>,
    /// Why the last one of all others ended.
    pub(super) last_reason: Option<StopReason>,
    /// Whether it was not found out in time of some whether they are meant.
    pub(super) has_unscreened: bool,
    /// Why we could not even begin to find it out, of the first of them.
    pub(super) unasked: Option<anyhow::Error>,
}

impl Ledger {
    pub(super) fn leave_unscreened(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Ended(StopReason::TimeUp) => self.has_unscreened = true,
            Outcome::Ended(StopReason::Asked) => self.last_reason = Some(StopReason::Asked),
            Outcome::Failed(error) if error.is::<Refused>() => _ = self.unasked.get_or_insert(error),
            Outcome::Ended(_) | Outcome::Failed(_) => {}
        }
    }

    fn enter(&mut self, pid: Pid, has_reported: bool, outcome: Outcome) {
        self.has_reported |= has_reported;
        match outcome {
            Outcome::Ended(reason) => self.last_reason = Some(reason),
            Outcome::Failed(error) => _ = self.first_failure.get_or_insert((pid, error)),
        }
    }
}

/// Why there is no report on a process that could be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unseen {
    /// It exited.
    #[error("the process exited before the first snapshot of its memory")]
    Exited,
    /// It became another program.
    #[error("the process became another program (exec) before the first snapshot of its memory")]
    Execed,
    /// The first snapshot took too long.
    #[error("the first snapshot of its memory was not ready in time")]
    Late,
}

impl Unseen {
    /// What an outcome means where there was no report. Whoever interrupts us wants none.
    const fn of(outcome: &Outcome) -> Option<Self> {
        match outcome {
            Outcome::Ended(StopReason::Exited) => Some(Self::Exited),
            Outcome::Ended(StopReason::Execed) => Some(Self::Execed),
            Outcome::Ended(StopReason::TimeUp) => Some(Self::Late),
            Outcome::Ended(StopReason::Asked | StopReason::HeldAtExit | StopReason::Blocked)
            | Outcome::Failed(_) => None,
        }
    }
}

/// What others are told of how a watch ended.
fn told_of(outcome: &Outcome) -> (ProcessState, Option<String>) {
    match outcome {
        Outcome::Ended(StopReason::TimeUp | StopReason::Asked | StopReason::HeldAtExit) => {
            (ProcessState::Watched, None)
        }
        Outcome::Ended(StopReason::Exited) => (ProcessState::Exited, None),
        Outcome::Ended(StopReason::Execed) => (ProcessState::Execed, None),
        Outcome::Ended(StopReason::Blocked) => (ProcessState::Blocked, None),
        Outcome::Failed(error) if jobs::is_blocked(error) => {
            (ProcessState::Blocked, Some(format!("{error:#}")))
        }
        Outcome::Failed(error) => (ProcessState::Refused, Some(format!("{error:#}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_ended_before_it_was_looked_at_was_never_there() {
        let error = ProcessError::NoSuchProcess { pid: Pid(7) };
        assert!(is_gone(&Outcome::Failed(anyhow::Error::from(error).context("in words"))));
        assert!(!is_gone(&Outcome::Failed(Unseen::Late.into())));
        assert!(!is_gone(&Outcome::Ended(StopReason::Exited)));
    }
}
