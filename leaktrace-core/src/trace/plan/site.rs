//! What a plan consists of.

use leaktrace_common::cookie::GRegister;
use leaktrace_common::event::Kind;

use crate::base::num::{FileOffset, Svma};
use crate::schema::Location;

/// How places are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlanStyle {
    /// The cheapest instruction at which the `g` is provably in a register.
    #[default]
    Cheap,
    /// The functions' first instructions, and the `ret` of `newproc1`: what most tracers do. Only for
    /// comparison in benchmarks.
    #[cfg(feature = "bench")]
    Entry,
}

impl PlanStyle {
    pub(super) const fn is_cheap(self) -> bool {
        matches!(self, Self::Cheap)
    }
}

/// What a hit costs, by how the kernel steps over the probed instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cost {
    /// The kernel emulates the instruction: one trap. A `nop` of five bytes is never taken, although Linux 6.18 makes a quicker
    /// call of it: a child that the process forks has the call and not where it leads to (x86-64,
    /// `arch/x86/kernel/uprobes.c`), and dies there.
    Emulated,
    /// The instruction is executed out of line with a second trap.
    SingleStepped,
}

impl Cost {
    /// The words under which a user is told.
    pub const fn as_str(self) -> &'static str {
        match self {
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
    /// The `go` statements whose births alone are seen, in the order of the sites.
    pub statements: Vec<Location>,
}

impl AttachPlan {
    /// The sites of one kind.
    pub fn sites_of(&self, kind: Kind) -> impl Iterator<Item = &Site> {
        self.sites.iter().filter(move |site| site.kind == kind)
    }
}
