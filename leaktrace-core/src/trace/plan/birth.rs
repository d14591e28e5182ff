//! Where goroutines are born: when `newproc1` (`src/runtime/proc.go`) has filled in the new `g`.
//!
//! On arm64 the `ret` of `newproc1` is simulated by the kernel, so it is the place. On amd64 it is single-stepped,
//! so cheaper places are looked for, in this order:
//!
//! 1. after each call of `newproc1`, a cheap instruction that control must come to while a register still holds
//!    the result: `call runqput` in `newproc.func1`, a jump in `newcoro.func1`. Every caller must have one.
//! 2. the second `call casgstatus` in `newproc1`, which Go 1.24 and later make when the `goid` is set.
//! 3. the `ret` after all.
//!
//! Profile-guided optimisation may inline `newproc1` into `newproc.func1`; the `call runqput` there is a place all the
//! same.

use leaktrace_common::cookie::GRegister;
use leaktrace_common::event::Kind;

use crate::base::hash::KeyedMap;
use crate::base::num::Svma;
use crate::binary::disasm::{self, Instruction, Operation};
use crate::binary::elf::Arch;
use crate::go::pclntab::Function;
use crate::trace::plan::body::{Body, Callees};
use crate::trace::plan::machine::Machine;
use crate::trace::plan::{Cost, Found, Missed, MissedReason, Planner, Site};

const NEWPROC1: &str = "runtime.newproc1";
/// What every `go` statement runs on the thread's own stack (`newproc` in `src/runtime/proc.go`): it has `newproc1` make
/// the goroutine, and puts that on a queue.
const STARTER: &str = "runtime.newproc.func1";
/// `_Gdead` in `src/runtime/runtime2.go`: what a `g` is before it is made runnable.
const DEAD: u64 = 6;
/// Functions that run only when a debugger injects a call (`src/runtime/debugcall.go`).
const DEBUGGER: &str = "runtime.debugCall";
/// The most callers of `newproc1` that are looked at: the runtime has three.
const MAX_CALLERS: usize = 64;
/// How far from a call of `newproc1` a place may be, in instructions.
const MAX_DISTANCE: usize = 64;
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
    pub(super) fn birth(&self, inlined: &KeyedMap<&'static str, Vec<String>>) -> Found {
        let Some(newproc1) = self.code.function(NEWPROC1) else {
            return Found::missing(Kind::Birth, NEWPROC1, MissedReason::NoFunction);
        };
        let is_cheap = self.style.is_cheap();
        let mut found = match self.code.arch() {
            Arch::Amd64 if is_cheap => self.cheap_birth(&newproc1),
            Arch::Amd64 | Arch::Arm64 => self.returns(&newproc1),
        };
        let is_inlined = |into: &Vec<String>| into.iter().any(|name| name == STARTER);
        if is_cheap && inlined.get(NEWPROC1).is_some_and(is_inlined) {
            found.sites.extend(self.put_on_queue());
        }
        found.probed.push(NEWPROC1);
        found
    }

    /// The call of `runqput` in [`STARTER`], if there is one: by the calling convention its second argument, the new
    /// goroutine, is in the second register.
    fn put_on_queue(&self) -> Option<Site> {
        let starter = self.code.function(STARTER)?;
        let runqput = self.code.address(self.code.function("runtime.runqput")?.entry());
        let body = self.body(&starter).ok()?;
        let mut calls =
            body.instructions.iter().filter(|one| one.operation == Operation::Call(Some(runqput)));
        let call = calls.next().filter(|_| calls.next().is_none())?;
        let reason = "the call that puts the new goroutine, its second argument, on a queue; newproc1 is inlined before it";
        self.site(Kind::Birth, &starter, &body, call, GRegister::Arg1, reason)
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
        let body = match self.body(newproc1) {
            Ok(body) => body,
            Err(error) => {
                return Found::missing(Kind::Birth, NEWPROC1, MissedReason::NoPlace(error.to_string()));
            }
        };
        let returns = body.instructions.iter().filter(|one| one.operation == Operation::Return);
        let reason = "the result is in its register, and the goroutine is not yet on a queue";
        let sites: Vec<_> = returns
            .filter_map(|one| self.site(Kind::Birth, newproc1, &body, one, GRegister::Arg0, reason))
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
        let references = disasm::references_to(self.code.arch(), start, text, target);
        for (index, at) in references.into_iter().enumerate() {
            // `newproc1` jumps to its own beginning when its stack has grown.
            let Some(caller) = self.code.function_at(at).filter(|caller| caller != newproc1) else {
                continue;
            };
            let found = if index < MAX_CALLERS { self.after_call(&caller, at) } else { AfterCall::NoPlace };
            match found {
                AfterCall::Site(site) => callers.sites.push(*site),
                AfterCall::NoCall => {}
                AfterCall::NoPlace => callers.without.push(caller.name().to_owned()),
            }
        }
        callers
    }

    fn after_call(&self, caller: &Function<'d>, at: Svma) -> AfterCall {
        let Ok(body) = self.body(caller) else { return AfterCall::NoPlace };
        let Some(call) = body.index_of(at) else {
            // The bytes look like a call and are inside another instruction.
            return AfterCall::NoCall;
        };
        if !matches!(body.instructions[call].operation, Operation::Call(_)) {
            return AfterCall::NoPlace;
        }
        let Some((instruction, register)) = cheapest_after(&body, call, self.machine(), &self.code) else {
            return AfterCall::NoPlace;
        };
        let reason = "a register holds the result of newproc1, and the goroutine is not yet on a queue";
        let site = self.site(Kind::Birth, caller, &body, instruction, register, reason);
        site.map_or(AfterCall::NoPlace, |site| AfterCall::Site(Box::new(site)))
    }

    /// The call of `casgstatus` that makes the new goroutine runnable, if the `goid` is stored before it.
    fn when_goid_is_set(&self, newproc1: &Function<'d>) -> Option<Site> {
        let casgstatus = self.code.address(self.code.function("runtime.casgstatus")?.entry());
        let body = self.body(newproc1).ok()?;
        let call = made_runnable(&body, self.machine(), casgstatus, self.goid.into())?;
        let reason = "makes the new goroutine, its first argument, runnable; the goid is set";
        self.site(Kind::Birth, newproc1, &body, call, GRegister::Arg0, reason)
    }
}

