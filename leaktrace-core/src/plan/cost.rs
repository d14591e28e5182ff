//! What a probe on an instruction costs, and how the instruction reads.
//!
//! Sources: Linux `arch/x86/kernel/uprobes.c` (`branch_setup_xol_ops`, `push_setup_xol_ops`),
//! `arch/arm64/kernel/probes/decode-insn.c` (`arm_probe_decode_insn`).

use crate::disasm::{Instruction, Operation, Register};
use crate::elf::Arch;
use crate::num::Svma;
use crate::plan::{Cost, Planner};

/// The length of the `nop` that newer kernels replace with a call.
const OPTIMISED_NOP: u8 = 5;

const AMD64_REGISTERS: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
    "r15",
];
const AMD64_CONDITIONS: [&str; 16] =
    ["jo", "jno", "jb", "jae", "je", "jne", "jbe", "ja", "js", "jns", "jp", "jnp", "jl", "jge", "jle", "jg"];
const ARM64_CONDITIONS: [&str; 16] =
    ["eq", "ne", "hs", "lo", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le", "al", "nv"];

impl Planner<'_, '_> {
    /// What a probe on `instruction`, whose bytes are `bytes`, costs.
    pub(super) fn cost(&self, instruction: &Instruction, bytes: &[u8]) -> Cost {
        let emulated = match self.code.arch() {
            Arch::Amd64 => is_emulated_amd64(instruction.operation, bytes),
            Arch::Arm64 => is_simulated_arm64(instruction.operation),
        };
        match instruction.operation {
            _ if emulated => Cost::Emulated,
            Operation::Nop if !self.options.long_nops => Cost::SingleStepped,
            Operation::Nop if instruction.len == OPTIMISED_NOP => Cost::Nop5,
            Operation::Nop => Cost::Emulated,
            _ => Cost::SingleStepped,
        }
    }

    /// `instruction` as in a disassembly, with functions' names.
    pub(super) fn text(&self, instruction: &Instruction, bytes: &[u8]) -> String {
        match (instruction.operation, self.code.arch()) {
            (Operation::Call(Some(target)), Arch::Amd64) => format!("call {}", self.place(target)),
            (Operation::Call(Some(target)), Arch::Arm64) => format!("bl {}", self.place(target)),
            (Operation::Jump(Some(target)), Arch::Amd64) => format!("jmp {}", self.place(target)),
            (Operation::Jump(Some(target)), Arch::Arm64) => format!("b {}", self.place(target)),
            (Operation::Branch(target), arch) => format!("{} {}", condition(arch, bytes), self.place(target)),
            (Operation::Push(register), _) => format!("push {}", amd64_name(register)),
            (Operation::Nop, _) => "nop".to_owned(),
            (Operation::Return, _) => "ret".to_owned(),
            _ => format!("{bytes:02x?}"),
        }
    }

    fn place(&self, at: Svma) -> String {
        let Some(function) = self.code.function_at(at) else { return at.to_string() };
        match at.offset_from(self.code.address(function.entry())) {
            None | Some(0) => function.name().to_owned(),
            Some(offset) => format!("{}+{offset:#x}", function.name()),
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
