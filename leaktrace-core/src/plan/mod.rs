//! Which instructions to probe, and why: decided from the binary alone, without root, printable.
//!
//! Nothing is attached here. The kernel emulates `push`, near `call`, jumps and `nop`; any other probed
//! instruction is single-stepped, which costs about thirty times as much in a virtual machine. So each event
//! has a ladder of places where the wanted `g` is provably in a register, cheapest first.
//!
//! What is proved: the whole function decodes and its jumps land on instructions, so the place is one; nothing
//! between where the `g` is known to be in a register (a function's entry, or the return of the call that made
//! it) and the place changes that register; and control comes to the place from there only.

mod birth;
mod cost;
mod entry;
mod inlined;
mod render;
mod site;

pub use site::{AttachPlan, Cost, Missed, MissedReason, PlanStyle, Site, VerifyError};

use leaktrace_common::cookie::GRegister;
use leaktrace_common::event::Kind;
use thiserror::Error;

use crate::disasm::{Instruction, Register};
use crate::elf::{Arch, Elf};
use crate::go::code::Code;
use crate::go::pclntab::Function;
use crate::go::program::Program;

/// What decides between places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanOptions {
    /// How places are chosen.
    pub style: PlanStyle,
    /// Whether the kernel is known to be quick with probes on `nop`s of more than one byte: Linux 6.18 and later on
    /// x86-64. Earlier ones single-step them.
    pub long_nops: bool,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// No place was found for any of the wanted events.
    #[error("no place to attach to was found for any of {wanted}:\n{missed}")]
    Nothing {
        /// What was wanted.
        wanted: String,
        /// What was tried, as text.
        missed: String,
    },
}

/// Where to attach to `program`, which was loaded from `elf`, to see events of `kinds`.
///
/// A kind for which there is no place is among [`AttachPlan::missed`]; only a plan without any place is an error.
pub fn plan(
    elf: &Elf<'_>,
    program: &Program<'_>,
    kinds: &[Kind],
    options: PlanOptions,
) -> Result<AttachPlan, PlanError> {
    let code = Code::new(elf, program.bias, program.modules.main());
    let planner = Planner { code, goid: program.layout.g.goid, options };
    let plan = planner.plan(kinds);
    if plan.sites.is_empty() && !kinds.is_empty() {
        let wanted: Vec<_> = kinds.iter().map(|kind| kind.as_str()).collect();
        return Err(PlanError::Nothing { wanted: wanted.join(", "), missed: plan.to_string() });
    }
    Ok(plan)
}

/// The code, and what is asked of it.
struct Planner<'a, 'd> {
    code: Code<'a, 'd>,
    /// The offset of `goid` in `g`.
    goid: u32,
    options: PlanOptions,
}

/// What was found for one kind.
#[derive(Debug, Default)]
struct Found {
    sites: Vec<Site>,
    missed: Vec<Missed>,
    /// The functions whose inlined copies would be missed.
    probed: Vec<&'static str>,
}

impl Found {
    fn missing(kind: Kind, function: &str, reason: MissedReason) -> Self {
        let missed = vec![Missed { kind, function: function.to_owned(), reason }];
        Self { missed, ..Self::default() }
    }
}

impl<'d> Planner<'_, 'd> {
    fn plan(&self, kinds: &[Kind]) -> AttachPlan {
        let inlined = self.inlined(&[
            "runtime.newproc1",
            "runtime.gdestroy",
            "runtime.goexit0",
            "runtime.park_m",
            "runtime.ready",
        ]);
        let mut plan = AttachPlan::default();
        for &kind in kinds {
            let found = match kind {
                Kind::Birth => self.birth(),
                Kind::End => self.end(&inlined),
                Kind::Park => self.at_entry(kind, "runtime.park_m"),
                Kind::Ready => self.at_entry(kind, "runtime.ready"),
            };
            plan.sites.extend(found.sites);
            plan.missed.extend(found.missed);
            plan.missed.extend(found.probed.iter().filter_map(|name| {
                let into = inlined.get(name)?.clone();
                Some(Missed { kind, function: (*name).to_owned(), reason: MissedReason::InlinedInto(into) })
            }));
        }
        plan
    }

    /// The site at `instruction` of `function`, if that is in the file.
    fn site(
        &self,
        kind: Kind,
        function: &Function<'d>,
        instruction: &Instruction,
        g_register: GRegister,
        reason: &str,
    ) -> Option<Site> {
        let entry = self.code.address(function.entry());
        let offset = instruction.at.offset_from(entry)?;
        let start = usize::try_from(offset).ok()?;
        let expected = self.code.bytes(function)?.get(start..)?.get(..instruction.len.into())?.to_vec();
        Some(Site {
            kind,
            function: function.name().to_owned(),
            offset_in_function: offset,
            instruction: self.text(instruction, &expected),
            cost: self.cost(instruction, &expected),
            svma: instruction.at,
            file_offset: self.code.file_offset(instruction.at)?,
            expected,
            g_register,
            reason: reason.to_owned(),
        })
    }

    /// What a probe on `instruction` of `function` would cost.
    fn cost_in(&self, function: &Function<'d>, instruction: &Instruction) -> Cost {
        let entry = self.code.address(function.entry());
        let start = instruction.at.offset_from(entry).and_then(|offset| usize::try_from(offset).ok());
        let bytes = self.code.bytes(function).zip(start);
        let bytes = bytes.and_then(|(bytes, start)| bytes.get(start..)?.get(..instruction.len.into()));
        bytes.map_or(Cost::SingleStepped, |bytes| self.cost(instruction, bytes))
    }

    fn stack_pointer(&self) -> Register {
        match self.code.arch() {
            Arch::Amd64 => Register(4),
            Arch::Arm64 => Register(31),
        }
    }

    /// The machine's number of a register that a cookie can name.
    fn machine_register(&self, register: GRegister) -> Register {
        // amd64: RAX, RBX, RCX, R14; arm64: R0, R1, R2, R28 (`src/cmd/compile/abi-internal.md`).
        let (amd64, arm64) = match register {
            GRegister::Arg0 => (0, 0),
            GRegister::Arg1 => (3, 1),
            GRegister::Arg2 => (1, 2),
            GRegister::Current => (14, 28),
        };
        match self.code.arch() {
            Arch::Amd64 => Register(amd64),
            Arch::Arm64 => Register(arm64),
        }
    }
}
