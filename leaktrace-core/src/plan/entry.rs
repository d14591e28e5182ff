//! Places at the beginning of functions whose first argument is the goroutine: `gdestroy`, `goexit0`, `park_m`
//! and `ready`.
//!
//! The cheapest is `push rbp`, which comes after the stack check, so that it is reached once a call. Where there
//! is none (Go up to 1.20, and arm64) it is the jump of the stack check itself. That one is reached again after
//! the stack has grown; but all of these functions run on a thread's own stack (`g0`), which does not grow.

use leaktrace_common::cookie::GRegister;
use leaktrace_common::event::Kind;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::disasm::{Instruction, Operation, Tracker};
use crate::go::pclntab::Function;
use crate::num::Svma;
use crate::plan::{Cost, Found, MissedReason, PlanStyle, Planner, Site};

/// What tears a goroutine down since Go 1.22, also one that is a coroutine.
const GDESTROY: &str = "runtime.gdestroy";
/// What did up to Go 1.21, and still calls `gdestroy` for all but coroutines.
const GOEXIT0: &str = "runtime.goexit0";

impl<'d> Planner<'_, 'd> {
    /// Where goroutines end.
    pub(super) fn end(&self, inlined: &FxHashMap<&'static str, Vec<String>>) -> Found {
        if self.code.function(GDESTROY).is_none() {
            return self.at_entry(Kind::End, GOEXIT0);
        }
        let mut found = self.at_entry(Kind::End, GDESTROY);
        // A `goexit0` with a copy of `gdestroy` inside does not call it, so nothing is counted twice.
        let copies = inlined.get(GDESTROY).map(Vec::as_slice).unwrap_or_default();
        if copies.iter().any(|into| into == GOEXIT0) {
            found.sites.extend(self.at_entry(Kind::End, GOEXIT0).sites);
        }
        if copies.iter().all(|into| into == GOEXIT0) {
            found.probed.clear();
        }
        found
    }

    /// The place at the beginning of the function `name`.
    pub(super) fn at_entry(&self, kind: Kind, name: &'static str) -> Found {
        let Some(function) = self.code.function(name) else {
            return Found::missing(kind, name, MissedReason::NoFunction);
        };
        let site = match self.code.decode(&function) {
            Ok(instructions) => self.entry_site(kind, &function, &instructions),
            Err(error) => return Found::missing(kind, name, MissedReason::NoPlace(error.to_string())),
        };
        match site {
            Some(site) => Found { sites: vec![site], missed: Vec::new(), probed: vec![name] },
            None => {
                Found::missing(kind, name, MissedReason::NoPlace("its code is not in the file".to_owned()))
            }
        }
    }

    fn entry_site(&self, kind: Kind, function: &Function<'d>, instructions: &[Instruction]) -> Option<Site> {
        let first = instructions.first()?;
        let cheap = match self.options.style {
            PlanStyle::Cheap => self.cheap_at_entry(function, instructions),
            PlanStyle::Entry => None,
        };
        let (instruction, reason) = match cheap {
            Some(push) if matches!(push.operation, Operation::Push(_)) => {
                (push, "after the stack check, and the argument is still in its register")
            }
            Some(check) => (check, "the first cheap instruction, and the argument is still in its register"),
            None => (first, "the first instruction"),
        };
        self.site(kind, function, instruction, GRegister::Arg0, reason)
    }

    /// A `push` before anything but the stack check, else the first other cheap instruction.
    fn cheap_at_entry<'i>(
        &self,
        function: &Function<'d>,
        instructions: &'i [Instruction],
    ) -> Option<&'i Instruction> {
        let argument = self.machine_register(GRegister::Arg0);
        let mut tracker = Tracker::new(argument, self.stack_pointer());
        let targets = jump_targets(instructions);
        let mut cheap = None;
        for (index, instruction) in instructions.iter().enumerate() {
            if index > 0 && targets.contains(&instruction.at) {
                break;
            }
            let is_cheap = self.cost_in(function, instruction) != Cost::SingleStepped;
            if is_cheap && tracker.in_register(argument) {
                if matches!(instruction.operation, Operation::Push(_)) {
                    return Some(instruction);
                }
                cheap.get_or_insert(instruction);
            }
            if !self.goes_on(instruction, instructions) {
                break;
            }
            tracker.step(instruction);
        }
        cheap
    }

    /// Whether control always goes on to the next instruction, or comes back to the entry.
    fn goes_on(&self, instruction: &Instruction, instructions: &[Instruction]) -> bool {
        match instruction.operation {
            Operation::Branch(target) => self.is_stack_growth(target, instructions),
            Operation::Call(_) | Operation::Jump(_) | Operation::Return | Operation::Trap => false,
            Operation::Push(_)
            | Operation::Nop
            | Operation::Move { .. }
            | Operation::Constant { .. }
            | Operation::Compare(_)
            | Operation::Store { .. }
            | Operation::StoreStack(_)
            | Operation::Other => true,
        }
    }

    /// Whether the code at `target` calls `morestack` and nothing else.
    fn is_stack_growth(&self, target: Svma, instructions: &[Instruction]) -> bool {
        let Ok(start) = instructions.binary_search_by_key(&target, |one| one.at) else { return false };
        let block = instructions[start..].iter().take_while(|one| !one.operation.ends_flow());
        let mut calls = block.filter_map(|one| match one.operation {
            Operation::Call(target) => Some(target),
            _ => None,
        });
        let is_morestack = |callee: Svma| {
            self.code.function_at(callee).is_some_and(|callee| callee.name().starts_with("runtime.morestack"))
        };
        calls.next().flatten().is_some_and(is_morestack) && calls.next().is_none()
    }
}

/// Where the function jumps to within itself.
pub(super) fn jump_targets(instructions: &[Instruction]) -> FxHashSet<Svma> {
    instructions.iter().filter_map(|one| one.operation.jump_target()).collect()
}
