//! What the loop does for the black boxes: looks at memory, takes snapshots, and finds out how processes ended.

use std::sync::Arc;
use std::time::Duration;

use leaktrace_core::base::num::Ktime;
use leaktrace_core::node::black_box::Why;
use leaktrace_core::schema::{BlackBoxReason, BlackBoxSnapshot, ProcessId};

use super::super::asks;
use super::super::http::{Bytes, Refusal};
use super::super::main_loop::{Agent, Answer, after};
use super::super::roster::Process;
use super::jobs::{self, Asked};
use super::recorder::Recorder;
use super::watched::Watched;
use super::{Told, Wanted};
use crate::clock;
use crate::process::workers::Lost;

/// How long looks at memory that are due are gathered: each batch takes a thread.
const GATHER: Duration = Duration::from_millis(200);

/// How many processes a thread looks at one after the other.
const MOST_ASKED: usize = 128;

/// How many snapshots are taken at a time.
const MOST_SNAPSHOTS: usize = 2;

impl Agent<'_> {
    /// Keeps the black boxes, and says when that is to be done again.
    pub(in crate::agent) fn black_box(&mut self, now: Ktime) -> Option<Ktime> {
        let mut recorder = self.black_box.take()?;
        recorder.turn(&self.roster, now);
        if now < self.jobs_due {
            self.black_box = Some(recorder);
            return Some(self.jobs_due);
        }
        self.survey(&mut recorder, now);
        self.snapshots(&mut recorder, now);
        self.look_after(&mut recorder, now);
        let due = recorder.due();
        self.black_box = Some(recorder);
        Some(due)
    }

    /// Looks at the memory of those whose turn it is.
    fn survey(&mut self, recorder: &mut Recorder, now: Ktime) {
        if recorder.is_surveying || now < recorder.survey_due {
            return;
        }
        let due = recorder.watched.iter().filter(|(_, watched)| watched.due <= now);
        let asked: Vec<Asked> =
            due.take(MOST_ASKED).map(|(id, watched)| Asked { id: *id, place: watched.place(now) }).collect();
        if asked.is_empty() {
            return;
        }
        recorder.survey_due = after(now, GATHER);
        let (procfs, cgroups, first) =
            (self.procfs.clone(), recorder.cgroups.clone(), recorder.steps.first());
        let job = move || jobs::survey(asked, &procfs, cgroups.as_deref(), first);
        recorder.is_surveying = self.begin(job, |result| Answer::BlackBox(Told::Surveyed(result)));
    }

    /// Takes the snapshots that are wanted, as far as there is room.
    fn snapshots(&mut self, recorder: &mut Recorder, now: Ktime) {
        let mut wanted: Vec<(ProcessId, Why)> = recorder
            .watched
            .iter()
            .filter_map(|(id, watched)| Some((*id, watched.black_box.wants(now)?)))
            .collect();
        // Whoever is close to a limit has no time.
        let urgent = |(_, why): &(ProcessId, Why)| !matches!(why, Why::Memory(_));
        wanted.sort_by_key(urgent);
        for (id, why) in wanted {
            if recorder.snapshots >= MOST_SNAPSHOTS {
                return;
            }
            let Some(watched) = recorder.watched.get_mut(&id) else { continue };
            let wanted = Wanted { id, inspected: watched.inspected.clone(), why };
            if let Some(refusal) = self.too_large(id).or_else(|| self.why_undumped(id)) {
                watched.black_box.began(why, now);
                self.no_snapshot(recorder, &wanted, &refusal);
                continue;
            }
            let (inspected, procfs) = (watched.inspected.clone(), self.procfs.clone());
            let job = move || asks::take(&inspected, &procfs, "ltr");
            let is_begun = self.begin(job, move |result| Answer::BlackBox(Told::Snapshot(wanted, result)));
            if !is_begun {
                return;
            }
            watched.black_box.began(why, now);
            recorder.snapshots += 1;
        }
    }

    /// Finds out what became of those that have gone.
    fn look_after(&mut self, recorder: &mut Recorder, now: Ktime) {
        if recorder.is_asking || now < recorder.ask_due {
            return;
        }
        let due = recorder.leaving.iter().filter(|(_, leaving)| leaving.due <= now);
        let asked: Vec<_> = due.take(MOST_ASKED).map(|(id, leaving)| leaving.asked(*id)).collect();
        if asked.is_empty() {
            return;
        }
        recorder.ask_due = after(now, GATHER);
        let ids: Vec<ProcessId> = asked.iter().map(|(id, ..)| *id).collect();
        let procfs = self.procfs.clone();
        let job = move || jobs::look_after(asked, &procfs);
        recorder.is_asking = self.begin(job, move |result| Answer::BlackBox(Told::Left(ids, result)));
    }

    /// Takes in what was found out or written.
    pub(in crate::agent) fn black_box_told(&mut self, told: Told, now: Ktime) {
        if matches!(told, Told::Left(..)) {
            // Whatever the kernel tells of an end is told before anybody else knows of it.
            self.take_events(now);
        }
        let Some(mut recorder) = self.black_box.take() else { return };
        match told {
            Told::Surveyed(result) => {
                recorder.is_surveying = false;
                for told in result.unwrap_or_default() {
                    if let Some(watched) = recorder.watched.get_mut(&told.id) {
                        watched.surveyed(told, &recorder.steps);
                    }
                }
            }
            Told::Snapshot(wanted, result) => self.snapshot_told(&mut recorder, &wanted, result, now),
            Told::Left(ids, result) => recorder.left(&ids, result, self.events.has_all_victims(), now),
            Told::Disk(done) => recorder.done(done),
        }
        self.black_box = Some(recorder);
    }

    fn snapshot_told(
        &mut self,
        recorder: &mut Recorder,
        wanted: &Wanted,
        result: Result<Result<Bytes, Refusal>, Lost>,
        now: Ktime,
    ) {
        recorder.snapshots -= 1;
        let result = result.unwrap_or_else(|lost| {
            let process = self.roster.get_mut(wanted.id);
            let is_it = |process: &&mut Process| {
                process.inspected.as_ref().is_some_and(|it| it.is(&wanted.inspected))
            };
            if let Some(process) = process.filter(is_it) {
                process.undumped(lost.to_string(), now);
            }
            Err(Refusal::Failed(lost.to_string()))
        });
        match result {
            Ok(bytes) => {
                let Some(watched) = recorder.get_mut(wanted.id, &wanted.inspected) else { return };
                watched.black_box.ended();
                watched.snapshots += 1;
                let file = format!("snapshot-{}.ltr", watched.snapshots);
                let unix_ns = clock::unix_ns().unwrap_or_default();
                watched.snapshot = Some(BlackBoxSnapshot { file, unix_ns, why: wanted.why.to_string() });
                watched.no_snapshot = None;
                self.write_state(recorder, wanted, Some(bytes.into()));
            }
            Err(refusal) => self.no_snapshot(recorder, wanted, &refusal),
        }
    }

    fn no_snapshot(&self, recorder: &mut Recorder, wanted: &Wanted, refusal: &Refusal) {
        let Some(watched) = recorder.get_mut(wanted.id, &wanted.inspected) else { return };
        watched.black_box.ended();
        watched.no_snapshot = Some(match refusal {
            Refusal::Failed(text) => text.clone(),
            Refusal::NoProcess => "the process has exited".to_owned(),
            Refusal::Busy | Refusal::UnderWay => "too many dumps were under way".to_owned(),
            Refusal::NotEnabled => "dumps are not allowed".to_owned(),
            Refusal::Unsupported(why) => (*why).to_owned(),
        });
        self.write_state(recorder, wanted, None);
    }

    /// Writes what is known of a process that runs; of one that has gone, only its snapshot was missing.
    fn write_state(&self, recorder: &mut Recorder, wanted: &Wanted, snapshot: Option<Vec<u8>>) {
        let (id, inspected) = (wanted.id, &wanted.inspected);
        let reason = match wanted.why {
            Why::Memory(_) => BlackBoxReason::Memory,
            Why::Conspicuous => BlackBoxReason::Suspicion,
        };
        let now = clock::now();
        let is_it = |watched: &Watched| watched.inspected.is(inspected);
        let leaving = recorder.leaving.get_mut(&id).filter(|leaving| is_it(&leaving.watched));
        let living = recorder.watched.get_mut(&id).filter(|watched| is_it(watched));
        let event = if let Some(leaving) = leaving {
            leaving.state(reason)
        } else if let (Some(watched), Some(process)) = (living, self.roster.get(id)) {
            let name = watched.name(id);
            let told = process.told(id, self.studies.level(id), now);
            watched.event(name, reason, told, process.report().map(Arc::unwrap_or_clone))
        } else {
            return;
        };
        recorder.write(event, snapshot);
    }
}
