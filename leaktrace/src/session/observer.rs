//! Looks at the target: a snapshot of its goroutines, and what that adds to what was observed before.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use leaktrace_core::base::num::Avma;
use leaktrace_core::go::goroutines::{Snapshot, WalkError, Walker, WalkerInput, Want};
use leaktrace_core::go::holders::holders;
use leaktrace_core::go::program::Program;
use leaktrace_core::go::reach::Streaks;
use leaktrace_core::goroutines::model::UnixTime;
use leaktrace_core::goroutines::{Dump, Facts, from_snapshot};
use leaktrace_core::judge::detect::{Cohort, Contexts, History, Observation, Sampler, Watched};
use leaktrace_core::schema::HeapPasses;

use super::clock;
use super::reacher::Reacher;
use super::recorder::Recorded;
use crate::process::memory::ProcessMemory;

/// What one look shows.
pub(super) struct Look {
    /// The goroutines.
    pub(super) snapshot: Snapshot,
    /// What is known of them with all earlier looks.
    pub(super) watched: Watched,
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
    sampler: Sampler,
    history: History,
    contexts: Contexts,
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
        Self {
            program,
            memory,
            walker,
            sampler: Sampler::default(),
            history: History::default(),
            contexts: Contexts::default(),
            facts,
            reacher,
        }
    }

    pub(super) fn look(&mut self) -> Result<Box<Look>, WalkError> {
        let began = Instant::now();
        let mut snapshot = self.walker.snapshot(&self.memory, Want::Stacks, &clock::now)?;
        let whole = self.recorded_facts().map(|facts| self.dump(&snapshot, facts));
        let recorded = whole.as_ref().map(|dump| Recorded::of(&snapshot, dump));
        let observation = self.observe(&mut snapshot, whole);
        let mut watched = self.add(&observation, snapshot.goroutines.len());
        self.find_holders(&mut watched, &snapshot, &observation);
        self.contexts.look(self.program, &self.memory, &snapshot, &observation, &mut watched);
        let heap = self.reacher.as_ref().map(|reacher| reacher.reached().passes.clone()).unwrap_or_default();
        Ok(Box::new(Look { snapshot, watched, recorded, heap, took: began.elapsed() }))
    }

    /// What a recording should know besides, if there is one.
    fn recorded_facts(&self) -> Option<Facts> {
        Some(Facts { taken_at: UnixTime(clock::unix_ns().unwrap_or(0)), ..self.facts.clone()? })
    }

    fn dump(&self, snapshot: &Snapshot, facts: Facts) -> Dump {
        from_snapshot(snapshot, self.program, &self.memory, facts)
    }

    /// What rules care for, of some goroutines where there are very many; `whole` is the dump of all, if there is one
    /// already.
    fn observe(&mut self, snapshot: &mut Snapshot, whole: Option<Dump>) -> Observation {
        let at = snapshot.finished;
        let Some(sample) = self.sampler.choose(snapshot) else {
            let dump = whole.unwrap_or_else(|| self.dump(snapshot, Facts::default()));
            return Observation::of(&dump, Some(snapshot), at);
        };
        drop(whole);
        let dump = self.dump(&sample.snapshot, Facts::default());
        let (observation, stacks) = Observation::of_sample(&dump, sample, at);
        snapshot.stacks = stacks;
        observation
    }

    /// Adds to what is known, and asks what refers to those that may be stuck.
    fn add(&mut self, observation: &Observation, goroutines: usize) -> Watched {
        let Some(reacher) = &mut self.reacher else {
            return self.history.observe(observation, &Streaks::default());
        };
        reacher.collect();
        let watched = self.history.observe(observation, &reacher.reached().streaks);
        if watched.cohorts.iter().any(Cohort::may_be_stuck) {
            reacher.request(goroutines);
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
