//! Looks at a target: a snapshot of its goroutines, and what that adds to what was observed before.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use leaktrace_core::base::num::Avma;
use leaktrace_core::go::goroutines::{Snapshot, WalkError, WalkMemo, Walker, WalkerInput, Want};
use leaktrace_core::go::holders::holders;
use leaktrace_core::go::reach::Streaks;
use leaktrace_core::goroutines::{Dump, Facts, from_snapshot};
use leaktrace_core::judge::detect::{Connections, Contexts, History, Observation, Sampler, Waited, Watched};
use leaktrace_core::session::Look;
use leaktrace_core::trace::plan::ProbedCode;

use super::recorder::Recorded;
use crate::clock;
use crate::inspect::Inspected;
use crate::process::{Procfs, descriptors};

/// How soon the kernel is asked again for the connections.
const ASK_AGAIN: Duration = Duration::from_secs(8);

/// Of how many connections it is asked.
const MOST_CONNECTIONS: usize = 1 << 14;

/// Takes snapshots and remembers what matters of them. Owns all of it: a look need not return.
pub(super) struct Observer {
    inspected: Inspected,
    memo: Option<WalkMemo>,
    sampler: Sampler,
    history: History,
    contexts: Contexts,
    /// Whether the last look made them worth asking for.
    asks_for_connections: bool,
    /// What connections there are, as far as the kernel said, and when that was asked.
    connections: Option<(Instant, Option<Connections>)>,
    /// What a recording should know besides, if there is one.
    facts: Option<Facts>,
    /// Where probes are to be seen.
    code: Option<ProbedCode>,
}

/// What one look brings.
pub(super) struct Seen {
    pub(super) look: Box<Look>,
    /// What the recording keeps of it, if there is one.
    pub(super) recorded: Option<Recorded>,
}

impl Observer {
    pub(super) fn new(inspected: Inspected, facts: Option<Facts>, code: Option<ProbedCode>) -> Self {
        Self {
            inspected,
            memo: None,
            sampler: Sampler::default(),
            history: History::default(),
            contexts: Contexts::default(),
            asks_for_connections: false,
            connections: None,
            facts,
            code,
        }
    }

    /// Looks once more. `streaks` says what nothing refers to.
    pub(super) fn look(&mut self, streaks: &Streaks) -> Result<Seen, WalkError> {
        let began = Instant::now();
        let reached = self.code.as_ref().and_then(|code| code.look(&self.inspected.memory()).ok());
        let mut snapshot = self.walk()?;
        let whole = self.recorded_facts().map(|facts| self.dump(&snapshot, facts));
        let recorded = whole.as_ref().map(|dump| Recorded::of(&snapshot, dump));
        let mut observation = self.observe(&mut snapshot, whole);
        self.look_at_connections(&mut observation);
        let mut watched = self.history.observe(&observation, streaks);
        self.find_holders(&mut watched, &snapshot, &observation);
        let (program, memory) = (self.inspected.program(), self.inspected.memory());
        self.asks_for_connections = watched.asks_for_connections();
        self.contexts.look(program, &memory, &snapshot, &observation, &mut watched);
        let look = Box::new(Look { snapshot, watched, reached, took: began.elapsed() });
        Ok(Seen { look, recorded })
    }

    fn walk(&mut self) -> Result<Snapshot, WalkError> {
        let input = WalkerInput::of(self.inspected.program());
        let mut walker = match self.memo.take() {
            Some(memo) => Walker::resume(input, memo),
            None => Walker::new(input),
        };
        let snapshot = walker.snapshot(&self.inspected.memory(), Want::Stacks, &clock::now);
        self.memo = Some(walker.into_memo());
        snapshot
    }

    /// What a recording should know besides, if there is one.
    fn recorded_facts(&self) -> Option<Facts> {
        Some(Facts { taken_at: clock::unix_time(), ..self.facts.clone()? })
    }

    fn dump(&self, snapshot: &Snapshot, facts: Facts) -> Dump {
        from_snapshot(snapshot, self.inspected.program(), &self.inspected.memory(), facts)
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
        let (observation, stacks) = Observation::of_sample(&dump, sample, &snapshot.goroutines, at);
        snapshot.stacks = stacks;
        observation
    }

    /// Says whose connections goroutines wait for, if a rule asks for that: of many the kernel is asked now and then.
    fn look_at_connections(&mut self, observation: &mut Observation) {
        if !self.asks_for_connections {
            self.connections = None;
            return;
        }
        if self.connections.as_ref().is_none_or(|(asked, _)| asked.elapsed() >= ASK_AGAIN) {
            let pid = self.inspected.target().about.reader;
            let descriptors = observation.descriptors.iter().map(|(_, fd)| *fd).take(MOST_CONNECTIONS);
            let found = descriptors::connections(descriptors, pid, &Procfs::system());
            self.connections = Some((Instant::now(), found));
        }
        observation.connections = match &self.connections {
            Some((_, Some(known))) => Waited::of(&observation.descriptors, known),
            Some((_, None)) => Waited::refused(),
            None => Waited::default(),
        };
    }

    /// Finds out who holds the locks that somebody has waited for for long.
    fn find_holders(&self, watched: &mut Watched, snapshot: &Snapshot, observation: &Observation) {
        let locks: BTreeSet<Avma> = watched.locks(observation).into_keys().collect();
        if !locks.is_empty() {
            let found = holders(self.inspected.program(), &self.inspected.memory(), snapshot, &locks);
            watched.held(&found, observation);
        }
    }
}
