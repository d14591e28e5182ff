//! Where goroutines are born: when `newproc1` (`src/runtime/proc.go`) has filled in the new `g`.
//!
//! On arm64 the `ret` of `newproc1` is simulated by the kernel, so it is the place. On amd64 it is single-stepped,
//! so cheaper places are looked for, in this order:
//!
//! 1. after each call of `newproc1`, a cheap instruction that control must come to while a register still holds
//!    the result: `call runqput` in `newproc.func1`, a jump in `newcoro.func1`. Every caller must have one.
//! 2. the second `call casgstatus` in `newproc1`, which Go 1.24 and later make when the `goid` is set.
//! 3. the `ret` after all.

use leaktrace_common::cookie::GRegister;
use leaktrace_common::event::Kind;

use crate::disasm::{self, Instruction, Operation, Tracker};
use crate::elf::Arch;
use crate::go::pclntab::Function;
use crate::num::Svma;
use crate::plan::entry::jump_targets;
use crate::plan::{Cost, Found, Missed, MissedReason, PlanStyle, Planner, Site};

const NEWPROC1: &str = "runtime.newproc1";
/// `_Gdead` in `src/runtime/runtime2.go`: what a `g` is before it is made runnable.
const DEAD: u64 = 6;
/// Functions that run only when a debugger injects a call (`src/runtime/debugcall.go`).
const DEBUGGER: &str = "runtime.debugCall";
/// The registers in which a cookie can say that the `g` is, in the order of preference.
const REGISTERS: [GRegister; 3] = [GRegister::Arg0, GRegister::Arg1, GRegister::Arg2];

/// The callers of `newproc1`.
#[derive(Default)]
struct Callers {
    sites: Vec<Site>,
    /// Those without a place.
    without: Vec<String>,
}

