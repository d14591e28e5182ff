//! The Go processes of the node, and what is known of each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use leaktrace_core::base::num::Ktime;
use leaktrace_core::go::counts::CountPlan;
use leaktrace_core::node::{Candidate, Pace, Pods, Read, ReadQueue, Row};
use leaktrace_core::schema::{Location, NodeIncident, ProcessId, Report};

use super::main_loop::after;
use super::naming::Naming;
use super::reads::{About, Names, Reading};
use super::studied::Studied;
use crate::inspect::Inspected;

/// After how long it is tried again to look at a process: at first, and at most.
const FIRST_AGAIN: Duration = Duration::from_mins(1);
const LAST_AGAIN: Duration = Duration::from_hours(1);

/// For how long no dump is taken of a process of which one did not return.
const UNDUMPED: Duration = Duration::from_mins(10);

/// How much reads of a process may take of what it uses itself.
const LIMIT: f64 = 0.01;

/// All of them.
#[derive(Default)]
pub(super) struct Roster {
    pub(super) processes: BTreeMap<ProcessId, Process>,
    pub(super) queue: ReadQueue,
    pub(super) naming: Naming,
}

/// One process.
pub(super) struct Process {
    pub(super) about: About,
    pub(super) phase: Phase,
    pub(super) row: Row,
    /// What it is read with.
    pub(super) inspected: Option<Inspected>,
    /// Missing while it is read.
    pub(super) plan: Option<CountPlan>,
    /// When it is tried again to look at it, if it could not be, and after how long.
    pub(super) again: Option<(Ktime, Duration)>,
    /// Since when dumps of it do not return, and why.
    pub(super) undumped: Option<(Ktime, String)>,
    /// The names of its `go` statements, for who tells of them.
    pub(super) names: Arc<Names>,
    /// Whether names of it are left out, for want of memory.
    pub(super) is_nameless: bool,
    /// Whether it is read alone: a batch that it was in did not return.
    pub(super) is_read_alone: bool,
    /// What a study of it has said last, and what one that is under way has not found.
    pub(super) studied: Option<Studied>,
    pub(super) under_study: Option<Studied>,
    /// The last report, if it is of a study that somebody has asked for.
    pub(super) asked: Option<Arc<Report>>,
    /// The incidents of a report that was dropped for want of memory.
    pub(super) told_before: Vec<NodeIncident>,
}

/// How far it is watched.
pub(super) enum Phase {
    Watched,
    Refused(String),
    Blocked(String),
}

impl Roster {
    /// These are all containers of pods.
    pub(super) fn name(&mut self, pods: Arc<Pods>) {
        self.naming.know(pods);
        self.processes.values_mut().for_each(|process| self.naming.name(&mut process.about));
    }

    fn insert(&mut self, id: ProcessId, mut process: Process) {
        self.naming.welcome(&mut process.about);
        self.processes.insert(id, process);
    }

    /// A process that is understood.
    pub(super) fn add(&mut self, id: ProcessId, about: About, inspected: Inspected, now: Ktime) {
        let mut process = Process::new(id, about, Phase::Watched, now);
        process.row.know_reasons(&inspected.program().wait_reasons);
        process.plan = Some(CountPlan::of(inspected.program()));
        process.inspected = Some(inspected);
        self.insert(id, process);
        self.queue(id);
    }

    /// A Go program that cannot be looked at.
    pub(super) fn refuse(&mut self, id: ProcessId, about: About, reason: String, now: Ktime) {
        self.fail(id, about, Phase::Refused(reason), now);
    }

    /// A process whose binary cannot be read, since that does not return.
    pub(super) fn block(&mut self, id: ProcessId, about: About, reason: String, now: Ktime) {
        self.fail(id, about, Phase::Blocked(reason), now);
    }

    fn fail(&mut self, id: ProcessId, about: About, phase: Phase, now: Ktime) {
        let pause = self.processes.get(&id).and_then(|before| before.again).map(|(_, pause)| pause);
        let mut process = Process::new(id, about, phase, now);
        process.try_again(now, pause);
        self.insert(id, process);
    }

