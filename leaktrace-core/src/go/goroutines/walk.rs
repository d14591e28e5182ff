//! The walk of `runtime.allgs`, which never shrinks and keeps its order, while the process runs.

use std::ops::Range;

use thiserror::Error;

use crate::base::memory::{Memory, ReadError};
use crate::base::num::{Avma, GPtr, Ktime};
use crate::binary::elf::Arch;
use crate::go::facts::FinalizerState;
use crate::go::facts::same::FINALIZER_RUNS;
use crate::go::globals::Globals;
use crate::go::layout::GFields;
use crate::go::names::WaitReasons;
use crate::go::program::Program;

use super::batch::Batch;
use super::keeper::Keeper;
use super::kind::KindFacts;
use super::under_way::Walk;
use super::words::{KeptWords, WordPlans};
use super::{Code, Snapshot, Want, to_usize};

/// How many goroutines are read at once.
const BATCH: u64 = 1024;
/// How many entries of `allgs` are looked at: with their stacks they would take the target ten gigabytes.
const MAX_GOROUTINES: u64 = 4 << 20;
/// How often the base of `allgs` is read again when the runtime has just moved it.
const BASE_ATTEMPTS: u32 = 4;

/// Why the goroutines could not be walked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WalkError {
    /// The list of goroutines is not readable.
    #[error("cannot read the list of goroutines")]
    List(#[source] ReadError),
    /// The process ended, or may not be read any more.
    #[error("cannot read the goroutines")]
    Goroutines(#[source] ReadError),
}

impl WalkError {
    /// Whether the process has gone, or is going: its first thread gives its memory up before the others have ended.
    pub const fn is_gone(&self) -> bool {
        matches!(self, Self::List(ReadError::Gone) | Self::Goroutines(ReadError::Gone))
    }
}

/// What the walk needs to know about a program.
#[derive(Clone, Copy)]
pub struct WalkerInput<'p> {
    /// What the program was compiled for.
    pub arch: Arch,
    /// Its functions.
    pub code: &'p dyn Code,
    /// Where the fields of its `runtime.g` are.
    pub fields: &'p GFields,
    /// Where its runtime's variables are.
    pub globals: &'p Globals,
    /// Where `runtime.fingStatus` is, in releases that have it (Go 1.20+).
    pub finalizer_state: Option<Avma>,
    /// What its wait reasons are called.
    pub wait_reasons: &'p WaitReasons,
    /// By how many nanoseconds its clock is ahead of the one that walks are timed by.
    pub clock_ahead: i64,
}

impl<'p> WalkerInput<'p> {
    /// What is known about `program`.
    pub fn of(program: &'p Program<'_>) -> Self {
        Self {
            arch: program.arch,
            code: &program.modules,
            fields: &program.layout.g,
            globals: &program.globals,
            finalizer_state: program
                .globals
                .fing_status
                .filter(|_| program.facts.finalizer_state == Ok(FinalizerState::FingStatus)),
            wait_reasons: &program.wait_reasons,
            clock_ahead: program.clock_ahead,
        }
    }
}

/// Walks a program's goroutines, again and again, with the same buffers and what it learned about pcs.
pub struct Walker<'p> {
    code: &'p dyn Code,
    globals: &'p Globals,
    finalizer_state: Option<Avma>,
    facts: KindFacts,
    clock_ahead: i64,
    keeper: Option<Keeper<'p>>,
    memo: WalkMemo,
}

/// What a walker keeps from one walk to the next and borrows from nobody: its buffers, and what it learned about pcs.
/// It is of one program, and wrong about any other.
pub struct WalkMemo {
    batch: Batch,
    gs: Vec<GPtr>,
    pointers: Vec<u8>,
}

impl<'p> Walker<'p> {
    /// A walker of this program.
    pub fn new(input: WalkerInput<'p>) -> Self {
        let batch = Batch::new(input.arch, input.fields, input.wait_reasons);
        Self::resume(input, WalkMemo { batch, gs: Vec::new(), pointers: Vec::new() })
    }

    /// A walker of the program that `memo` is [of](Self::into_memo).
    pub fn resume(input: WalkerInput<'p>, memo: WalkMemo) -> Self {
        Self {
            code: input.code,
            globals: input.globals,
            finalizer_state: input.finalizer_state,
            facts: KindFacts::of(input.wait_reasons),
            clock_ahead: input.clock_ahead,
            keeper: None,
            memo,
        }
    }

    /// What the next walker of this program should know.
    pub fn into_memo(self) -> WalkMemo {
        self.memo
    }

    /// The same walker, which keeps of the stacks that it shows the words that `plans` wants, at most `room` of a walk.
    #[must_use]
    pub fn keeping(mut self, plans: impl WordPlans + 'p, room: usize) -> Self {
        self.keeper = Some(Keeper::new(Box::new(plans), room));
        self
    }

