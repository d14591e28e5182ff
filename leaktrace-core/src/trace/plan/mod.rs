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
mod body;
mod creation;
mod entry;
mod inlined;
mod machine;
mod reach;
mod render;
mod site;
mod statement;
mod verify;

pub use reach::{ProbedCode, Reached};
pub use site::{AttachPlan, Cost, Missed, MissedReason, PlanStyle, Site};
pub use statement::{Statement, StatementError};
pub use verify::{OtherProbes, VerifyError};

use leaktrace_common::cookie::GRegister;
use leaktrace_common::event::Kind;
use thiserror::Error;

use self::body::{Body, Callees};
use self::machine::Machine;
use crate::base::num::Svma;
use crate::binary::disasm::{Instruction, Operation};
use crate::binary::elf::Elf;
use crate::go::code::{Code, CodeError};
use crate::go::pclntab::Function;
use crate::go::program::Program;

/// Every function on which a probe may depend.
const PROBED: [&str; 5] =
    ["runtime.newproc1", "runtime.gdestroy", "runtime.goexit0", "runtime.park_m", "runtime.ready"];

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// No place was found for any of the wanted events.
    #[error("cannot find an instruction to probe for any of {wanted}:\n{missed}")]
    Nothing {
        /// What was wanted.
        wanted: String,
        /// What was tried, as text.
        missed: String,
    },
    /// The program has no such `go` statement: there is none, or the linker left its function out.
    #[error("there is no `go` statement at {statement} in the program")]
    NoStatement {
        /// What was wanted.
        statement: String,
        /// `go` statements that may have been meant.
        near: Vec<String>,
    },
    /// Only the program's own file is probed.
    #[error("{statement} is in the plugin {plugin}, where `go` statements cannot be probed")]
    InPlugin {
        /// What was wanted.
        statement: String,
        /// The path that the plugin was built from.
        plugin: String,
    },
    /// The `go` statement is there, and its call is not as expected.
    #[error("the `go` statement at {statement} cannot be probed in {function}: {why}")]
    NotProbed {
        /// What was wanted.
        statement: String,
        /// The function that it is compiled into.
        function: String,
        /// What is wrong there.
        why: String,
    },
    /// What was wanted is more than can be probed.
    #[error("{statement} makes it {places} instructions to probe, and at most {most} can be")]
    TooManyPlaces {
        /// What was wanted last.
        statement: String,
        /// How many instructions that would be.
        places: usize,
        /// The limit.
        most: usize,
    },
}

/// Where to attach to `program`, which was loaded from `elf`, to see events of `kinds`.
///
/// A kind for which there is no place is among [`AttachPlan::missed`]; only a plan without any place is an error.
pub fn plan(
    elf: &Elf<'_>,
    program: &Program<'_>,
    kinds: &[Kind],
    style: PlanStyle,
) -> Result<AttachPlan, PlanError> {
    let code = Code::new(elf, program.bias, program.modules.main());
    let planner = Planner { code, goid: program.layout.g.goid, style };
    let plan = planner.plan(kinds);
    if plan.sites.is_empty() && !kinds.is_empty() {
        let wanted: Vec<_> = kinds.iter().map(|kind| kind.as_str()).collect();
        return Err(PlanError::Nothing { wanted: wanted.join(", "), missed: plan.to_string() });
    }
    Ok(plan)
}

/// Where to attach to `program`, which was loaded from `elf`, to see the births of these `go` statements alone.
pub fn plan_statements(
    elf: &Elf<'_>,
    program: &Program<'_>,
    statements: &[Statement],
) -> Result<AttachPlan, PlanError> {
    let code = Code::new(elf, program.bias, program.modules.main());
    let planner = Planner { code, goid: program.layout.g.goid, style: PlanStyle::default() };
    planner.statements(&program.modules, statements)
}

/// The code, and what is asked of it.
struct Planner<'a, 'd> {
    code: Code<'a, 'd>,
    /// The offset of `goid` in `g`.
    goid: u32,
    style: PlanStyle,
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
        let inlined = self.inlined(&PROBED);
        let mut plan = AttachPlan::default();
        for &kind in kinds {
            let found = match kind {
                Kind::Birth => self.birth(&inlined),
                Kind::End => self.end(&inlined),
                Kind::Park => self.at_entry(kind, "runtime.park_m"),
                Kind::Ready => self.at_entry(kind, "runtime.ready"),
                // Planned by `plan_statements`, which knows of which ones.
                Kind::Site => Found::default(),
            };
            plan.missed.extend(found.probed.iter().filter_map(|name| {
                let has_site = |function: &String| found.sites.iter().any(|site| site.function == *function);
                let into: Vec<_> = inlined.get(name)?.iter().filter(|one| !has_site(one)).cloned().collect();
                let reason = MissedReason::InlinedInto(into.clone());
                (!into.is_empty()).then(|| Missed { kind, function: (*name).to_owned(), reason })
            }));
            plan.sites.extend(found.sites);
            plan.missed.extend(found.missed);
        }
        plan
    }

    const fn machine(&self) -> Machine {
        Machine { arch: self.code.arch() }
    }

    fn body(&self, function: &Function<'d>) -> Result<Body<'d>, CodeError> {
        let instructions = self.code.decode(function)?;
        let bytes = self.code.bytes(function).unwrap_or_default();
        Ok(Body { entry: self.code.address(function.entry()), bytes, instructions })
    }

    /// The site at `instruction` of `function`, if that is in the file.
    fn site(
        &self,
        kind: Kind,
        function: &Function<'d>,
        body: &Body<'d>,
        instruction: &Instruction,
        g_register: GRegister,
        reason: &str,
    ) -> Option<Site> {
        let bytes = body.bytes_of(instruction);
        let target = match instruction.operation {
            Operation::Call(target) => target,
            operation => operation.jump_target(),
        };
        let place = target.map(|target| self.place(target)).unwrap_or_default();
        Some(Site {
            kind,
            function: function.name().to_owned(),
            offset_in_function: instruction.at.offset_from(body.entry)?,
            instruction: self.machine().text(instruction, bytes, &place),
            cost: self.machine().cost(instruction, bytes),
            svma: instruction.at,
            file_offset: self.code.file_offset(instruction.at)?,
            expected: bytes.to_vec(),
            g_register,
            reason: reason.to_owned(),
        })
    }

    /// An address of code in words.
    fn place(&self, at: Svma) -> String {
        let Some(function) = self.code.function_at(at) else { return at.to_string() };
        match at.offset_from(self.code.address(function.entry())) {
            None | Some(0) => function.name().to_owned(),
            Some(offset) => format!("{}+{offset:#x}", function.name()),
        }
    }
}

impl Callees for Code<'_, '_> {
    fn grows_stack(&self, at: Svma) -> bool {
        self.function_at(at).is_some_and(|callee| callee.name().starts_with("runtime.morestack"))
    }

    /// Assembly may switch to another goroutine; what the compiler made and has a `ret` does come to it, unless
    /// the program ends.
    fn comes_back(&self, at: Svma) -> bool {
        let Some(callee) = self.function_at(at).filter(|callee| !callee.flags().is_assembly()) else {
            return false;
        };
        let instructions = self.decode(&callee).unwrap_or_default();
        instructions.iter().any(|one| one.operation == Operation::Return)
    }
}