    /// Those that are to be tried again by now.
    pub(super) fn due_again(&mut self, now: Ktime) -> Vec<ProcessId> {
        let due = self.processes.iter_mut().filter_map(|(id, process)| {
            let (at, pause) = process.again?;
            // What comes of it decides when the next time is.
            (at <= now).then(|| process.again = Some((Ktime(u64::MAX), pause))).map(|()| *id)
        });
        due.collect()
    }

    /// What a process was read with does not come back. Whether it is to blame shows when it is read alone.
    pub(super) fn make_anew(&mut self, id: ProcessId, is_suspect: bool) {
        if let Some(process) = self.processes.get_mut(&id) {
            process.is_read_alone |= is_suspect;
            process.plan = process.inspected.as_ref().map(|inspected| CountPlan::of(inspected.program()));
            self.queue(id);
        }
    }

    /// Forgets a process, which has gone.
    pub(super) fn remove(&mut self, id: ProcessId) -> bool {
        self.processes.remove(&id).is_some()
    }

    pub(super) fn get_mut(&mut self, id: ProcessId) -> Option<&mut Process> {
        self.processes.get_mut(&id)
    }

    pub(super) fn get(&self, id: ProcessId) -> Option<&Process> {
        self.processes.get(&id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ProcessId, &Process)> {
        self.processes.iter().map(|(id, process)| (*id, process))
    }

    /// How many are watched.
    pub(super) fn watched(&self) -> usize {
        self.processes.values().filter(|process| matches!(process.phase, Phase::Watched)).count()
    }

    /// Those that have been looked at, or cannot be.
    pub(super) fn looked_at(&self) -> impl Iterator<Item = ProcessId> {
        let is_waiting =
            |process: &Process| matches!(process.phase, Phase::Watched) && process.row.looked_at().is_none();
        self.iter().filter(move |(_, process)| !is_waiting(process)).map(|(id, _)| id)
    }

    /// The longest time that any process waits for a read after the one before.
    pub(super) fn longest_period(&self, read: Read) -> Duration {
        self.processes
            .values()
            .filter(|process| process.can_be_read())
            .map(|process| process.row.period(read))
            .max()
            .unwrap_or_default()
    }

    /// There is memory for names again.
    pub(super) fn allow_names(&mut self) {
        self.processes.values_mut().for_each(|process| process.is_nameless = false);
    }

    /// Why processes cannot be read, and how many.
    pub(super) fn unreadable(&self) -> Vec<(&'static str, u64)> {
        let count = |is_it: fn(&Phase) -> bool| {
            self.processes.values().filter(|process| is_it(&process.phase)).count() as u64
        };
        let blocked = count(|phase| matches!(phase, Phase::Blocked(_)));
        let refused = count(|phase| matches!(phase, Phase::Refused(_)));
        vec![("blocked", blocked), ("refused", refused)]
    }

    /// Divides what may be used among all.
    pub(super) fn pace(&mut self, pace: &mut Pace, now: Ktime) {
        let mut has_changed = false;
        for read in Read::ALL {
            let watched = self.processes.values().filter(|process| matches!(process.phase, Phase::Watched));
            has_changed |= pace.balance(now, read, watched.map(|process| process.row.load(read)));
        }
        if has_changed {
            self.processes.values_mut().for_each(|process| process.row.pace(pace, Some(LIMIT), 0.0));
            self.queue_all();
        }
    }

    /// Whether a process has exited, by what the kernel says at once.
    pub(super) fn has_exited(&self, id: ProcessId) -> bool {
        let inspected = self.get(id).and_then(|process| process.inspected.as_ref());
        inspected.is_some_and(|inspected| inspected.target().exit.has_exited())
    }

    /// The process that has this pid, the last one that had it if there are several.
    pub(super) fn of_pid(&self, pid: u32) -> Option<ProcessId> {
        let id = |start_ticks| ProcessId { pid, start_ticks };
        self.processes.range(id(0)..=id(u64::MAX)).next_back().map(|(id, _)| *id)
    }
}

impl Process {
    fn new(id: ProcessId, about: About, phase: Phase, now: Ktime) -> Self {
        Self {
            about,
            phase,
            row: Row::new(id, now),
            inspected: None,
            plan: None,
            again: None,
            undumped: None,
            names: Arc::default(),
            is_nameless: false,
            is_read_alone: false,
            studied: None,
            asked: None,
            told_before: Vec::new(),
            under_study: None,
        }
    }

