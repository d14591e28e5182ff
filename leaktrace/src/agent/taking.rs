//! What the loop makes of what its jobs bring, and what it tells of it.

use std::cmp::Reverse;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use leaktrace_core::base::num::Ktime;
use leaktrace_core::go::goroutines::WalkError;
use leaktrace_core::node::{Bounds, Candidate, OwnFigures, Read, Row, families};
use leaktrace_core::schema::{NodeProcess, NodeState, ProcessId, Severity};

use super::black_box::{Recorder, Told};
use super::main_loop::{Agent, Answer, STUDY, TELL, after};
use super::reads::{self, Brought, Found, Looked};
use super::roster::Process;
use super::shared::node;
use super::studied::Studied;
use super::study::Heard;
use crate::clock;
use crate::process::privileges::{Capability, Privileges};
use crate::process::stat::anonymous;
use crate::process::workers::Lost;
use crate::process::{Pid, cpu};

/// Which share of what the agent may use it may take to put together what is told, and how old that may be at most. Counters of
/// processes that end are told as of the last time.
const TELLING: f64 = 0.2;
const LONGEST_TELL: Duration = Duration::from_secs(15);

impl Agent<'_> {
    /// Takes in what a job has brought.
    pub(super) fn take(&mut self, answer: Answer) {
        let now = clock::now();
        // How much memory somebody uses is not told.
        self.is_news |= !matches!(answer, Answer::BlackBox(Told::Surveyed(_)));
        match answer {
            Answer::Inspected(pids, result) => self.inspected(&pids, result, now),
            Answer::Peeked(ids, result) => {
                self.under_way.peeks -= 1;
                self.came((&ids, Read::Peek), result, now, |row, counts, at, took| {
                    row.peeked(at, *counts);
                    row.took(Read::Peek, took);
                });
            }
            Answer::Counted(ids, result) => {
                self.under_way.counts -= 1;
                self.came((&ids, Read::Count), result, now, |row, Looked { counts, snapshot }, at, took| {
                    row.counted(at, snapshot, counts.given, counts.unused_ids(), took);
                });
            }
            Answer::Dumped(id, lost) => {
                self.under_way.dumps -= 1;
                if let Some(why) = lost {
                    self.undumped(id, why, now);
                }
            }
            Answer::Lost(id, why) => self.undumped(id, why, now),
            Answer::NodeProfiled => self.under_way.node_profiles -= 1,
            Answer::Studied(id, heard) => self.studied(id, heard, now),
            Answer::BlackBox(told) => self.black_box_told(told, now),
            Answer::Pods(pods) => self.roster.name(pods),
            Answer::Reread(result) => self.reread(result),
        }
    }

    fn undumped(&mut self, id: ProcessId, why: String, now: Ktime) {
        if let Some(process) = self.roster.get_mut(id) {
            process.undumped(why, now);
        }
    }

    fn inspected(&mut self, pids: &[Pid], result: Result<Vec<(Pid, Found)>, Lost>, now: Ktime) {
        self.under_way.inspections -= 1;
        match result {
            Ok(found) => found.into_iter().for_each(|(pid, found)| self.found(pid, found, now)),
            Err(_) if pids.len() > 1 => self.suspects.extend(pids),
            Err(lost) => {
                for pid in pids {
                    self.readiness.settled(*pid);
                }
                for (id, about) in pids.iter().filter_map(|pid| reads::outside(self.procfs, *pid)) {
                    self.roster.block(id, about, lost.to_string(), now);
                }
            }
        }
    }

    fn found(&mut self, pid: Pid, found: Found, now: Ktime) {
        let id = match &found {
            Found::Refused(id, ..) | Found::Understood(id, ..) => Some(*id),
            Found::NotMeant | Found::NotPermitted | Found::TooYoung(_) => None,
        };
        // It may have gone meanwhile, or have become another program.
        let is_another = self.coming.newcomers.has(pid.0) && !matches!(found, Found::TooYoung(_));
        if is_another || id.is_some_and(|id| !self.coming.finder.knows(id)) {
            return;
        }
        if !matches!(found, Found::Understood(..)) {
            self.readiness.settled(pid);
        }
        match found {
            Found::NotMeant => {}
            Found::NotPermitted => self.not_permitted(pid),
            Found::TooYoung(pause) => self.look_again(pid, after(now, pause)),
            Found::Refused(id, about, reason) => self.roster.refuse(id, about, reason, now),
            Found::Understood(id, about, _) if self.roster.watched() >= self.config.most_processes => {
                let most = self.config.most_processes;
                let reason = format!("{most} processes are watched already, which is the limit");
                self.roster.refuse(id, about, reason, now);
            }
            Found::Understood(id, about, inspected) => {
                self.roster.add(id, about, inspected, now);
                self.watch_exit(id);
            }
        }
    }

    /// Says once that there are processes of which nobody knows what they run, if that is for want of rights. Some may not
    /// even be looked at by root.
    fn not_permitted(&mut self, pid: Pid) {
        let is_first = self.not_permitted.is_empty();
        self.not_permitted.insert(pid);
        if !is_first {
            return;
        }
        let privileges = Privileges::of_this_process(self.procfs);
        let needed = [Capability::SysPtrace, Capability::DacReadSearch];
        if !needed.into_iter().all(|one| privileges.has(one)) {
            let told = "some processes may not be looked at: permission denied\n\
                        hint: run leaktrace as root, or with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH";
            // Whoever has closed standard error does not want to know.
            _ = writeln!(io::stderr(), "leaktrace: {told}");
        }
    }

    /// A batch of reads has come back, or is lost.
    fn came<T>(
        &mut self,
        (ids, read): (&[ProcessId], Read),
        result: Result<Vec<Brought<T>>, Lost>,
        now: Ktime,
        note: impl Fn(&mut Row, &T, Ktime, Duration),
    ) {
        let brought = match result {
            Ok(brought) => brought,
            Err(lost) => return self.lost(ids, &lost, now),
        };
        for Brought { reading, at, result, gone, took } in brought {
            let id = reading.id;
            let Some(process) = self.roster.get_mut(id) else { continue };
            // An answer on what it ran before an exec says nothing of what it runs now.
            if !process.give_back(reading) {
                continue;
            }
            if gone.is_some() {
                self.look_again(Pid(id.pid), now);
                self.end(id);
                continue;
            }
            match result {
                Ok(brought) => note(process.row_mut(), &brought, at, took),
                Err(error) => {
                    failed(process, (at, read, took), error);
                    self.readiness.settled(Pid(id.pid));
                }
            }
            self.roster.queue(id);
        }
    }

    /// A batch did not come back. Whoever is to blame is not read again; where nobody knows, all are read alone.
    fn lost(&mut self, ids: &[ProcessId], lost: &Lost, now: Ktime) {
        let blamed = blamed(lost);
        for id in ids {
            if ids.len() == 1 || blamed == Some(Pid(id.pid)) {
                self.roster.get_mut(*id).into_iter().for_each(|process| process.block(lost.to_string(), now));
            } else {
                self.roster.make_anew(*id, blamed.is_none());
            }
        }
    }

    /// Begins studies, where there is room.
    pub(super) fn study(&mut self, now: Ktime) {
        if now < self.study_due {
            return;
        }
        self.study_due = after(now, STUDY);
        self.keep_within_memory();
        if self.memory.is_short() {
            return;
        }
        let candidates: Vec<Candidate> =
            self.roster.iter().filter_map(|(id, process)| process.candidate(id)).collect();
        let suspect = |id| self.roster.get(id)?.prime_suspect();
        self.studies.begin(&candidates, suspect, self.procfs, now);
    }

    fn studied(&mut self, id: ProcessId, heard: Heard, now: Ktime) {
        match heard {
            Heard::Report(mut report) => {
                self.studies.heard(id, &mut report, now);
                let is_asked = self.studies.is_asked(id);
                if let Some(process) = self.roster.get_mut(id) {
                    process.hear(Studied { report: Arc::from(report), at: now }, is_asked);
                }
            }
            Heard::Ended(used, error) => {
                let is_asked = self.studies.is_asked(id);
                let is_over = self.studies.ended(id, used, error, self.procfs, now);
                if let Some(process) = self.roster.get_mut(id).filter(|_| is_over) {
                    process.study_ended(is_asked);
                }
            }
        }
    }

    /// What the agent says of itself.
    fn own(&self) -> OwnFigures {
        OwnFigures {
            cpu: cpu::used_by_us() + cpu::used_by_ended_children(self.procfs),
            memory_bytes: anonymous(self.procfs, Pid::own()).unwrap_or(0),
            memory_limit: self.memory.most(),
            is_memory_short: self.memory.is_short(),
            dropped: vec![("names", self.dropped.names), ("reports", self.dropped.reports)],
            stuck_reads: self.workers.stuck() as u64,
            budget: Read::ALL.map(|read| (read.as_str(), self.pace.cores_for(read))).into(),
            periods: Read::ALL.map(|read| (read, self.roster.longest_period(read))).into(),
            highest_level: self.studies.highest_level(),
            unreadable: self
                .roster
                .unreadable()
                .into_iter()
                .chain([("not_permitted", self.not_permitted.len() as u64)])
                .collect(),
            events_lost: self.events.lost(),
            black_box: self.black_box.as_ref().map(Recorder::figures),
            pushes: self.network.pushes.figures(),
        }
    }

    /// Tells what is known, if that is news and somebody asks for it, or nobody has for a while.
    pub(super) fn tell(&mut self, now: Ktime) {
        if now >= self.tell_due && !self.readiness.is_ready() {
            self.roster.looked_at().for_each(|id| self.readiness.settled(Pid(id.pid)));
            self.is_news = true;
        }
        self.shared.ready(self.readiness.is_ready());
        let is_asked = self.shared.is_asked() && now >= self.tell_due;
        if !is_asked && now < self.tell_next() {
            return;
        }
        self.tell_due = now;
        if std::mem::take(&mut self.is_news) {
            self.tell_news(now);
        }
        self.shared.told(self.tell_due);
    }

    /// When it is told what is known though nobody asks. At the start everybody waits for that.
    pub(super) fn tell_next(&self) -> Ktime {
        if self.readiness.is_ready() { after(self.tell_due, LONGEST_TELL) } else { self.tell_due }
    }

    fn tell_news(&mut self, now: Ktime) {
        let before = cpu::used_by_this_thread();
        let mut processes: Vec<NodeProcess> =
            self.roster.iter().map(|(id, process)| process.told(id, self.studies.level(id), now)).collect();
        processes.sort_by_key(|process| Reverse(rank(process)));
        self.service.is_doing(status(&processes));
        let own = self.own();
        let reports = self.roster.iter().filter_map(|(id, process)| Some((id, process.report()?))).collect();
        let bounds = Bounds { series: self.config.most_series, ..Bounds::default() };
        let metrics = families(&processes, &mut self.totals, &own, &bounds);
        // What it takes is within what the agent may use.
        let took = cpu::used_by_this_thread().saturating_sub(before).as_secs_f64();
        let pause = Duration::try_from_secs_f64(took / (self.config.cores * TELLING)).unwrap_or(LONGEST_TELL);
        self.tell_due = after(now, pause.clamp(TELL, LONGEST_TELL));
        let entries = self.black_box.as_ref().map(Recorder::entries).unwrap_or_default();
        self.shared.tell(node(processes, entries), metrics, reports);
    }
}