/// The cheapest instruction that control comes to after the call at index `call`, and from nowhere else, while a
/// register holds the call's result; and that register.
fn cheapest_after<'b>(
    body: &'b Body<'_>,
    call: usize,
    machine: Machine,
    callees: &dyn Callees,
) -> Option<(&'b Instruction, GRegister)> {
    let mut tracker = machine.track(GRegister::Arg0);
    let targets = body.jump_targets();
    let mut best: Option<(Cost, &Instruction, GRegister)> = None;
    for instruction in body.instructions.get(call + 1..)?.iter().take(MAX_DISTANCE) {
        if targets.contains(&instruction.at) || tracker.is_lost() {
            break;
        }
        let cost = machine.cost(instruction, body.bytes_of(instruction));
        let holds = |register: &GRegister| tracker.in_register(machine.register(*register));
        if let Some(register) = REGISTERS.into_iter().find(holds)
            && cost != Cost::SingleStepped
            && best.is_none_or(|(known, ..)| cost < known)
        {
            best = Some((cost, instruction, register));
        }
        if !body.goes_on(instruction, callees) {
            break;
        }
        tracker.step(instruction);
    }
    best.map(|(_, instruction, register)| (instruction, register))
}

/// The call of `casgstatus` whose goroutine is dead so far, behind where the `goid` is stored.
fn made_runnable<'b>(
    body: &'b Body<'_>,
    machine: Machine,
    casgstatus: Svma,
    goid: i64,
) -> Option<&'b Instruction> {
    let stores_goid =
        |one: &Instruction| matches!(one.operation, Operation::Store { offset, .. } if offset == goid);
    let stored = body.instructions.iter().position(stores_goid)?;
    let calls = body.instructions.iter().enumerate().skip(stored);
    let mut runnable = calls.filter(|(index, one)| {
        one.operation == Operation::Call(Some(casgstatus)) && old_status(body, *index, machine) == Some(DEAD)
    });
    runnable.next().map(|(_, call)| call)
}

