//! Looks at the target: a snapshot of its goroutines, and what that adds to what was observed before.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use leaktrace_core::detect::{Cohort, History, Observation, Watched};
use leaktrace_core::dump::model::UnixTime;
use leaktrace_core::dump::{Facts, from_snapshot};
use leaktrace_core::go::goroutines::{Snapshot, WalkError, Walker, WalkerInput, Want};
use leaktrace_core::go::holders::holders;
use leaktrace_core::go::program::Program;
use leaktrace_core::num::Avma;
use leaktrace_core::reach::Streaks;
use leaktrace_core::report::HeapPasses;

use super::clock;
use super::reacher::Reacher;
use super::recorder::Recorded;
use crate::process::memory::ProcessMemory;

/// Of more goroutines than this no more is made than a snapshot: the rest would take gigabytes.
const MOST: usize = 3_000_000;

/// What one look shows.
pub(super) struct Look {
    /// The goroutines.
    pub(super) snapshot: Snapshot,
    /// What is known of them with all earlier looks; `None` if there are too many.
    pub(super) watched: Option<Watched>,
    /// What the recording keeps of it, if there is one.
    pub(super) recorded: Option<Recorded>,
    /// How it went to find out what nothing refers to.
    pub(super) heap: HeapPasses,
    /// How long it took.
    pub(super) took: Duration,
}

/// Takes snapshots and remembers what matters of them.
pub(super) struct Observer<'t> {
    program: &'t Program<'t>,
    memory: ProcessMemory,
    walker: Walker<'t>,
    history: History,
    /// What a recording should know besides, if there is one.
    facts: Option<Facts>,
    /// Missing where nobody wants to hear of what it finds.
    reacher: Option<Reacher>,
}

impl<'t> Observer<'t> {
    pub(super) fn new(
        program: &'t Program<'t>,
        memory: ProcessMemory,
        facts: Option<Facts>,
        reacher: Option<Reacher>,
    ) -> Self {
        let walker = Walker::new(WalkerInput::of(program));
        Self { program, memory, walker, history: History::default(), facts, reacher }
    }

    pub(super) fn look(&mut self) -> Result<Box<Look>, WalkError> {
        let began = Instant::now();
        let snapshot = self.walker.snapshot(&self.memory, Want::Stacks, &clock::now)?;
        let (watched, recorded) = self.remember(&snapshot);
        let heap = self.reacher.as_ref().map(|reacher| reacher.reached().passes.clone()).unwrap_or_default();
        Ok(Box::new(Look { snapshot, watched, recorded, heap, took: began.elapsed() }))
    }

    fn remember(&mut self, snapshot: &Snapshot) -> (Option<Watched>, Option<Recorded>) {
        if snapshot.goroutines.len() > MOST && self.facts.is_none() {
            return (None, None);
        }
        let taken_at = UnixTime(clock::unix_ns().unwrap_or(0));
        let facts = Facts { taken_at, ..self.facts.clone().unwrap_or_default() };
        let dump = from_snapshot(snapshot, self.program, &self.memory, facts);
        let recorded = self.facts.is_some().then(|| Recorded::of(snapshot, &dump));
        let observation = Observation::of(&dump, Some(snapshot), snapshot.finished);
        drop(dump);
        let mut watched = self.add(&observation);
        self.find_holders(&mut watched, snapshot, &observation);
        (Some(watched), recorded)
    }

    /// Adds to what is known, and asks what refers to those that may be stuck.
    fn add(&mut self, observation: &Observation) -> Watched {
        let Some(reacher) = &mut self.reacher else {
            return self.history.observe(observation, &Streaks::default());
        };
        reacher.collect();
        let watched = self.history.observe(observation, &reacher.reached().streaks);
        if watched.cohorts.iter().any(Cohort::may_be_stuck) {
            reacher.request();
        }
        watched
    }

    /// Finds out who holds the locks that somebody has waited for for long.
    fn find_holders(&self, watched: &mut Watched, snapshot: &Snapshot, observation: &Observation) {
        let locks: BTreeSet<Avma> = watched.locks(observation).into_keys().collect();
        if !locks.is_empty() {
            let found = holders(self.program, &self.memory, snapshot, &locks);
            watched.held(&found, observation);
        }
    }
}
