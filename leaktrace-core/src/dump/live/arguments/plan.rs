//! Where the arguments of one stack's frames are, found once for all goroutines that stand there.

use std::rc::Rc;

use crate::dump::DumpBuilder;
use crate::dump::model::StrId;
use crate::elf::Arch;
use crate::go::arguments::ArgumentList;
use crate::num::ReturnPc;

/// What is known of the frames that stand at one address.
pub(super) struct Code {
    pub(super) arguments: ArgumentList,
    pub(super) delta: u64,
}

/// The bytes of one goroutine's stack from the innermost frame on. Addresses count from there.
#[derive(Clone, Copy)]
pub(super) struct Stack<'b>(pub(super) &'b [u8]);

impl Stack<'_> {
    fn word(self, at: u64) -> Option<u64> {
        let offset = usize::try_from(at).ok()?;
        Some(u64::from_le_bytes(*self.0.get(offset..)?.first_chunk()?))
    }
}

/// The frames of one stack.
pub(super) struct Plan {
    frames: Vec<Planned>,
    /// For each frame that the dump has, whether it was inlined: then it has no arguments of its own on the stack.
    inlined: Vec<bool>,
}

impl Plan {
    /// That of the stack at `pcs`, as far as `code` knows them.
    pub(super) fn of(
        arch: Arch,
        pcs: &[ReturnPc],
        inlined: Vec<bool>,
        mut code: impl FnMut(ReturnPc) -> Option<Rc<Code>>,
    ) -> Self {
        let (mut frames, mut sp) = (Vec::with_capacity(pcs.len()), 0);
        for (index, &pc) in pcs.iter().enumerate() {
            let Some(code) = code(pc) else { break };
            let Some(words) = FrameWords::of(arch, sp, code.delta) else { break };
            sp = words.caller_sp;
            let caller = pcs.get(index + 1).copied();
            frames.push(Planned { code, words, caller, values: Vec::new(), text: None });
        }
        Self { frames, inlined }
    }

    /// The texts of a goroutine's arguments, as far as its frames are still there. `values` is room to work in.
    pub(super) fn read(
        &mut self,
        stack: Stack<'_>,
        values: &mut Vec<u64>,
        builder: &mut DumpBuilder,
    ) -> Box<[Option<StrId>]> {
        let mut frames = self.frames.iter_mut();
        let mut texts = std::iter::from_fn(|| {
            let frame = frames.next()?;
            frame.is_there(stack).then(|| frame.text(stack, values, builder))
        })
        .fuse();
        self.inlined.iter().map(|&inlined| if inlined { None } else { texts.next().flatten() }).collect()
    }
}

/// A frame, and what was read of it last: many goroutines are called with the same values.
struct Planned {
    code: Rc<Code>,
    words: FrameWords,
    caller: Option<ReturnPc>,
    values: Vec<u64>,
    text: Option<StrId>,
}

impl Planned {
    /// Whether the frame still leads to its caller.
    fn is_there(&self, stack: Stack<'_>) -> bool {
        let saved = || stack.word(self.words.saved_pc);
        self.caller.is_none_or(|caller| saved().is_some_and(|saved| leads_to(saved, caller)))
    }

    fn text(&mut self, stack: Stack<'_>, values: &mut Vec<u64>, builder: &mut DumpBuilder) -> Option<StrId> {
        let start = self.words.arguments;
        self.code.arguments.values(|offset| stack.word(start.checked_add(offset.into())?), values)?;
        if self.text.is_none() || self.values != *values {
            self.text = Some(builder.string(&self.code.arguments.print(values)));
            self.values.clone_from(values);
        }
        self.text
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
