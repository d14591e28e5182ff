//! One look through a process's memory, in rounds.
//!
//! The first round marks everything. A process that runs changes meanwhile, so further rounds look again at what
//! changes most and costs little: variables, new spans, and the stacks of those that run. They end when a round
//! finds nobody more who can run.

use crate::base::hash::KeyedMap;
use crate::base::memory::Memory;
use crate::base::num::GPtr;
use crate::go::facts::Collector;
use crate::go::layout::CollectorFields;
use crate::go::program::Program;

use super::candidates::Candidates;
use super::goroutines::{GoroutineReader, Seen};
use super::heap::{Drain, Heap, SpanList};
use super::reasons::Kinds;
use super::runtime::Own;
use super::stacks::{self, Scanner};
use super::waits::Waits;
use super::{Figures, Limits, Pass, Process, Refusal, Threads, attached, coroutines, variables};

/// The most rounds over a running process, and the fewest.
const MAX_ROUNDS: usize = 6;
const MIN_ROUNDS: usize = 2;

/// What every round needs.
pub(super) struct Work<'w, 'd> {
    program: &'w Program<'d>,
    collector: &'w CollectorFields,
    facts: &'w Collector,
    spans: &'w SpanList,
    memory: &'w dyn Memory,
    limits: &'w Limits<'w>,
    heap: Heap,
    drain: Drain,
    scanner: Scanner<'w>,
    /// The stacks that were looked at, as they were then.
    known: KeyedMap<GPtr, Seen>,
    figures: Figures,
}

impl<'w, 'd> Work<'w, 'd> {
    pub(super) fn new(
        program: &'w Program<'d>,
        layout: (&'w CollectorFields, &'w Collector),
        spans: &'w SpanList,
        memory: &'w dyn Memory,
        limits: &'w Limits<'w>,
    ) -> Self {
        let (collector, facts) = layout;
        Self {
            program,
            collector,
            facts,
            spans,
            memory,
            limits,
            heap: Heap::default(),
            drain: Drain::default(),
            scanner: Scanner::new(program.arch, &program.modules, &collector.defer),
            known: KeyedMap::default(),
            figures: Figures::default(),
        }
    }

    /// All rounds.
    pub(super) fn run(mut self, process: &Process<'_>, kinds: &Kinds) -> Result<Pass, Refusal> {
        let stopped = matches!(process.threads, Threads::Stopped(_));
        let mut reader = GoroutineReader::new(self.program, self.collector);
        let mut candidates = self.first_round(&mut reader, process, kinds)?;
        for round in 1..MAX_ROUNDS {
            let stuck = candidates.stuck();
            if stopped || stuck == 0 {
                break;
            }
            self.refresh()?;
            let (goroutines, gs) = reader.read(self.memory)?;
            let others = candidates.recheck(goroutines);
            self.round(&others, &gs, &Waits::default(), &mut candidates)?;
            if round >= MIN_ROUNDS && candidates.stuck() == stuck {
                break;
            }
        }
        self.finish(candidates, stopped)
    }

    fn first_round(
        &mut self,
        reader: &mut GoroutineReader<'_>,
        process: &Process<'_>,
        kinds: &Kinds,
    ) -> Result<Candidates, Refusal> {
        self.refresh()?;
        let (goroutines, gs) = reader.read(self.memory)?;
        let layout = &self.program.layout;
        let mut waits = Waits::read(self.memory, &layout.sudog, &goroutines, kinds, &self.heap)?;
        coroutines::find(self.memory, &goroutines, kinds, &mut self.heap, &mut waits.objects)?;
        self.figures.goroutines = goroutines.len() as u64;
        let (mut candidates, others) = Candidates::pick(goroutines, kinds, &mut waits, &mut self.heap)?;
        self.figures.candidates = candidates.len() as u64;
        if let Threads::Stopped(threads) = process.threads {
            for word in threads.iter().flat_map(|thread| &thread.words) {
                self.heap.mark(*word);
            }
        }
        self.round(&others, &gs, &waits, &mut candidates)?;
        Ok(candidates)
    }

    /// Brings the heap up to date.
    fn refresh(&mut self) -> Result<(), Refusal> {
        let variables = variables::size(&self.program.modules);
        let bound = self.limits.heap.saturating_sub(variables);
        let scannable = self.spans.refresh(&mut self.heap, self.memory, bound)?;
        self.figures.scannable = variables + scannable;
        Ok(())
    }

    /// Marks from all roots, `others` being the goroutines that can run.
    fn round(
        &mut self,
        others: &[Seen],
        gs: &[GPtr],
        waits: &Waits,
        candidates: &mut Candidates,
    ) -> Result<(), Refusal> {
        let (program, memory) = (self.program, self.memory);
        let own = Own::read(program, memory)?;
        own.mask(gs, waits, program, &mut self.heap);
        variables::mark(&program.modules, &own.hidden_variables(program), &mut self.heap, memory)?;
        for timers in own.timers(self.collector) {
            let list = memory.u64(timers)?;
            self.heap.mark(list);
        }
        let facts = self.facts;
        attached::mark_specials(&mut self.heap, memory, &self.collector.special, facts.specials)?;
        attached::mark_queues(&mut self.heap, memory, program, facts)?;
        self.mark_stacks(others)?;
        self.settle(candidates)
    }

    /// Marks until nobody more is found who can run.
    fn settle(&mut self, candidates: &mut Candidates) -> Result<(), Refusal> {
        loop {
            self.drain.run(&mut self.heap, self.memory, self.limits)?;
            candidates.reached(&self.heap.take_hits());
            let revived = candidates.take_revived();
            if revived.is_empty() {
                return Ok(());
            }
            self.mark_stacks(&revived)?;
        }
    }

    /// Marks from stacks, but for those at rest that were looked at before.
    fn mark_stacks(&mut self, goroutines: &[Seen]) -> Result<(), Refusal> {
        let is_news = |seen: &&Seen| {
            seen.standing.is_none() || self.known.get(&seen.g).is_none_or(|known| known != *seen)
        };
        let news: Vec<Seen> = goroutines.iter().filter(is_news).copied().collect();
        let read = stacks::mark(&news, &mut self.scanner, &mut self.heap, self.memory)?;
        self.figures.read += read.bytes;
        self.drain.unreadable += read.unreadable;
        self.known.extend(news.into_iter().map(|seen| (seen.g, seen)));
        Ok(())
    }

    fn finish(mut self, candidates: Candidates, consistent: bool) -> Result<Pass, Refusal> {
        if self.drain.unreadable > 0 {
            return Err(Refusal::Unreadable { bytes: self.drain.unreadable });
        }
        self.figures.read += self.drain.read;
        self.figures.marked = self.heap.marked();
        self.figures.conservative_stacks = self.scanner.conservative;
        Ok(Pass { verdicts: candidates.verdicts(), consistent, figures: self.figures })
    }
}