/// The constant second argument of the call at index `call`, if it is set in the straight line before.
fn old_status(body: &Body<'_>, call: usize, machine: Machine) -> Option<u64> {
    let register = machine.register(GRegister::Arg1);
    let before = body.instructions.get(..call)?.iter().rev();
    let set = before
        .take_while(|one| !one.operation.ends_flow() && !matches!(one.operation, Operation::Call(_)))
        .find(|one| one.writes.contains(register))?;
    match set.operation {
        Operation::Constant { to, value } if to == register => Some(value),
        _ => None,
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

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: u64 = 0x47_4820;
    const NEWPROC1_AT: u64 = 0x45_0b80;
    const CASGSTATUS: u64 = 0x45_1160;

    /// Everything but `NORETURN` comes back.
    struct Others;

    const NORETURN: u64 = 0x40_0000;

    impl Callees for Others {
        fn grows_stack(&self, _at: Svma) -> bool {
            false
        }

        fn comes_back(&self, at: Svma) -> bool {
            at != Svma(NORETURN)
        }
    }

    fn body(bytes: &[u8]) -> Body<'_> {
        let instructions = disasm::function(Arch::Amd64, Svma(ENTRY), bytes).unwrap();
        Body { entry: Svma(ENTRY), bytes, instructions }
    }

    /// `call target` as the instruction at `offset`.
    fn call(offset: usize, target: u64) -> Vec<u8> {
        let from = i64::try_from(ENTRY).unwrap() + i64::try_from(offset).unwrap() + 5;
        let displacement = i32::try_from(i64::try_from(target).unwrap() - from).unwrap();
        [&[0xe8][..], &displacement.to_le_bytes()].concat()
    }

    fn after(code: &[u8]) -> Option<(u64, GRegister)> {
        let bytes = [&call(0, NEWPROC1_AT)[..], code].concat();
        let machine = Machine { arch: Arch::Amd64 };
        let body = body(&bytes);
        cheapest_after(&body, 0, machine, &Others).map(|(one, register)| (one.at.0 - ENTRY, register))
    }

    /// go1.27.3 `newproc.func1` between the two calls: mov rdx, [r14+0x30]; mov rdx, [rdx+0xd0]; mov rbx, rax;
    /// mov ecx, 1; mov rax, rdx; nop of five bytes
    const TO_RUNQPUT: [u8; 27] = [
        0x49, 0x8b, 0x56, 0x30, 0x48, 0x8b, 0x92, 0xd0, 0, 0, 0, 0x48, 0x89, 0xc3, 0xb9, 1, 0, 0, 0, 0x48,
        0x89, 0xd0, 0x0f, 0x1f, 0x44, 0, 0,
    ];

    #[test]
    fn the_call_of_runqput_has_the_new_goroutine_second() {
        let code = [&TO_RUNQPUT[..], &call(5 + TO_RUNQPUT.len(), 0x45_5800), &[0xc3]].concat();
        assert_eq!(after(&code), Some((0x20, GRegister::Arg1)));
    }

    #[test]
    fn a_coroutine_is_seen_at_the_jump_behind_the_call() {
        // go1.27.3 `newcoro.func1`: cmp dword [rip+...], 0; jne +7; mov rcx, [rsp+0x30]; jmp +2; ud2; ret
        let code =
            [0x83, 0x3d, 0, 0, 1, 0, 0, 0x75, 7, 0x48, 0x8b, 0x4c, 0x24, 0x30, 0xeb, 2, 0x0f, 0x0b, 0xc3];
        assert_eq!(after(&code), Some((5 + 7, GRegister::Arg0)));
    }

    #[test]
    fn there_is_no_place_where_the_goroutine_is_in_no_known_register_or_may_not_come() {
        // mov [rsp+0x28], rax; xor eax, eax; call of something that does not return; nop
        let spilled = [0x48, 0x89, 0x44, 0x24, 0x28, 0x31, 0xc0];
        let lost = [&spilled[..], &call(5 + spilled.len(), NORETURN), &[0x90]].concat();
        assert_eq!(after(&lost), None);
        // The nop is also jumped to: mov ebx, ebx; nop; jmp back to the nop
        assert_eq!(after(&[0x89, 0xdb, 0x90, 0xeb, 0xfd]), None);
    }

    #[test]
    fn a_spilled_goroutine_is_found_again_after_a_call_that_returns() {
        // go1.22.10 -N -l: mov [rsp+0x18], rax; xor eax, eax; call puintptr.ptr; mov rbx, [rsp+0x18]; call runqput
        let spilled = [0x48, 0x89, 0x44, 0x24, 0x18, 0x31, 0xc0];
        let reload = [0x48, 0x8b, 0x5c, 0x24, 0x18];
        let first = call(5 + spilled.len(), 0x44_d0e0);
        let second = call(5 + spilled.len() + 5 + reload.len(), 0x44_9ae0);
        let code = [&spilled[..], &first, &reload, &second].concat();
        assert_eq!(after(&code), Some((5 + 7 + 5 + 5, GRegister::Arg1)));
    }

    #[test]
    fn the_second_casgstatus_counts_only_behind_the_goid() {
        let machine = Machine { arch: Arch::Amd64 };
        // mov [rax+0x98], rcx; mov ebx, 6; call casgstatus
        let store = [0x48, 0x89, 0x88, 0x98, 0, 0, 0];
        let dead = [0xbb, 6, 0, 0, 0];
        let at = |offset| call(offset, CASGSTATUS);
        let found = |code: &[u8]| {
            let body = body(code);
            made_runnable(&body, machine, Svma(CASGSTATUS), 0x98).map(|one| one.at.0 - ENTRY)
        };
        assert_eq!(found(&[&store[..], &dead, &at(12)].concat()), Some(12));
        // go1.23 and earlier
        assert_eq!(found(&[&dead[..], &at(5), &store].concat()), None);
        // from idle to dead, when the struct was just made
        assert_eq!(found(&[&store[..], &[0x31, 0xdb], &at(9)].concat()), None);
    }
}
