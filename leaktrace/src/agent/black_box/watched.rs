//! One process whose black box is kept, and one that has gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use leaktrace_core::base::num::Ktime;
use leaktrace_core::node::black_box::{
    BlackBox, EndFacts, ExitStatus, KillsBefore, Level, Mark, OomKills, StatusSource, Steps, percent_of,
    until_next,
};
use leaktrace_core::schema::{
    BLACK_BOX_SCHEMA_VERSION, BlackBoxEvent, BlackBoxLook, BlackBoxName, BlackBoxReason, BlackBoxSnapshot,
    Ending, Location, NodeProcess, ProcessId, Report,
};

use super::super::main_loop::after;
use super::super::roster::Process;
use super::jobs::{Left, Surveyed};
use crate::clock;
use crate::inspect::Inspected;
use crate::process::cgroups::CgroupPlace;

/// After this time it is looked anew where a process belongs, and what is allowed there.
const PLACED: Duration = Duration::from_mins(1);

/// When memory is looked at again that could not be.
const UNKNOWN: Duration = Duration::from_secs(15);

/// One process.
pub(super) struct Watched {
    pub(super) inspected: Inspected,
    pub(super) black_box: BlackBox,
    place: Option<(Ktime, Arc<CgroupPlace>)>,
    /// When its memory was last looked at, and how much was used.
    used: Option<(Ktime, u64)>,
    pub(super) due: Ktime,
    kills: KillsBefore,
    /// Since when it is known, and what the kernel has told of its end.
    pub(super) since: Ktime,
    pub(super) told: Option<(ExitStatus, StatusSource)>,
    pub(super) is_victim: bool,
    /// The look whose suspicions are known, and when the last study reported.
    marked: (Option<Ktime>, Option<Ktime>),
    pub(super) snapshot: Option<BlackBoxSnapshot>,
    pub(super) snapshots: u32,
    pub(super) no_snapshot: Option<String>,
}

impl Watched {
    pub(super) fn new(inspected: Inspected, steps: Steps, now: Ktime) -> Self {
        Self {
            inspected,
            black_box: BlackBox::new(steps),
            place: None,
            used: None,
            due: now,
            kills: KillsBefore::default(),
            since: now,
            told: None,
            is_victim: false,
            marked: (None, None),
            snapshot: None,
            snapshots: 0,
            no_snapshot: None,
        }
    }

    /// Its cgroup, unless that is to be looked for again.
    pub(super) fn place(&self, now: Ktime) -> Option<Arc<CgroupPlace>> {
        let (at, place) = self.place.as_ref()?;
        (now < after(*at, PLACED)).then(|| Arc::clone(place))
    }

    /// Its memory has been looked at.
    pub(super) fn surveyed(&mut self, told: Surveyed, steps: &Steps) {
        // What is counted after its end, which nobody has noticed yet, says nothing of it.
        if self.inspected.target().exit.has_exited() {
            self.due = after(told.at, UNKNOWN);
            return;
        }
        let Surveyed { id: _, at, place, memory, resident, kills } = told;
        if let Some(place) = place {
            self.place = Some((at, place));
        }
        if let Some(kills) = kills {
            self.kills.counted(at, kills);
        }
        let Some(memory) = memory else {
            self.due = after(at, UNKNOWN);
            return;
        };
        let level = Level { used: memory.used, limit: memory.limit };
        let per_second = self.used.and_then(|(before, used)| {
            let grown = u128::from(memory.used.saturating_sub(used));
            let per_second = grown * 1_000_000_000 / u128::from(at.since(before)).max(1);
            u64::try_from(per_second).ok()
        });
        self.used = Some((at, memory.used));
        let percent = percent_of(memory.used, memory.limit);
        self.due = after(at, until_next(level, steps.next(percent), per_second));
        self.black_box.memory_is(memory, resident);
    }

    /// Notes what was counted.
    pub(super) fn looked(&mut self, process: &Process, unix_ns: u64) {
        let row = process.row();
        self.black_box.looked(BlackBoxLook {
            unix_ns,
            goroutines: row.goroutines(),
            created: row.created(),
            memory: self.black_box.memory().map(|memory| memory.used),
        });
        let marked = (row.looked_at(), process.studied.as_ref().map(|studied| studied.at));
        if marked != self.marked {
            self.marked = marked;
            self.black_box.marked(unix_ns, marks(process));
        }
    }

