//! What a plan consists of.

use leaktrace_common::cookie::GRegister;
use leaktrace_common::event::Kind;
use thiserror::Error;

use crate::memory::{Memory, ReadError};
use crate::num::{Avma, Bias, FileOffset, Svma};

/// How places are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlanStyle {
    /// The cheapest instruction at which the `g` is provably in a register.
    #[default]
    Cheap,
    /// The functions' first instructions, and the `ret` of `newproc1`: what most tracers do. Only for
    /// comparison in benchmarks.
    Entry,
}

/// What a hit costs, by how the kernel steps over the probed instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cost {
    /// A five-byte `nop`: one trap, and from Linux 6.18 not even that (x86-64).
    Nop5,
    /// The kernel emulates the instruction: one trap.
    Emulated,
    /// The instruction is executed out of line with a second trap.
    SingleStepped,
}

impl Cost {
    /// The words under which a user is told.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nop5 => "nop, cheapest",
            Self::Emulated => "emulated, cheap",
            Self::SingleStepped => "single-stepped, expensive",
        }
    }
}

/// One instruction to probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// What a hit means.
    pub kind: Kind,
    /// The function that the instruction is in.
    pub function: String,
    /// Where in the function it is.
    pub offset_in_function: u64,
    /// The instruction as one would read it in a disassembly.
    pub instruction: String,
    /// What a hit costs.
    pub cost: Cost,
    /// The instruction's address as the linker wrote it.
    pub svma: Svma,
    /// The instruction's offset in the file: what the kernel attaches to.
    pub file_offset: FileOffset,
    /// The instruction's bytes, which the running process must have there too.
    pub expected: Vec<u8>,
    /// Which register has the `g` that the event is about.
    pub g_register: GRegister,
    /// Why here.
    pub reason: String,
}

/// Events that the plan does not see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    /// What is missed.
    pub kind: Kind,
    /// The function whose calls are missed.
    pub function: String,
    /// Why.
    pub reason: MissedReason,
}

/// Why events are missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MissedReason {
    /// Copies of the function were inlined (profile-guided optimisation does that) into these functions.
    InlinedInto(Vec<String>),
    /// These functions call it, and no place in them is known where the `g` could be seen.
    UnknownCallers(Vec<String>),
    /// These functions call it, and run only when a debugger injects a call.
    DebuggerOnly(Vec<String>),
    /// The function is not in the binary.
    NoFunction,
    /// The function's code does not have the expected shape; what was expected, in words.
    NoPlace(String),
}

/// All instructions to probe, and all that is known to be missed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttachPlan {
    /// Where to attach.
    pub sites: Vec<Site>,
    /// What will not be seen.
    pub missed: Vec<Missed>,
}

/// Why a plan must not be used on a process.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum VerifyError {
    /// The process has other bytes there than the file: it was patched, or this is not its file.
    #[error("{function}+{offset:#x} at {at} has the bytes {found:02x?} and not {expected:02x?}")]
    Different {
        /// The function.
        function: String,
        /// The offset in the function.
        offset: u64,
        /// Where this is in the process.
        at: Avma,
        /// The bytes of the file.
        expected: Vec<u8>,
        /// The bytes of the process.
        found: Vec<u8>,
    },
    /// The code could not be read.
    #[error("the memory of the process could not be read")]
    Read(#[from] ReadError),
}

impl AttachPlan {
    /// Compares the bytes of every site with those of the running process.
    pub fn verify(&self, memory: &dyn Memory, bias: Bias) -> Result<(), VerifyError> {
        self.sites.iter().try_for_each(|site| site.verify(memory, bias))
    }

    /// The sites of one kind.
    pub fn sites_of(&self, kind: Kind) -> impl Iterator<Item = &Site> {
        self.sites.iter().filter(move |site| site.kind == kind)
    }
}

impl Site {
    fn verify(&self, memory: &dyn Memory, bias: Bias) -> Result<(), VerifyError> {
        let at = bias.to_avma(self.svma);
        let mut found = vec![0; self.expected.len()];
        memory.read(at, &mut found)?;
        if found == self.expected {
            return Ok(());
        }
        Err(VerifyError::Different {
            function: self.function.clone(),
            offset: self.offset_in_function,
            at,
            expected: self.expected.clone(),
            found,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Pieces;

    fn plan() -> AttachPlan {
        let site = Site {
            kind: Kind::End,
            function: "runtime.gdestroy".into(),
            offset_in_function: 0xa,
            instruction: "push rbp".into(),
            cost: Cost::Emulated,
            svma: Svma(0x40_100a),
            file_offset: FileOffset(0x100a),
            expected: vec![0x55],
            g_register: GRegister::Arg0,
            reason: "the argument is still in its register".into(),
        };
        AttachPlan { sites: vec![site], missed: Vec::new() }
    }

    #[test]
    fn a_plan_is_refused_where_the_process_differs_from_its_file() {
        let bias = Bias::between(Svma(0), Avma(0x1000));
        let same = Pieces::new().with(Avma(0x40_200a), vec![0x55]);
        assert_eq!(plan().verify(&same, bias), Ok(()));
        let patched = Pieces::new().with(Avma(0x40_200a), vec![0xcc]);
        let error = plan().verify(&patched, bias).unwrap_err();
        assert_eq!(error.to_string(), "runtime.gdestroy+0xa at 0x40200a has the bytes [cc] and not [55]");
        let unmapped = plan().verify(&Pieces::new(), bias).unwrap_err();
        assert!(matches!(unmapped, VerifyError::Read(ReadError::Unmapped { .. })));
    }
}