/// What we do, in few words.
fn status(processes: &[NodeProcess]) -> String {
    let count = |is_it: fn(&NodeProcess) -> bool| processes.iter().filter(|process| is_it(process)).count();
    let watched = count(|process| matches!(process.state, NodeState::Watched | NodeState::Waiting));
    let unreadable = processes.len() - watched;
    let suspected = count(|process| process.sites.iter().any(|site| site.suspect.is_some()));
    let incidents: usize = processes.iter().map(|process| process.incidents.len()).sum();
    format!(
        "Go processes: {watched} watched, {unreadable} unreadable, {suspected} suspected; incidents: {incidents}"
    )
}

/// Which processes come first: those with incidents, the surest before others, then those with a suspect, those that cannot be read, then the largest.
fn rank(process: &NodeProcess) -> (Option<Reverse<Severity>>, usize, bool, u64) {
    let surest = process.incidents.iter().map(|incident| Reverse(incident.severity)).max();
    let suspects = process.sites.iter().filter(|site| site.suspect.is_some()).count();
    (
        surest,
        suspects,
        matches!(process.state, NodeState::Blocked | NodeState::Refused),
        process.goroutines.unwrap_or(0),
    )
}

/// A read has failed.
fn failed(process: &mut Process, (at, read, took): (Ktime, Read, Duration), error: WalkError) {
    match reads::end(&error) {
        Some(true) => process.block(format!("{:#}", anyhow::Error::from(error)), at),
        Some(false) => process.fail(format!("{:#}", anyhow::Error::from(error)), at),
        None => {
            tracing::debug!("a read of a process has failed: {error}");
            process.row_mut().took(read, took);
            process.row_mut().failed(at, read);
        }
    }
}

/// Whose read did not return.
fn blamed(lost: &Lost) -> Option<Pid> {
    match lost {
        Lost::Blocked(blocked) => blocked.pid,
        Lost::Panicked => None,
    }
}
