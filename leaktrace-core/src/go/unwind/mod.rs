//! The stack of a goroutine that is not on a CPU, frame by frame as the runtime's own traceback walks it.
//!
//! The size of every frame comes from the tables of the binary (pcsp), which are exact at every instruction.
//! Frame pointers are not used: with the sizes cached by pc they would save nothing, and they are missing in
//! system calls up to Go 1.22 and on arm64 up to 1.20. Names, lines and inlined calls are not found here.

mod rules;
mod window;

pub use rules::{FrameRule, FrameRules, FrameTraits, RuleCache};
pub use window::{DeepBudget, StackWords};

use crate::base::num::{Pc, ReturnPc};
use crate::binary::elf::Arch;

/// Why a stack has no further frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StackEnd {
    /// The function that started it all was reached: the stack is complete.
    Outermost,
    /// The runtime's own traceback stops here as well, in a function that switches stacks.
    Boundary,
    /// There are more frames than are kept: here is the first that is not.
    Cut(Pc),
    /// The next return address is not one of Go code, as in a plugin, or could not be read, and is 0.
    Broken(Pc),
}

impl StackEnd {
    /// Where frames are missing that the runtime's own traceback would show, and what to call what stands for them.
    pub(crate) const fn cut(self) -> Option<(Pc, &'static str)> {
        match self {
            Self::Outermost | Self::Boundary => None,
            Self::Cut(at) => Some((at, "...stack cut: further frames were not read...")),
            Self::Broken(Pc(0)) => Some((Pc(0), "...stack cut: the caller cannot be read...")),
            Self::Broken(at) => Some((at, "...stack cut: no Go function table has this address...")),
        }
    }
}

/// How many frames of one stack are kept. Go prints the first and the last 50 of any number.
pub(crate) const MAX_FRAMES: usize = 64 << 10;

/// The size of a word and of a return address.
const WORD: u64 = 8;
/// What arm64 puts below the frame that a signal handler pretends was calling (`sys.MinFrameSize`, aligned).
const ARM64_INJECTED: u64 = 16;

/// Where a goroutine that is not on a CPU stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Where it goes on.
    pub pc: Pc,
    /// Its stack pointer there.
    pub sp: u64,
    /// Its return address where it has not begun, on arm64 only; else 0.
    pub lr: u64,
    /// Whether it is in a system call, or in C, from here.
    pub in_syscall: bool,
}

/// One frame, as it is shown while a stack is walked.
#[derive(Clone, Copy, Debug)]
pub struct FrameView {
    /// Where it stands: after a call, unless `exact`.
    pub pc: Pc,
    /// Its stack pointer.
    pub sp: u64,
    /// By how much that is below where it was at entry.
    pub delta: u32,
    /// Whether `pc` is an instruction that was interrupted.
    pub exact: bool,
    /// What is special about it.
    pub traits: FrameTraits,
}

/// One frame while it is walked over.
struct Step {
    pc: u64,
    sp: u64,
    /// The return address, where it is known before the frame's size is.
    lr: u64,
    /// Whether `pc` is the instruction that runs, and not the one after a call.
    exact: bool,
    innermost: bool,
}

/// Walks stacks, and remembers what it learned about pcs on the way.
#[derive(Debug)]
pub struct Unwinder {
    arch: Arch,
    cache: RuleCache,
}

impl Unwinder {
    /// An unwinder of programs for `arch`.
    pub fn new(arch: Arch) -> Self {
        Self { arch, cache: RuleCache::default() }
    }

    /// Appends the frames of a stack to `out`, at most `limit`, and says why there are no more.
    ///
    /// What is appended is told at [`Stack::pcs`](crate::go::goroutines::Stack::pcs).
    pub fn walk(
        &mut self,
        rules: &(impl FrameRules + ?Sized),
        standing: &Standing,
        words: &mut StackWords<'_>,
        limit: usize,
        out: &mut Vec<ReturnPc>,
    ) -> StackEnd {
        self.frames(rules, standing, words, limit, |frame| {
            if !frame.traits.has(FrameTraits::GOEXIT) {
                let exact = frame.exact || frame.traits.has(FrameTraits::AT_ENTRY);
                out.push(ReturnPc(frame.pc.0.wrapping_add(exact.into())));
            }
        })
    }

