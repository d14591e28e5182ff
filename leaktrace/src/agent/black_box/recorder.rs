//! What is kept of all processes, and what becomes of it.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use leaktrace_core::base::num::Ktime;
use leaktrace_core::node::BlackBoxFigures;
use leaktrace_core::node::black_box::{ExitStatus, StatusSource, Steps, ending};
use leaktrace_core::schema::{BlackBoxEntry, BlackBoxEvent, BlackBoxName, BlackBoxReason, ProcessId};
use tokio::sync::mpsc;

use super::super::main_loop::{Answer, after};
use super::super::roster::{Phase, Process, Roster};
use super::BlackBoxConfig;
use super::disk::{Desk, Done};
use super::folder::{Folder, FolderError};
use super::jobs::Left;
use super::watched::{Leaving, Watched};
use crate::clock;
use crate::inspect::Inspected;
use crate::process::Procfs;
use crate::process::cgroups::MemoryCgroups;
use crate::process::workers::Lost;

/// How often it is looked who has come, and how often what is known is noted.
const TURN: Duration = Duration::from_secs(1);
const LOOKS: Duration = Duration::from_secs(5);

/// How many events wait for the thread that writes, beside those that it has been handed.
const MOST_UNWRITTEN: usize = 256;

/// How long it is waited at the end for what is to be written.
const END: Duration = Duration::from_secs(2);

/// The black boxes of all processes.
pub(in crate::agent) struct Recorder {
    pub(super) steps: Steps,
    pub(super) cgroups: Option<Arc<MemoryCgroups>>,
    pub(in crate::agent) desk: Desk,
    pub(super) watched: BTreeMap<ProcessId, Watched>,
    pub(super) leaving: BTreeMap<ProcessId, Leaving>,
    /// What could not be handed to the thread that writes yet.
    unwritten: VecDeque<Box<BlackBoxEvent>>,
    pub(super) entries: BTreeMap<BlackBoxName, BlackBoxEntry>,
    pub(super) counts: BTreeMap<BlackBoxReason, u64>,
    pub(super) failures: u64,
    pub(super) has_failed: bool,
    pub(super) is_surveying: bool,
    pub(super) is_asking: bool,
    pub(super) snapshots: usize,
    pub(super) turn_due: Ktime,
    pub(super) looks_due: Ktime,
    pub(super) survey_due: Ktime,
    pub(super) ask_due: Ktime,
}

impl Recorder {
    /// Opens the folder and starts the thread that writes.
    pub(in crate::agent) fn start(
        config: &BlackBoxConfig,
        procfs: &Procfs,
        told: mpsc::UnboundedSender<Answer>,
    ) -> anyhow::Result<Self> {
        let folder = Folder::open(&config.folder, config.bounds)?;
        let desk = Desk::start(folder, told)
            .map_err(|source| FolderError::Io { path: config.folder.clone(), source })?;
        let now = clock::now();
        Ok(Self {
            steps: config.steps,
            cgroups: MemoryCgroups::find(procfs).map(Arc::new),
            desk,
            watched: BTreeMap::new(),
            leaving: BTreeMap::new(),
            unwritten: VecDeque::new(),
            entries: BTreeMap::new(),
            counts: BlackBoxReason::ALL.map(|reason| (reason, 0)).into(),
            failures: 0,
            has_failed: false,
            is_surveying: false,
            is_asking: false,
            snapshots: 0,
            turn_due: now,
            looks_due: now,
            survey_due: now,
            ask_due: now,
        })
    }

    /// What it says of itself in metrics.
    pub(in crate::agent) fn figures(&self) -> BlackBoxFigures {
        let entries = self.counts.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
        BlackBoxFigures { entries, failures: self.failures }
    }

    /// What is on disk, the newest first.
    pub(in crate::agent) fn entries(&self) -> Vec<BlackBoxEntry> {
        let mut entries: Vec<BlackBoxEntry> = self.entries.values().cloned().collect();
        entries.sort_by_key(|entry| std::cmp::Reverse((entry.unix_ns, entry.name)));
        entries
    }

    /// Begins to watch whoever is watched, and notes what is known of all.
    pub(super) fn turn(&mut self, roster: &Roster, now: Ktime) {
        if now < self.turn_due {
            return;
        }
        self.turn_due = after(now, TURN);
        self.hand_over();
        let is_look = now >= self.looks_due;
        if is_look {
            self.looks_due = after(now, LOOKS);
        }
        let unix_ns = clock::unix_ns().unwrap_or_default();
        for (id, process) in roster.iter().filter(|(_, process)| matches!(process.phase, Phase::Watched)) {
            let Some(inspected) = &process.inspected else { continue };
            let steps = self.steps;
            let watched =
                self.watched.entry(id).or_insert_with(|| Watched::new(inspected.clone(), steps, now));
            if is_look {
                watched.looked(process, unix_ns);
            }
        }
    }

    /// A process has gone, as far as is known.
    pub(in crate::agent) fn end(&mut self, id: ProcessId, process: Option<&Process>, now: Ktime) {
        if let (Some(mut watched), Some(process)) = (self.watched.remove(&id), process) {
            watched.looked(process, clock::unix_ns().unwrap_or_default());
            let told = process.told(id, None, now);
            self.leaving.insert(id, Leaving::new(watched, told, process.report(), now));
        }
    }

