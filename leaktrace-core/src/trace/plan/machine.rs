//! What a probe on an instruction costs, how the instruction reads, and which register is which.
//!
//! Sources: Linux `arch/x86/kernel/uprobes.c` (`branch_setup_xol_ops`, `push_setup_xol_ops`),
//! `arch/arm64/kernel/probes/decode-insn.c` (`arm_probe_decode_insn`); Go `src/cmd/compile/abi-internal.md`.

use leaktrace_common::cookie::GRegister;

use crate::binary::disasm::{Instruction, Operation, Register, Tracker};
use crate::binary::elf::Arch;
use crate::trace::plan::Cost;

const AMD64_REGISTERS: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
    "r15",
];
const AMD64_CONDITIONS: [&str; 16] =
    ["jo", "jno", "jb", "jae", "je", "jne", "jbe", "ja", "js", "jns", "jp", "jnp", "jl", "jge", "jle", "jg"];
const ARM64_CONDITIONS: [&str; 16] =
    ["eq", "ne", "hs", "lo", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le", "al", "nv"];

/// An architecture, and what the kernel does there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine {
    pub(super) arch: Arch,
}

impl Machine {
    /// What a probe on `instruction`, whose bytes are `bytes`, costs.
    pub(super) fn cost(self, instruction: &Instruction, bytes: &[u8]) -> Cost {
        let emulated = match self.arch {
            Arch::Amd64 => is_emulated_amd64(instruction.operation, bytes),
            Arch::Arm64 => is_simulated_arm64(instruction.operation),
        };
        if emulated { Cost::Emulated } else { Cost::SingleStepped }
    }

    /// The machine's number of a register that a cookie can name.
    pub(super) const fn register(self, register: GRegister) -> Register {
        // amd64: RAX, RBX, RCX, R14; arm64: R0, R1, R2, R28.
        let (amd64, arm64) = match register {
            GRegister::Arg0 => (0, 0),
            GRegister::Arg1 => (3, 1),
            GRegister::Arg2 => (1, 2),
            GRegister::Current => (14, 28),
        };
        match self.arch {
            Arch::Amd64 => Register(amd64),
            Arch::Arm64 => Register(arm64),
        }
    }

    /// Follows a value that is in `register`.
    pub(super) fn track(self, register: GRegister) -> Tracker {
        let stack_pointer = match self.arch {
            Arch::Amd64 => Register(4),
            Arch::Arm64 => Register(31),
        };
        Tracker::new(self.register(register), stack_pointer)
    }

    /// `instruction` as in a disassembly; `place` is its target in words.
    pub(super) fn text(self, instruction: &Instruction, bytes: &[u8], place: &str) -> String {
        match (instruction.operation, self.arch) {
            (Operation::Call(Some(_)), Arch::Amd64) => format!("call {place}"),
            (Operation::Call(Some(_)), Arch::Arm64) => format!("bl {place}"),
            (Operation::Jump(Some(_)), Arch::Amd64) => format!("jmp {place}"),
            (Operation::Jump(Some(_)), Arch::Arm64) => format!("b {place}"),
            (Operation::Branch(_), arch) => format!("{} {place}", condition(arch, bytes)),
            (Operation::Push(register), _) => format!("push {}", amd64_name(register)),
            (Operation::Nop, _) => "nop".to_owned(),
            (Operation::Return, _) => "ret".to_owned(),
            _ => format!("{bytes:02x?}"),
        }
    }
}

fn is_emulated_amd64(operation: Operation, bytes: &[u8]) -> bool {
    match operation {
        // Calls and jumps with an operand-size prefix are refused.
        Operation::Call(Some(_)) => bytes.first() == Some(&0xe8),
        Operation::Jump(Some(_)) => matches!(bytes.first(), Some(0xe9 | 0xeb)),
        Operation::Branch(_) => matches!(bytes, [0x70..=0x7f, ..] | [0x0f, 0x80..=0x8f, ..]),
        Operation::Push(_) => matches!(bytes, [0x50..=0x57] | [0x41, 0x50..=0x57]),
        // 0x90 with any prefixes; longer ones only in newer kernels.
        Operation::Nop => bytes.last() == Some(&0x90) && !bytes.contains(&0x0f),
        Operation::Call(None)
        | Operation::Jump(None)
        | Operation::Return
        | Operation::Trap
        | Operation::Move { .. }
        | Operation::Constant { .. }
        | Operation::Compare(_)
        | Operation::Store { .. }
        | Operation::StoreStack(_)
        | Operation::Other => false,
    }
}