    /// Shows the frames of a stack to `visit`, at most `limit`, innermost first, and says why there are no more.
    pub fn frames(
        &mut self,
        rules: &(impl FrameRules + ?Sized),
        standing: &Standing,
        words: &mut StackWords<'_>,
        limit: usize,
        mut visit: impl FnMut(&FrameView),
    ) -> StackEnd {
        let Some(mut frame) = self.innermost(standing, words) else { return StackEnd::Broken(Pc(0)) };
        for _ in 0..limit {
            let Some(rule) = self.cache.rule(Pc(frame.pc), rules) else {
                return StackEnd::Broken(Pc(frame.pc));
            };
            let Some(delta) = rule.delta else { return StackEnd::Boundary };
            visit(&FrameView {
                pc: Pc(frame.pc),
                sp: frame.sp,
                delta,
                exact: frame.exact,
                traits: rule.traits,
            });
            if rule.traits.has(FrameTraits::OUTERMOST) {
                return StackEnd::Outermost;
            }
            let saved_sp = frame.innermost && standing.in_syscall;
            if rule.traits.has(FrameTraits::WRITES_SP) && !saved_sp {
                return StackEnd::Boundary;
            }
            let Some(caller) = self.caller(&frame, delta, words) else { return StackEnd::Broken(Pc(0)) };
            frame = caller;
            frame.exact = rule.traits.has(FrameTraits::INJECTED);
            if frame.exact
                && matches!(self.arch, Arch::Arm64)
                && self.skip_injected(&mut frame, rules, words).is_none()
            {
                return StackEnd::Broken(Pc(frame.pc));
            }
        }
        StackEnd::Cut(Pc(frame.pc))
    }

    /// The frame that the goroutine stands in. A pc of 0 is a call of a nil function: that is its caller's.
    fn innermost(&self, standing: &Standing, words: &mut StackWords<'_>) -> Option<Step> {
        let Standing { pc, sp, lr, .. } = *standing;
        let frame = Step { pc: pc.0, sp, lr, exact: false, innermost: true };
        if pc.0 != 0 {
            return Some(frame);
        }
        let pc = words.word(sp)?;
        match self.arch {
            Arch::Amd64 => Some(Step { pc, sp: sp + WORD, ..frame }),
            Arch::Arm64 => Some(Step { pc, lr: 0, ..frame }),
        }
    }

    /// The frame that called `frame`, whose size without the return address is `delta`.
    fn caller(&self, frame: &Step, delta: u32, words: &mut StackWords<'_>) -> Option<Step> {
        let top = frame.sp.checked_add(delta.into())?;
        let (pc, sp) = match self.arch {
            // The call pushed the return address before the function made its frame.
            Arch::Amd64 => (words.word(top)?, top.checked_add(WORD)?),
            // The function stored it at the bottom of its frame, if it has made one.
            Arch::Arm64 if frame.lr != 0 && !(frame.innermost && delta > 0) => (frame.lr, top),
            Arch::Arm64 => (words.word(frame.sp)?, top),
        };
        let stuck = (pc, sp) == (frame.pc, frame.sp);
        (pc != 0 && !stuck).then_some(Step { pc, sp, lr: 0, exact: false, innermost: false })
    }

    /// Steps over what a signal handler put below the frame that it interrupted, on arm64: the link register.
    fn skip_injected(
        &mut self,
        frame: &mut Step,
        rules: &(impl FrameRules + ?Sized),
        words: &mut StackWords<'_>,
    ) -> Option<()> {
        let saved = words.word(frame.sp)?;
        frame.sp = frame.sp.checked_add(ARM64_INJECTED)?;
        match self.cache.rule(Pc(frame.pc), rules) {
            None => frame.pc = saved,
            Some(rule) if rule.delta == Some(0) => frame.lr = saved,
            Some(_) => {}
        }
        Some(())
    }
}

#[cfg(test)]
mod tests;
