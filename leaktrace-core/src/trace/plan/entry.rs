//! Places at the beginning of functions whose first argument is the goroutine: `gdestroy`, `goexit0`, `park_m`
//! and `ready`.
//!
//! The cheapest is the jump of the stack check. It is reached again after the stack has grown; but all of these
//! functions run on a thread's own stack (`g0`), which does not grow. Where a function has no stack check, it is
//! the `push rbp` of its prologue: a tenth dearer, because the kernel has to write to the target's stack for it.

use leaktrace_common::cookie::GRegister;
use leaktrace_common::event::Kind;

use crate::base::hash::KeyedMap;
use crate::binary::disasm::Instruction;
use crate::trace::plan::body::{Body, Callees};
use crate::trace::plan::machine::Machine;
use crate::trace::plan::{Cost, Found, MissedReason, Planner};

/// What tears a goroutine down since Go 1.22, also one that is a coroutine.
const GDESTROY: &str = "runtime.gdestroy";
/// What did up to Go 1.21, and still calls `gdestroy` for all but coroutines.
const GOEXIT0: &str = "runtime.goexit0";

impl Planner<'_, '_> {
    /// Where goroutines end.
    pub(super) fn end(&self, inlined: &KeyedMap<&'static str, Vec<String>>) -> Found {
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
        let body = match self.body(&function) {
            Ok(body) => body,
            Err(error) => return Found::missing(kind, name, MissedReason::NoPlace(error.to_string())),
        };
        let cheap =
            self.style.is_cheap().then(|| cheap_at_entry(&body, self.machine(), &self.code)).flatten();
        let (instruction, reason) = match (cheap, body.instructions.first()) {
            (Some(cheap), _) => {
                (cheap, "the first cheap instruction at which the argument is still in its register")
            }
            (None, Some(first)) => (first, "the first instruction"),
            (None, None) => {
                return Found::missing(kind, name, MissedReason::NoPlace("it is empty".to_owned()));
            }
        };
        let site = self.site(kind, &function, &body, instruction, GRegister::Arg0, reason);
        Found { sites: site.into_iter().collect(), missed: Vec::new(), probed: vec![name] }
    }
}

/// The first cheap instruction, if the first argument is still in its register there.
fn cheap_at_entry<'b>(
    body: &'b Body<'_>,
    machine: Machine,
    callees: &dyn Callees,
) -> Option<&'b Instruction> {
    let argument = machine.register(GRegister::Arg0);
    let mut tracker = machine.track(GRegister::Arg0);
    let targets = body.jump_targets();
    for (index, instruction) in body.instructions.iter().enumerate() {
        // Control may come to the entry again, and to what follows it from there only.
        if index > 0 && targets.contains(&instruction.at) || !tracker.in_register(argument) {
            break;
        }
        if machine.cost(instruction, body.bytes_of(instruction)) != Cost::SingleStepped {
            return Some(instruction);
        }
        if !body.goes_on(instruction, callees) {
            break;
        }
        tracker.step(instruction);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::num::Svma;
    use crate::binary::disasm;
    use crate::binary::elf::Arch;

    const ENTRY: u64 = 0x45_7380;
    const MORESTACK: u64 = 0x45_8380;

    /// Only `morestack` is known.
    struct Morestack;

    impl Callees for Morestack {
        fn grows_stack(&self, at: Svma) -> bool {
            at == Svma(MORESTACK)
        }

        fn comes_back(&self, _at: Svma) -> bool {
            true
        }
    }

    fn cheapest(arch: Arch, bytes: &[u8]) -> Option<u64> {
        let instructions = disasm::function(arch, Svma(ENTRY), bytes).unwrap();
        let body = Body { entry: Svma(ENTRY), bytes, instructions };
        let machine = Machine { arch };
        cheap_at_entry(&body, machine, &Morestack).map(|one| one.at.0 - ENTRY)
    }

    /// `prologue`, `ret`, and the block that the stack check at offset 4 jumps to.
    fn with_morestack(prologue: &[u8]) -> Vec<u8> {
        let mut code = vec![0x49, 0x3b, 0x66, 0x10, 0x76, 0];
        code.extend(prologue);
        code.push(0xc3);
        code[5] = u8::try_from(code.len() - 6).unwrap();
        let call = i32::try_from(MORESTACK - ENTRY).unwrap() - i32::try_from(code.len() + 5).unwrap();
        code.push(0xe8);
        code.extend(call.to_le_bytes());
        let back = i8::try_from(code.len() + 2).unwrap();
        code.extend([0xeb, (-back).cast_unsigned()]);
        code
    }

    #[test]
    fn the_stack_check_is_taken_before_the_push() {
        // go1.21 and later: push rbp; mov rbp, rsp; sub rsp, 0x30; mov [rsp+0x40], rax
        let code =
            with_morestack(&[0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x30, 0x48, 0x89, 0x44, 0x24, 0x40]);
        assert_eq!(cheapest(Arch::Amd64, &code), Some(4));
    }

    #[test]
    fn without_a_push_the_stack_check_is_taken() {
        // go1.20 and earlier: sub rsp, 0x30; mov [rsp+0x28], rbp; lea rbp, [rsp+0x28]
        let code = with_morestack(&[
            0x48, 0x83, 0xec, 0x30, 0x48, 0x89, 0x6c, 0x24, 0x28, 0x48, 0x8d, 0x6c, 0x24, 0x28,
        ]);
        assert_eq!(cheapest(Arch::Amd64, &code), Some(4));
    }

    #[test]
    fn nothing_is_taken_once_the_argument_is_gone_or_control_may_come_from_elsewhere() {
        // xor eax, eax; push rbp; ret
        assert_eq!(cheapest(Arch::Amd64, &[0x31, 0xc0, 0x55, 0xc3]), None);
        // cmp eax, ebx; push rbp; jmp back to the push
        assert_eq!(cheapest(Arch::Amd64, &[0x39, 0xd8, 0x55, 0xeb, 0xfd]), None);
        // a jump that is no stack check may go around the push behind it
        assert_eq!(cheapest(Arch::Amd64, &[0x74, 0x01, 0x55, 0xc3]), Some(0));
    }

    #[test]
    fn arm64_has_the_stack_check() {
        // go1.27.3 park_m: ldr x16, [x28, #16]; cmp sp, x16; b.ls +8; ret; bl morestack; b entry
        let words = [0xf940_0b90_u32, 0xeb30_63ff, 0x5400_0049, 0xd65f_03c0, 0x9400_03fc, 0x17ff_fffb];
        let code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(cheapest(Arch::Arm64, &code), Some(8));
    }
}
