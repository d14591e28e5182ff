//! The Go processes of the node, and what is known of each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use leaktrace_core::base::num::{Ktime, ReturnPc};
use leaktrace_core::go::counts::CountPlan;
use leaktrace_core::node::{Pace, Read, Row};
use leaktrace_core::schema::{Location, NodeIncident, NodeProcess, NodeState, ProcessId, Report};

use super::reads::{About, Names, Reading};
use super::studies::{Candidate, Studied};
use crate::inspect::Inspected;

/// How many `go` statements of a process are told of.
const MOST_SITES: usize = 50;

/// How much reads of a process may take of what it uses itself.
const LIMIT: f64 = 0.01;

/// All of them.
#[derive(Default)]
pub(super) struct Roster {
    processes: BTreeMap<ProcessId, Process>,
}

/// One process.
pub(super) struct Process {
    about: About,
    phase: Phase,
    row: Row,
    /// What it is read with.
    inspected: Option<Inspected>,
    /// Missing while it is read.
    kept: Option<Kept>,
    /// Cores that it keeps busy.
    busy: f64,
    /// The names of its `go` statements, for who tells of them.
    names: Names,
    /// Whether it is read alone: a batch that it was in did not return.
    is_read_alone: bool,
    /// What a study of it has said last.
    studied: Option<Studied>,
}

/// What is kept from one read to the next.
struct Kept {
    plan: CountPlan,
}

/// How far it is watched.
enum Phase {
    Watched,
    Refused(String),
    Blocked(String),
}

impl Roster {
    /// A process that is understood.
    pub(super) fn add(&mut self, id: ProcessId, about: About, inspected: Inspected, now: Ktime) {
        let mut process = Process::new(id, about, Phase::Watched, now);
        process.row.know_reasons(&inspected.program().wait_reasons);
        process.kept = Some(Kept { plan: CountPlan::of(inspected.program()) });
        process.inspected = Some(inspected);
        self.processes.insert(id, process);
    }

    /// A Go program that cannot be looked at.
    pub(super) fn refuse(&mut self, id: ProcessId, about: About, reason: String, now: Ktime) {
        self.processes.insert(id, Process::new(id, about, Phase::Refused(reason), now));
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
        self.processes.values().filter(|process| process.inspected.is_some()).count()
    }

    /// Whether everybody has been looked at who can be.
    pub(super) fn is_looked_at(&self) -> bool {
        let is_waiting =
            |process: &Process| matches!(process.phase, Phase::Watched) && process.row.looked_at().is_none();
        !self.processes.values().any(is_waiting)
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
            has_changed |=
                pace.balance(now, read, self.processes.values().map(|process| process.row.load(read)));
        }
        if has_changed {
            self.processes.values_mut().for_each(|process| process.row.pace(pace, Some(LIMIT), process.busy));
        }
    }

    /// Those that have exited by what the kernel says at once.
    pub(super) fn exited(&self) -> Vec<ProcessId> {
        let has_exited = |process: &Process| {
            process.inspected.as_ref().is_some_and(|inspected| inspected.target().exit.has_exited())
        };
        self.iter().filter(|(_, process)| has_exited(process)).map(|(id, _)| id).collect()
    }

    /// Up to `most` processes that are to be read like this by now, and when the next one is. One that is read alone comes
    /// with nobody.
    pub(super) fn due(&self, read: Read, now: Ktime, most: usize) -> (Vec<ProcessId>, Option<Ktime>) {
        let (mut due, mut next, mut is_alone) = (Vec::new(), None, false);
        for (id, process) in self.iter().filter(|(_, process)| process.can_be_read()) {
            let (at, what) = process.row.due();
            if what != read {
                continue;
            }
            let has_room = due.len() < most && !is_alone && (due.is_empty() || !process.is_read_alone);
            if at <= now && has_room {
                due.push(id);
                is_alone = process.is_read_alone;
            } else {
                next = Some(next.map_or(at, |next: Ktime| next.min(at)));
            }
        }
        (due, next)
    }
}