    /// All that is known of it, to be written.
    pub(super) fn event(
        &self,
        name: BlackBoxName,
        reason: BlackBoxReason,
        process: NodeProcess,
        report: Option<Report>,
    ) -> BlackBoxEvent {
        BlackBoxEvent {
            schema_version: BLACK_BOX_SCHEMA_VERSION,
            leaktrace: env!("CARGO_PKG_VERSION").to_owned(),
            name,
            unix_ns: clock::unix_ns().unwrap_or_default(),
            reason,
            ending: None,
            process,
            memory: self.black_box.memory(),
            looks: self.black_box.looks(),
            changes: self.black_box.changes(),
            snapshot: self.snapshot.clone(),
            no_snapshot: self.no_snapshot.clone(),
            report,
        }
    }

    /// The name of its entry, which begins now if there is none.
    pub(super) fn name(&mut self, id: ProcessId) -> BlackBoxName {
        let unix_s = clock::unix_ns().unwrap_or_default() / 1_000_000_000;
        *self.black_box.name.get_or_insert(BlackBoxName { unix_s, id })
    }
}

/// What is conspicuous about a process.
fn marks(process: &Process) -> BTreeMap<Mark, (String, Location)> {
    let suspected = process.row().suspicions().into_iter().map(|(site, suspicion)| {
        let mark = Mark::Suspected(site.gopc, site.startpc, suspicion.kind);
        (mark, (format!("suspected: {}", suspicion.kind), process.creator(site.gopc)))
    });
    let incidents = process.incidents().into_iter().map(|incident| {
        let what = format!("{} {} {}", incident.severity.as_str(), incident.code, incident.name);
        (Mark::Incident(incident.id, incident.severity), (what, incident.at))
    });
    suspected.chain(incidents).collect()
}

/// One that has gone.
pub(super) struct Leaving {
    pub(super) watched: Watched,
    process: NodeProcess,
    report: Option<Arc<Report>>,
    since: Ktime,
    pub(super) due: Ktime,
    status: Option<(ExitStatus, StatusSource)>,
    after: [Option<u64>; 2],
}

/// How long it is waited for what a process ended with, how long for its end, and how often it is asked. A large process
/// gives its memory back for seconds before it has ended.
const PATIENCE: Duration = Duration::from_secs(3);
const LONG: Duration = Duration::from_mins(1);
const ASK: Duration = Duration::from_millis(500);

impl Leaving {
    pub(super) fn new(
        watched: Watched,
        process: NodeProcess,
        report: Option<Arc<Report>>,
        now: Ktime,
    ) -> Self {
        Self { watched, process, report, since: now, due: now, status: None, after: [None; 2] }
    }

    /// What is asked about it.
    pub(super) fn asked(&self, id: ProcessId) -> (ProcessId, Inspected, Option<Arc<CgroupPlace>>) {
        let place = self.watched.place.as_ref().map(|(_, place)| Arc::clone(place));
        (id, self.watched.inspected.clone(), place)
    }

    /// This was found out. Says whether there will be no more.
    pub(super) fn hear(&mut self, left: &Left, now: Ktime) -> bool {
        self.status = self.watched.told.or(left.status).or(self.status);
        if let Some(kills) = left.kills {
            // What was counted before its cgroup went stands.
            self.after = std::array::from_fn(|index| kills[index].or(self.after[index]));
        }
        self.due = after(now, ASK);
        // The snapshot that is being taken is the last one.
        let is_over = now >= after(self.since, if left.has_exited { PATIENCE } else { LONG });
        is_over || (self.status.is_some() && !self.watched.black_box.is_under_way())
    }

    /// What was found out; `hears_victims` says whether it would have been heard that the OOM killer had chosen it.
    pub(super) fn facts(&self, hears_victims: bool) -> EndFacts {
        let before = self.watched.kills.before();
        let [own, around] = [0, 1].map(|index| OomKills { before: before[index], after: self.after[index] });
        let percent = self.watched.black_box.memory().map(|memory| percent_of(memory.used, memory.limit));
        let is_victim = (hears_victims || self.watched.is_victim).then_some(self.watched.is_victim);
        EndFacts { status: self.status, is_victim, own, around, percent }
    }

    /// What was known of it before its end.
    pub(super) fn state(&mut self, reason: BlackBoxReason) -> BlackBoxEvent {
        let name = self.watched.name(self.process.id);
        let report = self.report.clone().map(Arc::unwrap_or_clone);
        self.watched.event(name, reason, self.process.clone(), report)
    }

    /// What is written of it.
    pub(super) fn event(mut self, ending: Ending) -> BlackBoxEvent {
        let name = self.watched.name(self.process.id);
        let report = self.report.map(Arc::unwrap_or_clone);
        let event = self.watched.event(name, ending.reason, self.process, report);
        BlackBoxEvent { ending: Some(ending), ..event }
    }
}
