//! Who comes and goes: by what the kernel tells as it happens where it does, and by scans of `/proc`, which find whoever was
//! there before, and what the kernel could not tell.

use std::time::Duration;

use leaktrace_core::base::num::Ktime;
use leaktrace_core::node::{Happened, Newcomers, ProcessEvent};
use leaktrace_core::schema::ProcessId;

use super::finding::{Changes, Finder};
use super::main_loop::{Agent, after};
use super::roster::Phase;
use crate::clock;
use crate::process::Pid;

/// How often all processes are looked through: where the kernel tells of them, only for those that run what they were forked with.
const SCAN: Duration = Duration::from_secs(2);
const SCAN_BESIDE_EVENTS: Duration = Duration::from_secs(30);

/// How long a process is left alone after an exec, at least and at most: most programs end before, and cost nothing.
const SETTLES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(1));

/// How many are looked at in a turn.
const MOST_LOOKED_AT: usize = 64;

/// Who is there, as far as is known, and who is to be looked at.
pub(super) struct Coming {
    pub(super) finder: Finder,
    pub(super) newcomers: Newcomers,
    pub(super) scan_due: Ktime,
    /// Whether the next scan asks everybody.
    asks_all: bool,
}

impl Coming {
    pub(super) fn new(now: Ktime) -> Self {
        Self { finder: Finder::default(), newcomers: Newcomers::default(), scan_due: now, asks_all: false }
    }
}

impl Agent<'_> {
    /// Looks for processes that have come and gone.
    pub(super) fn scan(&mut self, now: Ktime) {
        self.look_at_newcomers(now);
        if now < self.coming.scan_due {
            return;
        }
        let pause = if self.events.are_told() { SCAN_BESIDE_EVENTS } else { SCAN };
        self.coming.scan_due = after(now, pause);
        let changes = self.coming.finder.scan(self.procfs, std::mem::take(&mut self.coming.asks_all));
        self.readiness.scanned(&changes);
        self.changed(changes);
        self.candidates.extend(self.roster.due_again(now).into_iter().map(|id| Pid(id.pid)));
    }

    fn look_at_newcomers(&mut self, now: Ktime) {
        let mut changes = Changes::default();
        for pid in self.coming.newcomers.take(now, MOST_LOOKED_AT) {
            self.coming.finder.look_anew(self.procfs, Pid(pid), &mut changes);
        }
        self.changed(changes);
    }

    fn changed(&mut self, changes: Changes) {
        for id in changes.gone {
            self.not_permitted.remove(&Pid(id.pid));
            self.end(id);
        }
        for pid in changes.come {
            self.coming.newcomers.remove(pid.0);
            self.candidates.push_back(pid);
        }
    }

    /// A process has gone, or runs another program.
    pub(super) fn end(&mut self, id: ProcessId) {
        if let Some(recorder) = &mut self.black_box {
            recorder.end(id, self.roster.get(id), clock::now());
        }
        self.forget(id);
    }

    fn forget(&mut self, id: ProcessId) {
        self.studies.forget(id, clock::now());
        self.readiness.settled(Pid(id.pid));
        self.is_news |= self.roster.remove(id);
    }

    /// Whoever has this pid by now is to be found out.
    pub(super) fn look_again(&mut self, pid: Pid, until: Ktime) {
        if !self.coming.newcomers.wait(pid.0, until) {
            self.scan_soon(until);
        }
    }

    /// All processes are to be asked what they run.
    fn scan_soon(&mut self, now: Ktime) {
        self.coming.asks_all = true;
        // As often as if nothing were told: what is lost must not make us busier.
        self.coming.scan_due = self.coming.scan_due.min(after(now, SCAN));
    }

    /// Those have exited by what their descriptors say.
    pub(super) fn have_exited(&mut self, now: Ktime) {
        // What they ended with is told before they have.
        self.take_events(now);
        for pid in self.exits.take() {
            let Some(id) = self.roster.of_pid(pid.0).filter(|id| self.roster.has_exited(*id)) else {
                continue;
            };
            self.coming.finder.forget(pid);
            self.end(id);
        }
    }

    /// Takes in what the kernel has told by now. Says whether somebody is concerned who is watched.
    pub(super) fn take_events(&mut self, now: Ktime) -> bool {
        let taken = self.events.take(now);
        if taken.has_lost {
            self.scan_soon(now);
        }
        let mut is_anybody = taken.has_lost;
        for event in taken.events {
            is_anybody |= self.happened(event, now);
        }
        is_anybody
    }

    fn happened(&mut self, ProcessEvent { pid, at, happened }: ProcessEvent, now: Ktime) -> bool {
        match happened {
            Happened::Exec if Pid(pid) == Pid::own() => false,
            Happened::Exec => self.execed(Pid(pid), now),
            Happened::Exit(status) => {
                self.coming.newcomers.remove(pid);
                self.black_box.as_mut().is_some_and(|recorder| recorder.exits(pid, at, status))
            }
            Happened::OomVictim => {
                self.black_box.as_mut().is_some_and(|recorder| recorder.is_victim(pid, at))
            }
        }
    }

    /// Nothing that is known of the program before says anything of the one that runs now.
    fn execed(&mut self, pid: Pid, now: Ktime) -> bool {
        let (least, most) = SETTLES;
        self.look_again(pid, after(now, self.config.meant.min_age.clamp(least, most)));
        let Some(id) = self.roster.of_pid(pid.0) else { return false };
        if self.roster.has_exited(id) {
            // Another process has its pid already.
            self.end(id);
        } else {
            if let Some(recorder) = &mut self.black_box {
                recorder.forget(id);
            }
            self.forget(id);
        }
        true
    }

    /// A process is watched from now on.
    pub(super) fn watch_exit(&mut self, id: ProcessId) {
        let process = self.roster.get(id).filter(|process| matches!(process.phase, Phase::Watched));
        let Some(inspected) = process.and_then(|process| process.inspected.as_ref()) else { return };
        if let Err(error) = self.exits.add(Pid(id.pid), &inspected.target().exit) {
            // A read notices it, or a scan.
            tracing::warn!("cannot wait for the exit of pid {}: {error}", id.pid);
        }
    }
}
