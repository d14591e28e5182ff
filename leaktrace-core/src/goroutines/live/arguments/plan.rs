//! Where the arguments of one stack's frames are and how they are printed, found once for all goroutines that stand there.

use std::rc::Rc;

use crate::base::hash::KeyedMap;
use crate::base::num::{Pc, ReturnPc};
use crate::binary::elf::Arch;
use crate::go::arguments::ArgumentList;
use crate::go::goroutines::{Word, WordPlan};
use crate::go::program::Program;
use crate::go::symbolize::expand;
use crate::go::unwind::FrameRule;
use crate::goroutines::DumpBuilder;
use crate::goroutines::model::{ArgumentsId, StackId};

/// What is known of the frames of one program's functions.
pub(super) struct Plans<'p> {
    program: &'p Program<'p>,
    code: KeyedMap<ReturnPc, Option<Rc<Code>>>,
}

/// What is known of the frames that stand at one address.
struct Code {
    arguments: ArgumentList,
    text: String,
    delta: u64,
}

impl<'p> Plans<'p> {
    pub(super) fn new(program: &'p Program<'p>) -> Self {
        Self { program, code: KeyedMap::default() }
    }

    /// Which words of a stack at `pcs` are arguments.
    pub(super) fn words(&mut self, pcs: &[ReturnPc]) -> WordPlan {
        let (mut plan, mut sp) = (WordPlan::default(), 0);
        for (index, &pc) in pcs.iter().enumerate() {
            let Some(code) = self.code(pc) else { break };
            let Some(frame) = FrameWords::of(self.program.arch, sp, code.delta) else { break };
            sp = frame.caller_sp;
            let words = code.arguments.words().map(|(offset, mask)| {
                let at = frame.arguments.saturating_add(offset.into());
                Word { at: small(at), mask }
            });
            plan.frame(small(frame.return_at), pcs.get(index + 1).copied(), words);
        }
        plan
    }

    /// How the arguments of the frames of `stack`, which is at `pcs`, are printed. A frame that was inlined has no
    /// arguments of its own on the stack.
    pub(super) fn texts(
        &mut self,
        pcs: &[ReturnPc],
        stack: StackId,
        builder: &mut DumpBuilder,
    ) -> ArgumentsId {
        let inlined: Vec<_> = builder.frames(stack).map(|frame| frame.inlined).collect();
        let mut codes = pcs.iter().map_while(|pc| self.code(*pc));
        let mut next = || codes.next().map(|code| builder.string(&code.text));
        let texts = inlined.into_iter().map(|inlined| if inlined { None } else { next() }).collect();
        builder.arguments(texts)
    }

    fn code(&mut self, pc: ReturnPc) -> Option<Rc<Code>> {
        let program = self.program;
        self.code.entry(pc).or_insert_with(|| find(program, pc).map(Rc::new)).clone()
    }
}

fn small(at: u64) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn find(program: &Program<'_>, pc: ReturnPc) -> Option<Code> {
    let (module, function) = program.modules.function(pc.call_site())?;
    let rule = FrameRule::of(&function, module.text_offset(pc.call_site())?);
    let at = module.text_offset(printed_at(program, pc)?)?;
    let arguments = ArgumentList::of(module, &function, at)?;
    Some(Code { text: arguments.text(), arguments, delta: rule.delta?.into() })
}

/// The instruction at which the program's own traceback looks which arguments are live: the frame's, or the one at which
/// the outermost inlined call is, if there is any.
fn printed_at(program: &Program<'_>, pc: ReturnPc) -> Option<Pc> {
    if program.facts.traceback.arguments_at_frame {
        return Some(pc.call_site());
    }
    let mut frames = Vec::new();
    expand(&program.modules, pc.call_site(), &mut frames);
    frames.last().map(|physical| physical.pc)
}

/// Where what belongs to a frame is.
struct FrameWords {
    return_at: u64,
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
            Arch::Amd64 => Self { return_at: top, arguments, caller_sp: arguments },
            Arch::Arm64 => Self { return_at: sp, arguments, caller_sp: top },
        })
    }
}