    /// What was kept in the last walk; `None` unless the walker is [keeping](Self::keeping) words.
    pub fn kept(&mut self) -> Option<KeptWords> {
        self.keeper.as_mut().map(Keeper::take)
    }

    /// Reads all goroutines that are alive. `clock` is asked before the first byte is read and after the last.
    pub fn snapshot(
        &mut self,
        memory: &dyn Memory,
        want: Want,
        clock: &dyn Fn() -> Ktime,
    ) -> Result<Snapshot, WalkError> {
        self.part(memory, want, clock, 0..u64::MAX)
    }

    /// The same for some entries of the list only, so that several walkers can share a walk: what they find is to be
    /// [put together](Snapshot::append). Entries that the list does not have are none.
    pub fn part(
        &mut self,
        memory: &dyn Memory,
        want: Want,
        clock: &dyn Fn() -> Ktime,
        entries: Range<u64>,
    ) -> Result<Snapshot, WalkError> {
        let started = clock();
        // Those of a walk before.
        self.kept();
        let listed = self.list_len(memory)?;
        let len = listed.min(MAX_GOROUTINES);
        self.facts.finalizer_runs = self.finalizer_runs(memory);
        let keeper = self.keeper.as_mut();
        let mut walk = Walk::new((memory, self.code), keeper, want, self.facts, started);
        walk.snapshot.beyond_limit = if entries.end > len { listed - len } else { 0 };
        // A length is worth the room if there is something at the end that it tells of.
        let is_whole = len <= BATCH || self.memo.list(self.globals, memory, len - 1, 1).is_ok();
        let end = entries.end.min(len);
        self.memo.batch.begin(entries.start == 0 && entries.end >= len);
        for first in (entries.start..end).step_by(to_usize(BATCH)) {
            self.memo.list(self.globals, memory, first, BATCH.min(end - first))?;
            // Later parts have room as well, since they are put behind the first.
            if is_whole {
                walk.reserve(to_usize(len - first));
            }
            self.memo.batch.add(&mut walk, first, &self.memo.gs).map_err(WalkError::Goroutines)?;
        }
        self.memo.batch.finish(&walk);
        walk.snapshot.finished = clock();
        if self.clock_ahead != 0 {
            let times = walk.snapshot.goroutines.iter_mut().filter_map(|one| one.wait_since.as_mut());
            times.for_each(|since| *since = since.of_clock_ahead(self.clock_ahead));
        }
        Ok(walk.snapshot)
    }

    /// How many entries of the list there are to be read now; it grows.
    pub fn entries(&self, memory: &dyn Memory) -> Result<u64, WalkError> {
        self.list_len(memory).map(|len| len.min(MAX_GOROUTINES))
    }

    /// Where all `runtime.g`s are, those that are free for reuse as well.
    pub fn addresses(&mut self, memory: &dyn Memory) -> Result<Vec<GPtr>, WalkError> {
        let len = self.entries(memory)?;
        let mut all = Vec::new();
        for first in (0..len).step_by(to_usize(BATCH)) {
            self.memo.list(self.globals, memory, first, BATCH.min(len - first))?;
            all.extend_from_slice(&self.memo.gs);
        }
        Ok(all)
    }

    /// How many entries the list has. The length is read before the base, as the runtime itself does.
    fn list_len(&self, memory: &dyn Memory) -> Result<u64, WalkError> {
        let at = self.globals.allglen.unwrap_or_else(|| self.globals.allgs.plus(8));
        memory.u64(at).map_err(WalkError::List)
    }

    /// Whether the finalizer goroutine is running one of the program's finalizers, if that can be known.
    fn finalizer_runs(&self, memory: &dyn Memory) -> Option<bool> {
        let state = memory.u32(self.finalizer_state?).ok()?;
        Some(state & FINALIZER_RUNS != 0)
    }
}

impl WalkMemo {
    /// Sets `self.gs` to `count` entries of the list. Its array is moved when it grows, and the old one may be
    /// reused for something else, so the base is looked at before and after.
    fn list(
        &mut self,
        globals: &Globals,
        memory: &dyn Memory,
        first: u64,
        count: u64,
    ) -> Result<(), WalkError> {
        let at = globals.allglen.and(globals.allgptr).unwrap_or(globals.allgs);
        self.pointers.resize(to_usize(count * 8), 0);
        let mut base = memory.pointer(at).map_err(WalkError::List)?;
        let mut read = Ok(());
        for _ in 0..BASE_ATTEMPTS {
            read = memory.read(entry(base, first), &mut self.pointers);
            let later = memory.pointer(at).map_err(WalkError::List)?;
            if later == base {
                break;
            }
            base = later;
        }
        read.map_err(WalkError::List)?;
        let words = self.pointers.as_chunks().0.iter().copied().map(u64::from_le_bytes);
        self.gs.clear();
        self.gs.extend(words.map(GPtr));
        Ok(())
    }
}

/// Where entry `index` of the list is.
const fn entry(base: Avma, index: u64) -> Avma {
    base.plus(index.wrapping_mul(8))
}
