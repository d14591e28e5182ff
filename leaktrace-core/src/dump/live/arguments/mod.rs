//! The values of arguments, from the stacks of goroutines that do not run.
//!
//! They are read after the walk. Each frame is found again by the return address that leads to it, so that a stack that
//! has changed meanwhile gives no values rather than those of other frames.

mod plan;

use std::ops::Range;

use crate::dump::DumpBuilder;
use crate::dump::model::{Arguments as Known, ArgumentsId, StackId};
use crate::go::goroutines::{self as stacks, Goroutine, WordPlan};
use crate::go::program::Program;
use crate::hash::KeyedMap;
use crate::memory::{Memory, Span};
use crate::num::{Avma, ReturnPc};
use plan::Plans;

/// How many goroutines are read together.
pub(super) const CHUNK: usize = 64;
/// How much of a stack is read, in bytes: the frames beyond have no values.
const MAX_STACK: u32 = 256 << 10;
/// Of how many goroutines values are kept, which take more room than all else.
const MAX_GOROUTINES: usize = 100_000;
/// How many stacks' plans are remembered before all are forgotten.
const MAX_PLANS: usize = 4_096;

/// Reads the values of arguments, of some goroutines after the others.
pub(super) struct Arguments<'a> {
    memory: &'a dyn Memory,
    plans: Plans<'a>,
    known: KeyedMap<stacks::StackId, (WordPlan, ArgumentsId)>,
    /// The stacks of those that were loaded last, and where each one's is; empty for those that have none.
    bytes: Vec<u8>,
    stacks: Vec<Range<usize>>,
    readable: Vec<bool>,
    values: Vec<u64>,
    wanted: bool,
    /// How many goroutines may still have values, and how many were beyond those.
    left: usize,
    beyond: usize,
}

impl<'a> Arguments<'a> {
    /// Reads nothing unless they are `wanted`.
    pub(super) fn new(program: &'a Program<'a>, memory: &'a dyn Memory, wanted: bool) -> Self {
        let left = if wanted { MAX_GOROUTINES } else { 0 };
        let (plans, known) = (Plans::new(program), KeyedMap::default());
        let (bytes, stacks, readable, values) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { memory, plans, known, bytes, stacks, readable, values, wanted, left, beyond: 0 }
    }

    /// What a reader should know of goroutines whose values were wanted and are not there.
    pub(super) fn note(&self) -> Option<String> {
        let some = self.wanted && self.beyond > 0;
        some.then(|| format!("argument values are those of the first {MAX_GOROUTINES} goroutines only"))
    }

    /// Reads the stacks of some goroutines, no more than [`CHUNK`].
    pub(super) fn load(&mut self, goroutines: &[Goroutine]) {
        let count = goroutines.len().min(self.left);
        self.left -= count;
        self.beyond += goroutines.len() - count;
        self.stacks.clear();
        let spans: Vec<_> = goroutines[..count].iter().map(span).collect();
        self.bytes.resize(spans.iter().map(|span| span.len).sum(), 0);
        if self.memory.read_spans(&spans, &mut self.bytes, &mut self.readable).is_err() {
            return;
        }
        let mut start = 0;
        for (span, readable) in spans.iter().zip(&self.readable) {
            let end = start + span.len;
            self.stacks.push(if *readable { start..end } else { end..end });
            start = end;
        }
    }

    /// The values of the goroutine that was loaded as number `index` and stands at `pcs`, which the walk has as `id` and
    /// the dump as `stack`.
    pub(super) fn read(
        &mut self,
        index: usize,
        (id, pcs): (stacks::StackId, &[ReturnPc]),
        stack: StackId,
        builder: &mut DumpBuilder,
    ) -> Option<Known> {
        let own = self.stacks.get(index).filter(|range| !range.is_empty())?.clone();
        self.plan(id, pcs, stack, builder);
        let (plan, texts) = self.known.get(&id)?;
        self.values.clear();
        plan.read(self.bytes.get(own)?, &mut self.values);
        Some(Known { texts: *texts, values: builder.values(&self.values) })
    }

    /// Makes the plan of a stack, unless there is one.
    fn plan(&mut self, id: stacks::StackId, pcs: &[ReturnPc], stack: StackId, builder: &mut DumpBuilder) {
        if self.known.contains_key(&id) {
            return;
        }
        if self.known.len() >= MAX_PLANS {
            self.known.clear();
        }
        let texts = self.plans.texts(pcs, stack, builder);
        self.known.insert(id, (self.plans.words(pcs), texts));
    }
}

fn span(goroutine: &Goroutine) -> Span {
    let used = if goroutine.stack_id.is_some() { goroutine.stack_used } else { 0 };
    let at = Avma(goroutine.stack.hi.0.saturating_sub(used.into()));
    Span { at, len: used.min(MAX_STACK) as usize }
}
