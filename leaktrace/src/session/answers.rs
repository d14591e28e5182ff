//! What jobs have brought.

use std::time::Duration;

use leaktrace_core::go::goroutines::WalkError;
use leaktrace_core::goroutines::Facts;
use leaktrace_core::session::{Class, Part, StopReason, Told};

use super::discovery::MOST_WATCHED;
use super::engine::Engine;
use super::jobs::{self, Answer, Done, Planned};
use super::member::{Key, Order};
use super::observer::{Observer, Seen};
use super::publish::Publication;
use super::reporting::{self, Made};
use crate::clock;
use crate::inspect::Inspected;
use crate::process::ProcessError;
use crate::process::exit::Gone;
use crate::process::workers::Lost;

impl Engine<'_> {
    /// A job of a target has ended, one way or another.
    pub(super) fn answered(
        &mut self,
        key: Key,
        class: Option<Class>,
        done: Result<Done, Lost>,
    ) -> anyhow::Result<()> {
        match (class, &done) {
            (Some(class), Err(Lost::Blocked(_))) => self.queue.given_up(key, class, clock::now()),
            (Some(class), _) => self.queue.done(key, class, clock::now()),
            (None, _) => {}
        }
        match done {
            // Nobody waits for it any more.
            _ if !self.members.contains_key(&key) => Ok(()),
            Ok(Done { answer, used }) => {
                self.used(key, &answer, used)?;
                self.take(key, answer)
            }
            Err(lost) => self.lost(key, lost),
        }
    }

    /// Puts down what a job has used of the processor where it is one of many: what a target costs once counts for nothing.
    fn used(&mut self, key: Key, answer: &Answer, ours: Duration) -> anyhow::Result<()> {
        let part = match answer {
            Answer::Walked { .. } | Answer::Reported(_) => Some(Part::Looks),
            Answer::HeapPassed { .. } => Some(Part::Passes),
            Answer::Gone(_) => None,
            _ => return Ok(()),
        };
        let Some(member) = self.members.get_mut(&key) else { return Ok(()) };
        member.looks_cpu += ours;
        let Some(part) = part else { return Ok(()) };
        let target = member.used_cpu(self.procfs);
        self.tell(key, Told::Used { part, ours, target })
    }

    fn take(&mut self, key: Key, answer: Answer) -> anyhow::Result<()> {
        match answer {
            Answer::Screened(result) => self.screened(key, result),
            Answer::TooYoung => self.tell(key, Told::NotYet),
            Answer::Inspected(Ok((inspected, facts))) => self.inspected(key, inspected, facts),
            Answer::Planned(Ok(planned)) => self.planned(key, *planned),
            Answer::Inspected(Err(error)) | Answer::Planned(Err(error)) => self.fail(key, error),
            Answer::Confirmed(result) => self.tell(key, Told::Confirmed(result)),
            Answer::Walked { observer, result, gone } => self.walked(key, observer, result, gone),
            Answer::HeapPassed { result, took } => self.tell(key, Told::HeapPassed { result, took }),
            Answer::Reported(made) => self.reported(key, *made),
            Answer::Gone(gone) => {
                if let Some(member) = self.members.get_mut(&key) {
                    member.is_asked = false;
                }
                gone.map_or(Ok(()), |gone| self.gone(key, gone))
            }
        }
    }

    /// Who is not meant, or cannot even be asked, was never there.
    fn screened(&mut self, key: Key, result: Result<bool, ProcessError>) -> anyhow::Result<()> {
        if !result.unwrap_or(false) {
            self.queue.forget(key);
            self.members.remove(&key);
            return Ok(());
        }
        let watched = self.members.values().filter(|member| member.screening.is_none()).count();
        let Some(member) = self.members.get_mut(&key) else { return Ok(()) };
        member.screening = None;
        if watched >= MOST_WATCHED {
            if let Some(discovery) = &mut self.discovery {
                discovery.leave_waiting(member.process.pid);
            }
            return self.fail(key, anyhow::anyhow!("{MOST_WATCHED} processes are watched already"));
        }
        member.orders.insert(Class::Awaited, Order::Inspect);
        self.queue.push(key, Class::Awaited);
        Ok(())
    }

    fn inspected(&mut self, key: Key, inspected: Inspected, facts: Option<Facts>) -> anyhow::Result<()> {
        self.events.watch_exit(key, &inspected.target().exit)?;
        let refused = match self.probing() {
            Err(error) if self.launched.is_none() => return Err(error),
            probing => probing.err(),
        };
        if let Some(member) = self.members.get_mut(&key) {
            member.process.exe = Some(reporting::about(&inspected).exe);
            (member.inspected, member.facts) = (Some(inspected), facts);
            member.loaded = refused.map(Err);
            member.orders.insert(Class::Awaited, Order::Plan);
            self.queue.push(key, Class::Awaited);
        }
        Ok(())
    }

    fn planned(&mut self, key: Key, planned: Planned) -> anyhow::Result<()> {
        if let Some(member) = self.members.get_mut(&key) {
            member.loaded.get_or_insert(planned.loaded);
            member.code = planned.code;
        }
        self.tell(key, Told::Prepared(Box::new(planned.prepared)))
    }

    /// A look that reached into the process that follows says nothing.
    fn walked(
        &mut self,
        key: Key,
        observer: Box<Observer>,
        result: Result<Seen, WalkError>,
        gone: Option<Gone>,
    ) -> anyhow::Result<()> {
        let Some(member) = self.members.get_mut(&key) else { return Ok(()) };
        member.observer = Some(observer);
        let (has_exited, has_execed) = (member.has_exited(), self.has_execed(key));
        if let Some(gone) = gone.or(has_exited.then_some(Gone::Exited)).or(has_execed.then_some(Gone::Execed))
        {
            self.gone(key, gone)?;
        }
        let Some(member) = self.members.get_mut(&key) else { return Ok(()) };
        let walked = match result {
            Ok(seen) => {
                member.recorded = seen.recorded;
                Ok(seen.look)
            }
            Err(error) => {
                if !error.is_gone() {
                    tracing::warn!(%error, pid = %member.process.pid, "cannot take a snapshot");
                }
                Err(error)
            }
        };
        self.tell(key, Told::Walked(walked))
    }

    /// The process runs something else by now, or nothing.
    fn gone(&mut self, key: Key, gone: Gone) -> anyhow::Result<()> {
        let has_exited = self.members.get(&key).is_some_and(super::member::Member::has_exited);
        let reason = match gone {
            Gone::Execed if !has_exited => StopReason::Execed,
            Gone::Exited | Gone::Execed => StopReason::Exited,
        };
        self.tell(key, Told::Stop(reason))
    }

    fn reported(&mut self, key: Key, made: Made) -> anyhow::Result<()> {
        let Made { target, reporter, is_last, fails, report } = made;
        let Some(member) = self.members.get_mut(&key) else { return Ok(()) };
        (member.target, member.reporter) = (Some(target), Some(reporter));
        let process = member.process.clone();
        if let Some(report) = &report {
            member.has_reported = true;
            self.is_unreached |= is_last && report.completeness.unreached;
            self.has_found |= is_last && fails;
        }
        let inbox = member.take_inbox();
        if let Some(report) = &report {
            self.consumer.take(&Publication::Report { process, report, is_last })?;
        }
        self.tell(key, Told::Reported)?;
        inbox.into_iter().try_for_each(|told| self.tell(key, told))
    }

    /// A job has not come back, or not well.
    fn lost(&mut self, key: Key, lost: Lost) -> anyhow::Result<()> {
        let Some(member) = self.members.get_mut(&key) else { return Ok(()) };
        let Lost::Blocked(blocked) = lost else { return self.fail(key, jobs::lost()) };
        if member.target.is_none() {
            // It was making a report, and is there no more.
            return self.fail(key, anyhow::Error::new(*blocked));
        }
        let notice = format!("{blocked}; the report shows what was known until then");
        member.blocked = Some(anyhow::Error::new(*blocked));
        self.tell(key, Told::Blocked(notice))
    }
}
