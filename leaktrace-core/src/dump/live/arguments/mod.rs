//! The values of arguments, from the stacks of goroutines that do not run.
//!
//! They are read after the walk. Each frame is found again by the return address that leads to it, so that a stack that
//! has changed meanwhile gives no values rather than those of other frames.

mod plan;

use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use crate::dump::DumpBuilder;
use crate::dump::model::{ArgumentsId, StackId};
use crate::go::arguments::ArgumentList;
use crate::go::goroutines::{self as stacks, Goroutine};
use crate::go::program::Program;
use crate::go::unwind::FrameRule;
use crate::go::version::GoVersion;
use crate::hash::KeyedMap;
use crate::memory::{Memory, Span};
use crate::num::{Avma, Pc, ReturnPc};
use crate::symbolize::expand;
use plan::{Code, Plan, Stack};

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
    program: &'a Program<'a>,
    memory: &'a dyn Memory,
    code: HashMap<ReturnPc, Option<Rc<Code>>>,
    plans: KeyedMap<stacks::StackId, Plan>,
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
        let (code, plans) = (HashMap::new(), KeyedMap::default());
        let (bytes, stacks, readable, values) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { program, memory, code, plans, bytes, stacks, readable, values, wanted, left, beyond: 0 }
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
    ) -> Option<ArgumentsId> {
        let own = self.stacks.get(index).filter(|range| !range.is_empty())?.clone();
        self.plan(id, pcs, stack, builder);
        let plan = self.plans.get_mut(&id)?;
        let texts = plan.read(Stack(self.bytes.get(own)?), &mut self.values, builder);
        Some(builder.arguments(texts))
    }

    /// Makes the plan of a stack, unless there is one.
    fn plan(&mut self, id: stacks::StackId, pcs: &[ReturnPc], stack: StackId, builder: &DumpBuilder) {
        if self.plans.contains_key(&id) {
            return;
        }
        if self.plans.len() >= MAX_PLANS {
            self.plans.clear();
        }
        let inlined = builder.frames(stack).map(|frame| frame.inlined).collect();
        let plan = Plan::of(self.program.arch, pcs, inlined, |pc| self.code(pc));
        self.plans.insert(id, plan);
    }

    fn code(&mut self, pc: ReturnPc) -> Option<Rc<Code>> {
        let program = self.program;
        self.code.entry(pc).or_insert_with(|| find(program, pc).map(Rc::new)).clone()
    }
}

fn span(goroutine: &Goroutine) -> Span {
    let used = if goroutine.stack_id.is_some() { goroutine.stack_used } else { 0 };
    let at = Avma(goroutine.stack.hi.0.saturating_sub(used.into()));
    Span { at, len: used.min(MAX_STACK) as usize }
}

fn find(program: &Program<'_>, pc: ReturnPc) -> Option<Code> {
    let (module, function) = program.modules.function(pc.call_site())?;
    let rule = FrameRule::of(&function, module.text_offset(pc.call_site())?);
    let at = module.text_offset(printed_at(program, pc)?)?;
    Some(Code { arguments: ArgumentList::of(module, &function, at)?, delta: rule.delta?.into() })
}

/// The instruction at which Go's traceback looks which arguments are live. Up to Go 1.20 (`gentraceback`) that is the one
/// at which the outermost inlined call is, if there is any; later (`inlineUnwinder.symPC`) the frame's own.
fn printed_at(program: &Program<'_>, pc: ReturnPc) -> Option<Pc> {
    const FRAMES_OWN: GoVersion = GoVersion::new(1, 21);
    if program.version >= FRAMES_OWN {
        return Some(pc.call_site());
    }
    let mut frames = Vec::new();
    expand(&program.modules, pc.call_site(), &mut frames);
    frames.last().map(|physical| physical.pc)
}