impl Process {
    fn new(id: ProcessId, about: About, phase: Phase, now: Ktime) -> Self {
        Self {
            about,
            phase,
            row: Row::new(id, now),
            inspected: None,
            kept: None,
            busy: 0.0,
            names: Names::default(),
            is_read_alone: false,
            studied: None,
        }
    }

    fn can_be_read(&self) -> bool {
        matches!(self.phase, Phase::Watched) && self.kept.is_some()
    }

    /// What it is read with, until that is [given back](Self::give_back).
    pub(super) fn take(&mut self, id: ProcessId) -> Option<Reading> {
        let inspected = self.inspected.clone()?;
        let Kept { plan } = self.kept.take()?;
        Some(Reading { id, inspected, plan, names: self.names.clone() })
    }

    /// It has been read.
    pub(super) fn give_back(&mut self, reading: Reading) {
        self.kept = Some(Kept { plan: reading.plan });
        self.names = reading.names;
    }

    /// What it was read with does not come back. Whether it is to blame shows when it is read alone.
    pub(super) fn make_anew(&mut self, is_suspect: bool) {
        self.is_read_alone |= is_suspect;
        let plan = self.inspected.as_ref().map(|inspected| CountPlan::of(inspected.program()));
        self.kept = plan.map(|plan| Kept { plan });
    }

    /// Reads of it do not return.
    pub(super) fn block(&mut self, why: String) {
        (self.phase, self.kept) = (Phase::Blocked(why), None);
    }

    /// It cannot be read any more.
    pub(super) fn fail(&mut self, why: String) {
        (self.phase, self.kept) = (Phase::Refused(why), None);
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
        Some(Candidate { id, is_suspect: !self.row.suspicions().is_empty(), goroutines })
    }

    fn can_be_studied(&self) -> bool {
        matches!(self.phase, Phase::Watched) && self.row.looked_at().is_some()
    }

    /// A study has said this of it.
    pub(super) fn studied(&mut self, studied: Studied) {
        self.studied = Some(studied);
    }

    pub(super) fn inspected(&self) -> Option<Inspected> {
        self.inspected.clone().filter(|_| matches!(self.phase, Phase::Watched))
    }

    /// What is told of it.
    pub(super) fn told(&self, id: ProcessId, is_studied: bool, now: Ktime) -> NodeProcess {
        let looked = self.row.looked_at();
        let (state, reason) = match &self.phase {
            Phase::Watched if looked.is_none() => (NodeState::Waiting, None),
            Phase::Watched => (NodeState::Watched, None),
            Phase::Refused(why) => (NodeState::Refused, Some(why.clone())),
            Phase::Blocked(why) => (NodeState::Blocked, Some(why.clone())),
        };
        let (sites, other_sites) = self.row.sites(MOST_SITES);
        NodeProcess {
            id,
            exe: self.about.exe.clone(),
            container_id: self.about.place.container_id.clone(),
            unit: self.about.place.unit.clone(),
            go_version: self.about.go_version.clone(),
            version: self.about.version.clone(),
            state,
            reason,
            goroutines: self.row.goroutines(),
            created: self.row.created(),
            ended: self.row.ended(),
            oldest_ns: self.row.oldest().map(nanoseconds),
            look_age_ns: looked.map(|at| now.since(at)),
            sites: sites.into_iter().map(|site| self.row.node_site(site, self.creator(site.gopc))).collect(),
            other_sites,
            study_age_ns: self.studied.as_ref().map(|studied| now.since(studied.at)),
            is_studied,
            incidents: self.incidents(),
        }
    }

    fn creator(&self, gopc: ReturnPc) -> Location {
        self.names.get(&gopc).cloned().unwrap_or_else(|| nameless(gopc))
    }

    fn incidents(&self) -> Vec<NodeIncident> {
        let report = self.studied.iter().flat_map(|studied| &studied.report.incidents);
        report.filter_map(NodeIncident::of).collect()
    }

    /// The report of the last study.
    pub(super) fn report(&self) -> Option<Arc<Report>> {
        self.studied.as_ref().map(|studied| Arc::clone(&studied.report))
    }
}

fn nameless(pc: ReturnPc) -> Location {
    Location { function: None, file: None, line: None, pc: format!("{:#x}", pc.0) }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