impl<'d> Planner<'_, 'd> {
    /// Where goroutines are born.
    pub(super) fn birth(&self) -> Found {
        let Some(newproc1) = self.code.function(NEWPROC1) else {
            return Found::missing(Kind::Birth, NEWPROC1, MissedReason::NoFunction);
        };
        let mut found = match (self.options.style, self.code.arch()) {
            (PlanStyle::Cheap, Arch::Amd64) => self.cheap_birth(&newproc1),
            (PlanStyle::Entry, _) | (PlanStyle::Cheap, Arch::Arm64) => self.returns(&newproc1),
        };
        found.probed.push(NEWPROC1);
        found
    }

    fn cheap_birth(&self, newproc1: &Function<'d>) -> Found {
        let Callers { sites, without } = self.after_calls(newproc1);
        let (debugger, unknown): (Vec<_>, Vec<_>) =
            without.into_iter().partition(|name| name.starts_with(DEBUGGER));
        if unknown.is_empty() && !sites.is_empty() {
            let missed = missed_callers(MissedReason::DebuggerOnly, debugger);
            return Found { sites, missed, probed: Vec::new() };
        }
        if let Some(site) = self.when_goid_is_set(newproc1) {
            return Found { sites: vec![site], ..Found::default() };
        }
        let returns = self.returns(newproc1);
        if !returns.sites.is_empty() || sites.is_empty() {
            return returns;
        }
        Found { sites, missed: missed_callers(MissedReason::UnknownCallers, unknown), probed: Vec::new() }
    }

    /// Every `ret` of `newproc1`: the result is in the first register by the calling convention.
    fn returns(&self, newproc1: &Function<'d>) -> Found {
        let instructions = match self.code.decode(newproc1) {
            Ok(instructions) => instructions,
            Err(error) => {
                return Found::missing(Kind::Birth, NEWPROC1, MissedReason::NoPlace(error.to_string()));
            }
        };
        let returns = instructions.iter().filter(|one| one.operation == Operation::Return);
        let reason = "the result is in its register, and the goroutine is on no queue yet";
        let sites: Vec<_> = returns
            .filter_map(|one| self.site(Kind::Birth, newproc1, one, GRegister::Arg0, reason))
            .collect();
        if sites.is_empty() {
            let why = "it does not return".to_owned();
            return Found::missing(Kind::Birth, NEWPROC1, MissedReason::NoPlace(why));
        }
        Found { sites, ..Found::default() }
    }

    /// A place after each call of `newproc1`.
    fn after_calls(&self, newproc1: &Function<'d>) -> Callers {
        let target = self.code.address(newproc1.entry());
        let (start, text) = self.code.text();
        let mut callers = Callers::default();
        for at in disasm::references_to(self.code.arch(), start, text, target) {
            // `newproc1` jumps to its own beginning when its stack has grown.
            let Some(caller) = self.code.function_at(at).filter(|caller| caller != newproc1) else {
                continue;
            };
            match self.after_call(&caller, at) {
                AfterCall::Site(site) => callers.sites.push(*site),
                AfterCall::NoCall => {}
                AfterCall::NoPlace => callers.without.push(caller.name().to_owned()),
            }
        }
        callers
    }

    fn after_call(&self, caller: &Function<'d>, at: Svma) -> AfterCall {
        let Ok(instructions) = self.code.decode(caller) else { return AfterCall::NoPlace };
        let Ok(call) = instructions.binary_search_by_key(&at, |one| one.at) else {
            // The bytes look like a call and are inside another instruction.
            return AfterCall::NoCall;
        };
        if !matches!(instructions[call].operation, Operation::Call(_)) {
            return AfterCall::NoPlace;
        }
        let place = self.cheapest_after(caller, &instructions, call);
        place.map_or(AfterCall::NoPlace, |site| AfterCall::Site(Box::new(site)))
    }

    /// The cheapest instruction that control comes to after the one at `call`, and from nowhere else, while a
    /// register holds the call's result.
    fn cheapest_after(
        &self,
        caller: &Function<'d>,
        instructions: &[Instruction],
        call: usize,
    ) -> Option<Site> {
        let mut tracker = Tracker::new(self.machine_register(GRegister::Arg0), self.stack_pointer());
        let targets = jump_targets(instructions);
        let mut best: Option<(Cost, &Instruction, GRegister)> = None;
        for instruction in instructions.get(call + 1..)? {
            if targets.contains(&instruction.at) || tracker.is_lost() {
                break;
            }
            let cost = self.cost_in(caller, instruction);
            let holds = |register: &GRegister| tracker.in_register(self.machine_register(*register));
            if let Some(register) = REGISTERS.into_iter().find(holds)
                && cost != Cost::SingleStepped
                && best.is_none_or(|(known, ..)| cost < known)
            {
                best = Some((cost, instruction, register));
            }
            if !self.comes_back(instruction) {
                break;
            }
            tracker.step(instruction);
        }
        let (_, instruction, register) = best?;
        let reason = "holds the result of newproc1, and the goroutine is on no queue yet";
        self.site(Kind::Birth, caller, instruction, register, reason)
    }

    /// Whether control always goes on to the next instruction, sooner or later.
    fn comes_back(&self, instruction: &Instruction) -> bool {
        match instruction.operation {
            Operation::Call(Some(target)) => self.code.function_at(target).is_some_and(|callee| {
                let returns =
                    |code: Vec<Instruction>| code.iter().any(|one| one.operation == Operation::Return);
                !callee.flags().is_assembly() && self.code.decode(&callee).is_ok_and(returns)
            }),
            Operation::Call(None) | Operation::Branch(_) => false,
            operation => !operation.ends_flow(),
        }
    }

    /// The call of `casgstatus` that makes the new goroutine runnable, if the `goid` is stored before it.
    fn when_goid_is_set(&self, newproc1: &Function<'d>) -> Option<Site> {
        let casgstatus = self.code.address(self.code.function("runtime.casgstatus")?.entry());
        let instructions = self.code.decode(newproc1).ok()?;
        let goid = i64::from(self.goid);
        let stored = instructions
            .iter()
            .position(|one| matches!(one.operation, Operation::Store { offset, .. } if offset == goid))?;
        let call = instructions.iter().enumerate().skip(stored).find(|(index, one)| {
            one.operation == Operation::Call(Some(casgstatus))
                && self.old_status(&instructions, *index) == Some(DEAD)
        });
        let (_, call) = call?;
        let reason = "makes the new goroutine, its first argument, runnable; the goid is set";
        self.site(Kind::Birth, newproc1, call, GRegister::Arg0, reason)
    }

    /// The constant second argument of the call at `index`, if it is set in the straight line before.
    fn old_status(&self, instructions: &[Instruction], index: usize) -> Option<u64> {
        let register = self.machine_register(GRegister::Arg1);
        let before = instructions.get(..index)?.iter().rev();
        let set = before
            .take_while(|one| !one.operation.ends_flow() && !matches!(one.operation, Operation::Call(_)))
            .find(|one| one.writes.contains(register))?;
        match set.operation {
            Operation::Constant { to, value } if to == register => Some(value),
            _ => None,
        }
    }
}

/// What is known of a place that seems to call `newproc1`.
enum AfterCall {
    Site(Box<Site>),
    /// It is no call.
    NoCall,
    NoPlace,
}

fn missed_callers(reason: fn(Vec<String>) -> MissedReason, callers: Vec<String>) -> Vec<Missed> {
    if callers.is_empty() {
        return Vec::new();
    }
    vec![Missed { kind: Kind::Birth, function: NEWPROC1.to_owned(), reason: reason(callers) }]
}
