//! The values of arguments, from the stacks of goroutines that do not run.
//!
//! They are read after the walk. Each frame is found again by the return address that leads to it, so that a stack that
//! has changed meanwhile gives no values rather than those of other frames.

use std::collections::HashMap;
use std::rc::Rc;

use crate::dump::DumpBuilder;
use crate::dump::model::{ArgumentsId, StackId};
use crate::elf::Arch;
use crate::go::arguments::ArgumentList;
use crate::go::goroutines::Goroutine;
use crate::go::program::Program;
use crate::go::unwind::FrameRule;
use crate::go::version::GoVersion;
use crate::memory::{Memory, Span};
use crate::num::{Avma, Pc, ReturnPc};
use crate::symbolize::expand;

/// How many goroutines are read together.
pub(super) const CHUNK: usize = 64;
/// How much of a stack is read, in bytes: the frames beyond have no values.
const MAX_STACK: u32 = 256 << 10;
/// Of how many goroutines values are kept, which take more room than all else.
const MAX_GOROUTINES: usize = 100_000;

/// What is known of the frames that stand at one address.
struct Code {
    arguments: ArgumentList,
    delta: u64,
}

/// The bytes from the innermost frame on.
#[derive(Clone, Default)]
struct Stack {
    sp: u64,
    bytes: Vec<u8>,
}

impl Stack {
    fn word(&self, at: u64) -> Option<u64> {
        let offset = usize::try_from(at.checked_sub(self.sp)?).ok()?;
        Some(u64::from_le_bytes(*self.bytes.get(offset..)?.first_chunk()?))
    }
}

/// Reads the values of arguments, of some goroutines after the others.
pub(super) struct Arguments<'a> {
    program: &'a Program<'a>,
    memory: &'a dyn Memory,
    code: HashMap<ReturnPc, Option<Rc<Code>>>,
    /// The stacks of those that were loaded last.
    stacks: Vec<Stack>,
    wanted: bool,
    /// How many goroutines may still have values, and how many were beyond those.
    left: usize,
    beyond: usize,
}

impl<'a> Arguments<'a> {
    /// Reads nothing unless they are `wanted`.
    pub(super) fn new(program: &'a Program<'a>, memory: &'a dyn Memory, wanted: bool) -> Self {
        let left = if wanted { MAX_GOROUTINES } else { 0 };
        Self { program, memory, code: HashMap::new(), stacks: Vec::new(), wanted, left, beyond: 0 }
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
        let spans: Vec<_> = goroutines[..count].iter().map(span).collect();
        let (mut bytes, mut readable) = (vec![0; spans.iter().map(|span| span.len).sum()], Vec::new());
        self.stacks = vec![Stack::default(); goroutines.len()];
        if self.memory.read_spans(&spans, &mut bytes, &mut readable).is_err() {
            return;
        }
        let mut rest = &bytes[..];
        for ((stack, span), readable) in self.stacks.iter_mut().zip(&spans).zip(readable) {
            let (own, tail) = rest.split_at(span.len);
            rest = tail;
            if readable {
                *stack = Stack { sp: span.at.0, bytes: own.to_vec() };
            }
        }
    }

    /// The values of the goroutine that was loaded as number `index` and stands at `pcs`, which the dump has as `stack`.
    pub(super) fn read(
        &mut self,
        index: usize,
        pcs: &[ReturnPc],
        stack: StackId,
        builder: &mut DumpBuilder,
    ) -> Option<ArgumentsId> {
        let own = self.stacks.get(index).filter(|stack| !stack.bytes.is_empty())?.clone();
        let mut texts = self.texts(&own, pcs).into_iter();
        // A frame that was inlined has no arguments of its own on the stack.
        let inlined: Vec<_> = builder.frames(stack).map(|frame| frame.inlined).collect();
        let texts = inlined.into_iter().map(|inlined| if inlined { None } else { texts.next().flatten() });
        let arguments = texts.map(|text| text.map(|text| builder.string(&text))).collect();
        Some(builder.arguments(arguments))
    }

    /// The text of each frame's arguments, as far as the frames are still there.
    fn texts(&mut self, stack: &Stack, pcs: &[ReturnPc]) -> Vec<Option<String>> {
        let (mut texts, mut sp) = (Vec::with_capacity(pcs.len()), stack.sp);
        for (index, &pc) in pcs.iter().enumerate() {
            let Some(code) = self.code(pc) else { break };
            let Some(frame) = FrameWords::of(self.program.arch, sp, code.delta) else { break };
            let caller = pcs.get(index + 1);
            if caller.is_some_and(|caller| {
                !stack.word(frame.saved_pc).is_some_and(|saved| leads_to(saved, *caller))
            }) {
                break;
            }
            texts
                .push(code.arguments.print(|offset| stack.word(frame.arguments.checked_add(offset.into())?)));
            sp = frame.caller_sp;
        }
        texts
    }

    fn code(&mut self, pc: ReturnPc) -> Option<Rc<Code>> {
        let program = self.program;
        self.code.entry(pc).or_insert_with(|| find(program, pc).map(Rc::new)).clone()
    }
}

/// Where what belongs to a frame is.
struct FrameWords {
    saved_pc: u64,
    arguments: u64,
    caller_sp: u64,
}

impl FrameWords {
    /// On arm64 the caller's address is at the low end of a frame, and the arguments lie behind the caller's.
    fn of(arch: Arch, sp: u64, delta: u64) -> Option<Self> {
        const WORD: u64 = 8;
        let top = sp.checked_add(delta)?;
        let arguments = top.checked_add(WORD)?;
        Some(match arch {
            Arch::Amd64 => Self { saved_pc: top, arguments, caller_sp: arguments },
            Arch::Arm64 => Self { saved_pc: sp, arguments, caller_sp: top },
        })
    }
}

/// Whether what a frame has saved is the address in its caller. A walk adds one to an address that is not behind a call,
/// because the caller was interrupted there or is about to begin; behind two calls are no two neighbours.
const fn leads_to(saved: u64, caller: ReturnPc) -> bool {
    saved == caller.0 || saved.wrapping_add(1) == caller.0
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