    pub(super) fn can_be_read(&self) -> bool {
        matches!(self.phase, Phase::Watched) && self.plan.is_some()
    }

    /// What it is read with, until that is [given back](Self::give_back).
    pub(super) fn take(&mut self, id: ProcessId) -> Option<Reading> {
        let inspected = self.inspected.clone()?;
        let plan = self.plan.take()?;
        let wanted = self.row.suspicions().iter().map(|(site, _)| site.gopc).collect();
        Some(Reading {
            id,
            inspected,
            plan,
            names: Arc::clone(&self.names),
            is_named: !self.is_nameless,
            wanted,
        })
    }

    /// It has been read. Says whether this is about the program that it runs now.
    pub(super) fn give_back(&mut self, reading: Reading) -> bool {
        let is_same = self.inspected.as_ref().is_some_and(|inspected| inspected.is(&reading.inspected));
        if is_same {
            self.plan = Some(reading.plan);
            // Those that were dropped meanwhile stay so.
            if !self.is_nameless {
                self.names = reading.names;
            }
            self.is_read_alone = false;
        }
        is_same
    }

    /// Reads of it do not return.
    pub(super) fn block(&mut self, why: String, now: Ktime) {
        self.leave(Phase::Blocked(why), now);
    }

    /// It cannot be read any more.
    pub(super) fn fail(&mut self, why: String, now: Ktime) {
        self.leave(Phase::Refused(why), now);
    }

    fn leave(&mut self, phase: Phase, now: Ktime) {
        (self.phase, self.plan, self.inspected) = (phase, None, None);
        self.try_again(now, None);
    }

    /// It is tried again after a minute, and ever less often, since most of what is refused is refused for good.
    fn try_again(&mut self, now: Ktime, before: Option<Duration>) {
        let pause = before.map_or(FIRST_AGAIN, |pause| (pause * 2).min(LAST_AGAIN));
        self.again = Some((after(now, pause), pause));
    }

    /// A dump of it does not return.
    pub(super) fn undumped(&mut self, why: String, now: Ktime) {
        self.undumped = Some((now, why));
    }

    /// Why no dump of it is taken for now.
    pub(super) fn why_undumped(&self, now: Ktime) -> Option<&str> {
        let (_, why) = self.undumped.as_ref().filter(|(at, _)| now < after(*at, UNDUMPED))?;
        Some(why)
    }

    pub(super) const fn row(&self) -> &Row {
        &self.row
    }

    pub(super) const fn row_mut(&mut self) -> &mut Row {
        &mut self.row
    }

    /// It as one that may be studied.
    pub(super) fn candidate(&self, id: ProcessId) -> Option<Candidate> {
        let goroutines = self.row.goroutines().filter(|_| self.can_be_studied())?;
        let at_first = self.row.at_first().unwrap_or(goroutines);
        Some(Candidate { id, is_suspect: self.row.is_suspect(), goroutines, at_first })
    }

    /// Where the `go` statement is that is suspected most.
    pub(super) fn prime_suspect(&self) -> Option<Location> {
        self.row.prime_suspect().map(|site| self.creator(site.gopc))
    }

    fn can_be_studied(&self) -> bool {
        matches!(self.phase, Phase::Watched) && self.row.looked_at().is_some()
    }

    /// A study has said this of it. What one found that was surer stands until that study is over. Whoever has asked for one
    /// wants to see what it says in any case.
    pub(super) fn hear(&mut self, said: Studied, is_asked: bool) {
        self.asked = is_asked.then(|| Arc::clone(&said.report));
        if self.studied.as_ref().is_none_or(|before| said.is_as_sure_as(before)) {
            self.studied = Some(said);
        } else {
            self.under_study = Some(said);
        }
    }

    /// The study has ended. What one of a suspect has not found again is so no more; one in turn is too short to tell, and so may
    /// be one that was asked for.
    pub(super) fn study_ended(&mut self, is_asked: bool) {
        let last = self.under_study.take();
        if !self.row.is_suspect() && !is_asked {
            self.studied = last.or(self.studied.take());
        }
    }

    pub(super) fn inspected(&self) -> Option<Inspected> {
        self.inspected.clone().filter(|_| matches!(self.phase, Phase::Watched))
    }
}