    /// A process has become another program, which has a black box of its own.
    pub(in crate::agent) fn forget(&mut self, id: ProcessId) {
        self.watched.remove(&id);
    }

    /// The kernel has told at that time that a process exits, and with what if that is known. Says whether it is known here.
    pub(in crate::agent) fn exits(&mut self, pid: u32, at: Ktime, status: Option<u32>) -> bool {
        let watched = self.of_pid(pid, at);
        let status = status.map(|status| (ExitStatus::of_wait(status), StatusSource::ExitEvent));
        watched.map(|watched| watched.told = status.or(watched.told)).is_some()
    }

    /// The OOM killer has chosen a process at that time. Says whether it is known here.
    pub(in crate::agent) fn is_victim(&mut self, pid: u32, at: Ktime) -> bool {
        self.of_pid(pid, at).map(|watched| watched.is_victim = true).is_some()
    }

    /// Whoever had this pid then.
    fn of_pid(&mut self, pid: u32, at: Ktime) -> Option<&mut Watched> {
        let id = |start_ticks| ProcessId { pid, start_ticks };
        let all = id(0)..=id(u64::MAX);
        let leaving = self.leaving.range_mut(all.clone()).map(|(_, leaving)| &mut leaving.watched);
        let living = self.watched.range_mut(all).map(|(_, watched)| watched);
        leaving.chain(living).filter(|watched| watched.since <= at).max_by_key(|watched| watched.since)
    }

    /// When there is something to do again.
    pub(super) fn due(&self) -> Ktime {
        let watched = self.watched.values().map(|watched| watched.due).min();
        let survey = watched.filter(|_| !self.is_surveying).map(|due| due.max(self.survey_due));
        let leaving = self.leaving.values().map(|leaving| leaving.due).min().filter(|_| !self.is_asking);
        let leaving = leaving.map(|due| due.max(self.ask_due));
        survey.into_iter().chain(leaving).fold(self.turn_due, Ktime::min)
    }

    /// The program that `inspected` is of: the process may run another one by now, which has the same id.
    pub(super) fn get_mut(&mut self, id: ProcessId, inspected: &Inspected) -> Option<&mut Watched> {
        let leaving = self.leaving.get_mut(&id).map(|leaving| &mut leaving.watched);
        let living = self.watched.get_mut(&id);
        living.into_iter().chain(leaving).find(|watched| watched.inspected.is(inspected))
    }

    /// Hands an event to the thread that writes. Where many end at once, it waits for its turn, without a snapshot.
    pub(super) fn write(&mut self, event: BlackBoxEvent, snapshot: Option<Vec<u8>>) {
        if let Err(event) = self.desk.write(Box::new(event), snapshot) {
            self.unwritten.push_back(event);
        }
        if self.unwritten.len() > MOST_UNWRITTEN {
            self.unwritten.pop_front();
            self.failed(&io::Error::other("too many entries wait to be written: the disk is slow or hangs"));
        }
    }

    /// Hands over what could not be before, the oldest first.
    fn hand_over(&mut self) {
        while let Some(event) = self.unwritten.pop_front() {
            if let Err(event) = self.desk.write(event, None) {
                return self.unwritten.push_front(event);
            }
        }
    }

    /// Waits a moment for what is still to be written.
    pub(in crate::agent) fn finish(&mut self) {
        self.desk.finish(std::mem::take(&mut self.unwritten), END);
    }

    /// Something could not be written. It is told once, until it has worked again.
    fn failed(&mut self, error: &io::Error) {
        self.failures += 1;
        if !std::mem::replace(&mut self.has_failed, true) {
            tracing::warn!("cannot write to the black box: {error}");
        }
    }

    pub(super) fn done(&mut self, done: Done) {
        match done {
            Done::Found(Ok(entries)) => {
                self.entries.extend(entries.into_iter().map(|entry| (entry.name, entry)));
            }
            Done::Found(Err(error)) | Done::NotWritten(error) => self.failed(&error),
            Done::Written(entry, gone) => {
                self.has_failed = false;
                *self.counts.entry(entry.reason).or_default() += 1;
                self.entries.insert(entry.name, *entry);
                for name in &gone {
                    self.entries.remove(name);
                }
            }
            Done::Expired(gone) => gone.iter().for_each(|name| _ = self.entries.remove(name)),
        }
    }

    /// What there is to write of those that have gone; `hears_victims` says whether the kernel tells of each victim of the
    /// OOM killer.
    pub(super) fn left(
        &mut self,
        asked: &[ProcessId],
        told: Result<Vec<Left>, Lost>,
        hears_victims: bool,
        now: Ktime,
    ) {
        self.is_asking = false;
        let told = told.unwrap_or_default();
        for id in asked {
            let Some(leaving) = self.leaving.get_mut(id) else { continue };
            let unknown = Left { id: *id, has_execed: false, has_exited: true, status: None, kills: None };
            let left = told.iter().find(|left| left.id == *id).unwrap_or(&unknown);
            if left.has_execed {
                // It runs another program, which has a black box of its own.
                self.leaving.remove(id);
                continue;
            }
            if !leaving.hear(left, now) {
                continue;
            }
            let ending = ending(&leaving.facts(hears_victims));
            let is_kept =
                ending.reason == BlackBoxReason::OomKilled || leaving.watched.black_box.is_worth_keeping();
            if let Some(leaving) = self.leaving.remove(id).filter(|_| is_kept) {
                self.write(leaving.event(ending), None);
            }
        }
    }
}
