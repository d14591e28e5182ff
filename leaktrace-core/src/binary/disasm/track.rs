//! Follows one value through straight-line code.

use crate::binary::disasm::instruction::{Instruction, Operand, Operation, Register, RegisterSet};

/// Where a value is held, instruction by instruction.
///
/// Only whole copies are followed, and everything that is not understood loses the value, so a register that is
/// said to hold it does. Stack slots survive calls: Go's compiler keeps the slots of a
/// function's own variables apart from those that its callees may write.
#[derive(Clone, Debug)]
pub struct Tracker {
    registers: RegisterSet,
    slots: Vec<i64>,
    stack_pointer: Register,
}

/// The most slots that one value is followed into.
const MAX_SLOTS: usize = 16;

impl Tracker {
    /// The value is in `register` and nowhere else.
    pub fn new(register: Register, stack_pointer: Register) -> Self {
        Self { registers: RegisterSet::of(register), slots: Vec::new(), stack_pointer }
    }

    /// Whether `register` holds the value now.
    pub(crate) fn in_register(&self, register: Register) -> bool {
        self.registers.contains(register)
    }

    /// Whether nothing holds the value any more.
    pub(crate) fn is_lost(&self) -> bool {
        self.registers == RegisterSet::EMPTY && self.slots.is_empty()
    }

    /// Goes past `instruction`.
    pub fn step(&mut self, instruction: &Instruction) {
        let copied_to = self.copied(instruction.operation);
        self.registers = self.registers.without(instruction.writes);
        if instruction.writes.contains(self.stack_pointer) && !is_call(instruction) {
            self.slots.clear();
        }
        self.overwrite_slot(instruction.operation);
        match copied_to {
            Some(Operand::Register(register)) => self.registers = self.registers.with(register),
            Some(Operand::Stack(slot)) if self.slots.len() < MAX_SLOTS => self.slots.push(slot),
            Some(Operand::Stack(_)) | None => {}
        }
    }

    fn copied(&self, operation: Operation) -> Option<Operand> {
        let Operation::Move { to, from } = operation else { return None };
        let holds = match from {
            Operand::Register(register) => self.registers.contains(register),
            Operand::Stack(slot) => self.slots.contains(&slot),
        };
        holds.then_some(to)
    }

    fn overwrite_slot(&mut self, operation: Operation) {
        if let Operation::Move { to: Operand::Stack(slot), .. } | Operation::StoreStack(slot) = operation {
            // A store of up to 64 bytes (a vector register) may reach further slots.
            self.slots.retain(|&held| held + 8 <= slot || held >= slot + 64);
        }
    }
}

fn is_call(instruction: &Instruction) -> bool {
    matches!(instruction.operation, Operation::Call(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::num::Svma;
    use crate::binary::disasm;
    use crate::binary::elf::Arch;

    const RAX: Register = Register(0);
    const RBX: Register = Register(3);

    fn after(code: &[u8]) -> Tracker {
        let mut tracker = Tracker::new(RAX, Register(4));
        for instruction in disasm::function(Arch::Amd64, Svma(0x1000), code).unwrap() {
            tracker.step(&instruction);
        }
        tracker
    }

    #[test]
    fn the_result_of_newproc1_reaches_the_second_argument_of_runqput() {
        // go1.27.3 runtime.newproc.func1, after `call newproc1`
        let tracker = after(&[
            0x49, 0x8b, 0x56, 0x30, 0x48, 0x8b, 0x92, 0xd0, 0, 0, 0, 0x48, 0x89, 0xc3, 0xb9, 1, 0, 0, 0,
            0x48, 0x89, 0xd0,
        ]);
        assert!(tracker.in_register(RBX));
        assert!(!tracker.in_register(RAX));
    }

    #[test]
    fn a_spilled_value_survives_a_call_and_a_register_does_not() {
        // go1.22.10 -N -l: mov [rsp+0x18], rax; call; mov rbx, [rsp+0x18]
        let tracker = after(&[0x48, 0x89, 0x44, 0x24, 0x18, 0xe8, 0, 1, 0, 0, 0x48, 0x8b, 0x5c, 0x24, 0x18]);
        assert!(tracker.in_register(RBX));
        assert!(!tracker.in_register(RAX));
    }

    #[test]
    fn an_overwritten_slot_or_a_moved_stack_loses_the_value() {
        // mov [rsp+0x18], rax; mov qword [rsp+0x18], 0; xor eax, eax
        let overwritten =
            after(&[0x48, 0x89, 0x44, 0x24, 0x18, 0x48, 0xc7, 0x44, 0x24, 0x18, 0, 0, 0, 0, 0x31, 0xc0]);
        assert!(overwritten.is_lost());
        // mov [rsp+0x18], rax; push rbp; xor eax, eax
        assert!(after(&[0x48, 0x89, 0x44, 0x24, 0x18, 0x55, 0x31, 0xc0]).is_lost());
    }
}