/// All control flow is simulated; a `nop` only in newer kernels.
const fn is_simulated_arm64(operation: Operation) -> bool {
    matches!(operation, Operation::Call(_) | Operation::Jump(_) | Operation::Branch(_) | Operation::Return)
}

fn amd64_name(register: Register) -> &'static str {
    AMD64_REGISTERS.get(usize::from(register.0)).copied().unwrap_or("?")
}

fn condition(arch: Arch, bytes: &[u8]) -> String {
    match (arch, bytes) {
        (Arch::Amd64, [short @ 0x70..=0x7f, ..]) => AMD64_CONDITIONS[usize::from(short & 15)].to_owned(),
        (Arch::Amd64, [0x0f, near, ..]) => AMD64_CONDITIONS[usize::from(near & 15)].to_owned(),
        (Arch::Arm64, [low, _, _, 0x54]) => format!("b.{}", ARM64_CONDITIONS[usize::from(low & 15)]),
        (Arch::Arm64, [.., high]) if high & 0x7e == 0x34 => zero_test("cb", *high),
        (Arch::Arm64, [.., high]) if high & 0x7e == 0x36 => zero_test("tb", *high),
        (Arch::Amd64 | Arch::Arm64, _) => "jump".to_owned(),
    }
}

fn zero_test(what: &str, high: u8) -> String {
    format!("{what}{}", if high & 1 == 0 { "z" } else { "nz" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::num::Svma;
    use crate::binary::disasm;

    fn one(arch: Arch, bytes: &[u8]) -> (Cost, String) {
        let machine = Machine { arch };
        let instruction = disasm::function(arch, Svma(0x1000), bytes).unwrap()[0];
        (machine.cost(&instruction, bytes), machine.text(&instruction, bytes, "there"))
    }

    #[test]
    fn the_kernel_emulates_what_moves_control_and_pushes() {
        let cheap: [(&[u8], &str); 6] = [
            (&[0x55], "push rbp"),
            (&[0x41, 0x57], "push r15"),
            (&[0xe8, 0, 1, 0, 0], "call there"),
            (&[0x76, 0x40], "jbe there"),
            (&[0x0f, 0x85, 0, 1, 0, 0], "jne there"),
            (&[0x66, 0x90], "nop"),
        ];
        for (bytes, text) in cheap {
            assert_eq!(one(Arch::Amd64, bytes), (Cost::Emulated, text.to_owned()));
        }
        for dear in [&[0xc3][..], &[0x49, 0x3b, 0x66, 0x10], &[0xff, 0xd0], &[0x48, 0x89, 0xc3]] {
            assert_eq!(one(Arch::Amd64, dear).0, Cost::SingleStepped);
        }
    }

    #[test]
    fn a_long_nop_is_no_cheap_place() {
        for long in [&[0x0f, 0x1f, 0x44, 0, 0][..], &[0x0f, 0x1f, 0x40, 0]] {
            assert_eq!(one(Arch::Amd64, long).0, Cost::SingleStepped);
        }
    }

    #[test]
    fn arm64_simulates_returns_and_the_stack_check() {
        let word = |word: u32| word.to_le_bytes();
        let cheap = |text: &str| (Cost::Emulated, text.to_owned());
        assert_eq!(one(Arch::Arm64, &word(0xd65f_03c0)), cheap("ret"));
        assert_eq!(one(Arch::Arm64, &word(0x5400_0109)), cheap("b.ls there"));
        assert_eq!(one(Arch::Arm64, &word(0xb500_0040)), cheap("cbnz there"));
        assert_eq!(one(Arch::Arm64, &word(0x9400_0400)), cheap("bl there"));
        // str x30, [sp, #-0x20]!
        assert_eq!(one(Arch::Arm64, &word(0xf81e_0ffe)).0, Cost::SingleStepped);
    }
}
