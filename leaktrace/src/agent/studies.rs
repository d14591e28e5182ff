//! Studies: a process that looks suspicious is watched closely for some minutes, and so is each in turn, since what cannot
//! run again need not grow; and whom somebody asks for, for as long as that one wants.
//!
//! A study is a leaktrace of its own, such as `leaktrace --pid PID --probes none --format json`: it has its own memory, may be
//! ended at any time, and says what everybody would be told who looked at that process by hand. Of a suspect the `go`
//! statement that grows is probed. Where that cannot be, its study goes on from memory alone.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use leaktrace_core::base::num::Ktime;
use leaktrace_core::node::{Candidate, NotNow, Probed, Turns, Why};
use leaktrace_core::schema::{Level, Location, ProcessId, Report, Severity};
use leaktrace_core::trace::plan::Statement;
use rustix::process::{Signal, pidfd_send_signal};
use thiserror::Error;
use tokio::sync::mpsc;

use super::main_loop::{Answer, after};
use super::study::{self, Way, kill};
use crate::process::Procfs;
use crate::quantity::Overhead;

/// How long a suspect is studied at least, also where something is proved at once: that may be something else.
const ENOUGH: Duration = Duration::from_mins(3);

/// How long after its end a study is killed; after twice as long it is given up.
const LATE: Duration = Duration::from_secs(30);

/// What is left of a study that ends before its time is made up for, if it is so long.
const LEAST: Duration = Duration::from_secs(5);

/// When it is tried again where no study can be started.
const RETRY: Duration = Duration::from_mins(1);

/// What studies may do.
pub(super) struct Means {
    /// Why nothing can be probed, if so.
    pub(super) obstacle: Option<String>,
    /// What probes may cost a process.
    pub(super) max_overhead: Overhead,
}

/// All studies.
pub(super) struct Studies {
    means: Means,
    turns: Turns,
    under_way: BTreeMap<ProcessId, Study>,
    /// When it is tried again where none could be started.
    retry_due: Ktime,
    answer: mpsc::UnboundedSender<Answer>,
}

struct Study {
    /// The leaktrace that makes it.
    process: OwnedFd,
    way: Way,
    began: Ktime,
    /// When it should have ended.
    until: Ktime,
    /// Whether we have ended it.
    is_ended: bool,
    /// At which level it is by its last report, and why at no higher one, if so.
    level: Level,
    reason: Option<String>,
    /// What comes after its end.
    next: Option<Way>,
}

impl Studies {
    /// For an agent that may use so many `cores`, whose loop hears of `answer`.
    pub(super) fn new(cores: f64, means: Means, now: Ktime, answer: mpsc::UnboundedSender<Answer>) -> Self {
        Self { means, turns: Turns::new(cores, now), under_way: BTreeMap::new(), retry_due: now, answer }
    }

    /// The agent may use so many cores from now on, and probes may cost so much.
    pub(super) const fn set_limits(&mut self, cores: f64, max_overhead: Overhead) {
        self.turns.set_cores(cores);
        self.means.max_overhead = max_overhead;
    }

    /// The highest level that there are the rights for.
    pub(super) const fn highest_level(&self) -> Level {
        if self.means.obstacle.is_none() { Level::All } else { Level::Memory }
    }

    /// Begins those for which there is room; `suspect` knows where the `go` statement of a process is that is suspected most.
    /// Where none can be begun, that is tried again in a minute.
    pub(super) fn begin(
        &mut self,
        candidates: &[Candidate],
        suspect: impl Fn(ProcessId) -> Option<Location>,
        procfs: &Procfs,
        now: Ktime,
    ) {
        self.end_late(now);
        if now < self.retry_due {
            return;
        }
        while let Some((one, why)) = self.turns.next(candidates, now) {
            let at = suspect(one.id).filter(|_| why == Why::Suspected);
            let (probed, reason) = self.probed(at.as_ref());
            if let Err(error) = self.start(one.id, self.way(probed, why.lasts()), reason, procfs, now) {
                tracing::warn!("cannot start a study of pid {}: {error}", one.id.pid);
                self.retry_due = after(now, RETRY);
                return;
            }
            self.turns.began(&one, why, now);
        }
    }

    /// Whether this one is studied because somebody has asked for it.
    pub(super) fn is_asked(&self, id: ProcessId) -> bool {
        self.turns.under_way(id) == Some(Why::Asked)
    }

    /// What is probed of a process with this suspect, and why it is nothing.
    fn probed(&self, suspect: Option<&Location>) -> (Probed, Option<String>) {
        let site = suspect.map(|at| match &self.means.obstacle {
            Some(why) => Err(why.clone()),
            None => Statement::of(at).map_err(|error| error.to_string()),
        });
        match site {
            Some(Ok(site)) => (Probed::Site(site), None),
            Some(Err(why)) => (Probed::Nothing, Some(why)),
            None => (Probed::Nothing, None),
        }
    }

    const fn way(&self, probed: Probed, lasts: Duration) -> Way {
        Way { probed, lasts, max_overhead: self.means.max_overhead }
    }

    fn start(
        &mut self,
        id: ProcessId,
        way: Way,
        reason: Option<String>,
        procfs: &Procfs,
        now: Ktime,
    ) -> io::Result<()> {
        let process = study::start(id, &way, procfs, &self.answer)?;
        let (until, level) = (after(now, way.lasts), Level::Memory);
        let study = Study { process, way, began: now, until, is_ended: false, level, reason, next: None };
        self.under_way.insert(id, study);
        Ok(())
    }

    /// Has a process watched like this for so long, because somebody asks for it. Another study of it gives way.
    pub(super) fn ask(
        &mut self,
        one: &Candidate,
        (probed, lasts): (Probed, Duration),
        procfs: &Procfs,
        now: Ktime,
    ) -> Result<(), NotAsked> {
        if let Some(why) = &self.means.obstacle {
            return Err(NotAsked::Unable(why.clone()));
        }
        self.turns.admit(one)?;
        let way = self.way(probed, lasts);
        match self.under_way.get_mut(&one.id) {
            Some(study) => {
                study.next = Some(way);
                study.end(now);
            }
            None => self.start(one.id, way, None, procfs, now)?,
        }
        self.turns.began(one, Why::Asked, now);
        Ok(())
    }

    /// Ends those that should have ended by themselves, and forgets those that do not end even so.
    fn end_late(&mut self, now: Ktime) {
        let is_late = |study: &&mut Study| after(study.until, LATE) <= now;
        self.under_way.values_mut().filter(is_late).for_each(|study| {
            study.is_ended = true;
            kill(&study.process);
        });
        let is_stuck = |study: &Study| after(study.until, LATE * 2) <= now;
        for (id, _) in self.under_way.extract_if(.., |_, study| is_stuck(study)) {
            tracing::warn!("a study of pid {} does not end", id.pid);
            self.turns.given_up(id);
        }
    }

    /// A study has said this, to which is added why it does not probe what was meant. Whoever is found to leak needs no longer
    /// one, unless somebody has asked for it.
    pub(super) fn heard(&mut self, id: ProcessId, report: &mut Report, now: Ktime) {
        let Some(study) = self.under_way.get_mut(&id) else { return };
        study.level = Level::of(report);
        if report.completeness.unreached {
            study.reason = Some("no probe reaches the code that the process runs".to_owned());
        } else if let Some(reason) = &study.reason {
            report
                .notices
                .push(format!("watched from memory alone, because nothing can be probed: {reason}"));
        }
        let least = match self.turns.under_way(id) {
            Some(Why::Asked) => return,
            Some(Why::Suspected) => ENOUGH,
            Some(Why::InTurn | Why::Grown) | None => Duration::ZERO,
        };
        let is_sure = report.incidents.iter().any(|incident| incident.severity != Severity::Watch);
        if is_sure && after(study.began, least) <= now {
            study.end(now);
        }
    }

    /// A study has ended after it has `used` that much, for this reason if not as it should. Says whether nothing comes after it.
    /// One that could not probe its process goes on without.
    pub(super) fn ended(
        &mut self,
        id: ProcessId,
        used: Duration,
        error: Option<String>,
        procfs: &Procfs,
        now: Ktime,
    ) -> bool {
        let study = self.under_way.remove(&id);
        let error = error.filter(|_| study.as_ref().is_none_or(|study| !study.is_ended));
        if let Some(error) = &error {
            tracing::warn!("the study of pid {} has ended: {error}", id.pid);
        }
        let next = study.and_then(|study| study.after(error, now));
        let is_over = next.is_none_or(|(way, reason)| match self.start(id, way, reason, procfs, now) {
            Ok(()) => false,
            Err(error) => {
                tracing::warn!("cannot start a study of pid {}: {error}", id.pid);
                true
            }
        });
        if is_over {
            self.turns.ended(id, used, now);
        }
        is_over
    }

    /// At which level this one is watched, and why at no higher one; nothing if it is not studied.
    pub(super) fn level(&self, id: ProcessId) -> Option<(Level, Option<&str>)> {
        self.under_way.get(&id).map(|study| (study.level, study.reason.as_deref()))
    }

    /// The process has gone.
    pub(super) fn forget(&mut self, id: ProcessId, now: Ktime) {
        if let Some(study) = self.under_way.get_mut(&id) {
            study.next = None;
            study.end(now);
        }
        self.turns.forget(id);
    }

    /// Ends all.
    pub(super) fn end_all(&mut self, now: Ktime) {
        self.under_way.values_mut().for_each(|study| {
            study.next = None;
            study.end(now);
        });
    }

    /// Whether any process may still have probes.
    pub(super) fn are_probing(&self) -> bool {
        self.under_way.values().any(Study::is_probing)
    }
}

/// Why a process is not watched more closely.
#[derive(Debug, Error)]
pub(super) enum NotAsked {
    #[error(transparent)]
    NotNow(#[from] NotNow),
    #[error("{0}")]
    Unable(String),
    #[error("no study can be started: {0}")]
    Start(#[from] io::Error),
}

impl Study {
    fn is_probing(&self) -> bool {
        self.way.probed != Probed::Nothing
    }

    /// Ends it; the thread that listens to it says so. One that probes its process takes the probes away first.
    fn end(&mut self, now: Ktime) {
        // A second signal would not let it take them away.
        if std::mem::replace(&mut self.is_ended, true) {
            return;
        }
        self.until = self.until.min(now);
        if self.is_probing() {
            // One that has ended by itself needs no end.
            _ = pidfd_send_signal(&self.process, Signal::TERM);
        } else {
            kill(&self.process);
        }
    }

    /// What comes after it, and why nothing can be probed, if so. It has ended, for this reason if not as it should.
    fn after(self, error: Option<String>, now: Ktime) -> Option<(Way, Option<String>)> {
        if let Some(next) = self.next {
            return Some((next, None));
        }
        let reason = error.filter(|_| self.way.probed != Probed::Nothing)?;
        let lasts = Duration::from_nanos(self.until.since(now));
        let way = Way { probed: Probed::Nothing, lasts, ..self.way };
        (lasts >= LEAST).then_some((way, Some(reason)))
    }
}

#[cfg(test)]
mod tests;
