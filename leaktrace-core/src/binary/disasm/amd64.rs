//! amd64, through iced-x86.

use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction as Iced, InstructionInfo, InstructionInfoFactory,
    Mnemonic, OpAccess, OpKind, Register as IcedRegister,
};

use crate::base::num::Svma;
use crate::binary::disasm::DisasmError;
use crate::binary::disasm::instruction::{
    Access, DataRef, Instruction, Operand, Operation, Register, RegisterSet,
};

/// The opcode of `call rel32` and, but for one bit, of `jmp rel32`, and the length of both.
const NEAR: u8 = 0xe8;
const NEAR_MASK: u8 = 0xfe;
const NEAR_LEN: usize = 5;
/// How much code is looked at together for references.
const BLOCK: usize = 256;

pub(super) fn decode(entry: Svma, code: &[u8]) -> Result<Vec<Instruction>, DisasmError> {
    let mut decoder = Decoder::with_ip(64, code, entry.0, DecoderOptions::NONE);
    let mut factory = InstructionInfoFactory::new();
    let mut decoded = Vec::with_capacity(code.len() / 4);
    let mut iced = Iced::default();
    while decoder.can_decode() {
        decoder.decode_out(&mut iced);
        if iced.is_invalid() {
            return Err(DisasmError::Invalid { at: Svma(iced.ip()) });
        }
        decoded.push(reduce(&iced, factory.info(&iced)));
    }
    Ok(decoded)
}

pub(super) fn references_to(start: Svma, code: &[u8], target: Svma) -> Vec<Svma> {
    let blocks = (0..code.len()).step_by(BLOCK).filter_map(|first| {
        // What begins in a block may end in the next.
        let end = code.len().min(first + BLOCK + NEAR_LEN - 1);
        Some((start.plus(first as u64), code.get(first..end)?))
    });
    blocks
        .filter(|(at, block)| may_refer(*at, block, target))
        .flat_map(|(at, block)| references_in(at, block, target))
        .collect()
}

/// Whether a block may have references. A hundred megabytes of code have to be looked through for a few: the upper half
/// of what would be their displacements is the same all over most blocks, and bytes are compared many at a time.
fn may_refer(at: Svma, block: &[u8], target: Svma) -> bool {
    let upper = |offset: usize| displacement(at.plus(offset as u64), target) >> 16;
    if upper(0) != upper(block.len().saturating_sub(NEAR_LEN)) {
        return true;
    }
    let [low, high, ..] = upper(0).to_le_bytes();
    let (third, fourth) = (block.get(3..).unwrap_or_default(), block.get(4..).unwrap_or_default());
    let places = block.iter().zip(third).zip(fourth);
    let least = places.fold(u8::MAX, |least, ((&opcode, &third), &fourth)| {
        least.min((opcode & NEAR_MASK ^ NEAR) | (third ^ low) | (fourth ^ high))
    });
    least == 0
}

fn references_in(at: Svma, block: &[u8], target: Svma) -> impl Iterator<Item = Svma> {
    block.windows(NEAR_LEN).enumerate().filter_map(move |(offset, bytes)| {
        let (opcode, rest) = bytes.split_first()?;
        let at = at.plus(offset as u64);
        let stated = i32::from_le_bytes(rest.try_into().ok()?);
        (opcode & NEAR_MASK == NEAR && displacement(at, target) == i64::from(stated)).then_some(at)
    })
}

/// How far `target` is from the end of a reference at `at`.
const fn displacement(at: Svma, target: Svma) -> i64 {
    target.0.wrapping_sub(at.0).wrapping_sub(NEAR_LEN as u64).cast_signed()
}

fn reduce(iced: &Iced, info: &InstructionInfo) -> Instruction {
    let is_call = matches!(iced.flow_control(), FlowControl::Call | FlowControl::IndirectCall);
    Instruction {
        at: Svma(iced.ip()),
        // An x86 instruction is at most 15 bytes long.
        len: u8::try_from(iced.len()).unwrap_or(u8::MAX),
        operation: operation(iced, info),
        writes: if is_call { RegisterSet::ALL } else { written(info) },
        data: data(iced, info),
    }
}

fn operation(iced: &Iced, info: &InstructionInfo) -> Operation {
    match iced.flow_control() {
        FlowControl::Call => Operation::Call(near_target(iced)),
        FlowControl::IndirectCall => Operation::Call(None),
        FlowControl::UnconditionalBranch => Operation::Jump(near_target(iced)),
        FlowControl::IndirectBranch => Operation::Jump(None),
        FlowControl::ConditionalBranch => near_target(iced).map_or(Operation::Other, Operation::Branch),
        FlowControl::Return => Operation::Return,
        FlowControl::Interrupt | FlowControl::Exception => Operation::Trap,
        FlowControl::Next | FlowControl::XbeginXabortXend => plain(iced, info),
    }
}

fn near_target(iced: &Iced) -> Option<Svma> {
    matches!(iced.op0_kind(), OpKind::NearBranch64).then(|| Svma(iced.near_branch64()))
}

fn plain(iced: &Iced, info: &InstructionInfo) -> Operation {
    match iced.mnemonic() {
        Mnemonic::Nop => Operation::Nop,
        Mnemonic::Push => register(iced.op0_register()).map_or(Operation::Other, Operation::Push),
        Mnemonic::Cmp => immediate(iced).map_or(Operation::Other, Operation::Compare),
        Mnemonic::Xor
            if iced.op0_kind() == OpKind::Register && iced.op0_register() == iced.op1_register() =>
        {
            register(iced.op0_register()).map_or(Operation::Other, |to| Operation::Constant { to, value: 0 })
        }
        Mnemonic::Mov => moved(iced).unwrap_or_else(|| stored(info)),
        _ => stored(info),
    }
}

/// A `mov` of a whole value. `mov r32, imm32` clears the upper half, so it sets the register too.
fn moved(iced: &Iced) -> Option<Operation> {
    if let (Some(value), OpKind::Register) = (immediate(iced), iced.op0_kind()) {
        let to = register(iced.op0_register()).filter(|_| iced.op0_register().size() >= 4)?;
        return Some(Operation::Constant { to, value });
    }
    match iced.code() {
        Code::Mov_r64_rm64 | Code::Mov_rm64_r64 => {
            Some(Operation::Move { to: place(iced, 0)?, from: place(iced, 1)? })
        }
        _ => None,
    }
}

fn place(iced: &Iced, operand: u32) -> Option<Operand> {
    match iced.op_kind(operand) {
        OpKind::Register => register(iced.op_register(operand)).map(Operand::Register),
        OpKind::Memory if is_stack_slot(iced) => {
            Some(Operand::Stack(iced.memory_displacement64().cast_signed()))
        }
        _ => None,
    }
}

fn is_stack_slot(iced: &Iced) -> bool {
    iced.memory_base() == IcedRegister::RSP && iced.memory_index() == IcedRegister::None
}

fn stored(info: &InstructionInfo) -> Operation {
    let written = info.used_memory().iter().find(|memory| is_write(memory.access()));
    let Some(memory) = written else { return Operation::Other };
    let offset = memory.displacement().cast_signed();
    match register(memory.base()) {
        Some(Register(4)) => Operation::StoreStack(offset),
        Some(base) => Operation::Store { base, offset },
        None => Operation::Other,
    }
}

fn immediate(iced: &Iced) -> Option<u64> {
    let last = iced.op_count().checked_sub(1)?;
    iced.try_immediate(last).ok()
}

fn written(info: &InstructionInfo) -> RegisterSet {
    info.used_registers()
        .iter()
        .filter(|used| is_write(used.access()))
        .filter_map(|used| register(used.register()))
        .fold(RegisterSet::EMPTY, RegisterSet::with)
}

const fn is_write(access: OpAccess) -> bool {
    matches!(access, OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite)
}

/// The 64-bit register that `part` is in.
fn register(part: IcedRegister) -> Option<Register> {
    let full = part.full_register();
    // A general purpose register's number is its place in the encoding, 0 to 15.
    full.is_gpr64().then(|| Register(u8::try_from(full.number()).unwrap_or(u8::MAX)))
}

fn data(iced: &Iced, info: &InstructionInfo) -> Option<DataRef> {
    // A multi-byte nop can name memory, and touches none.
    if !iced.is_ip_rel_memory_operand() || iced.mnemonic() == Mnemonic::Nop {
        return None;
    }
    let access = match iced.mnemonic() {
        Mnemonic::Lea => Access::Address,
        _ if info.used_memory().iter().any(|memory| is_write(memory.access())) => Access::Write,
        _ => Access::Read,
    };
    let len = match access {
        Access::Address => 0,
        Access::Read | Access::Write => u8::try_from(iced.memory_size().size()).unwrap_or(u8::MAX),
    };
    Some(DataRef { address: Svma(iced.ip_rel_memory_address()), access, len })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(code: &[u8]) -> Instruction {
        let decoded = decode(Svma(0x1000), code).unwrap();
        assert_eq!(decoded.len(), 1, "{decoded:?}");
        decoded[0]
    }

    #[test]
    fn control_flow_and_stack_instructions_are_told_apart() {
        assert_eq!(one(&[0xe8, 0xfb, 0x0f, 0, 0]).operation, Operation::Call(Some(Svma(0x2000))));
        assert_eq!(one(&[0xff, 0xd0]).operation, Operation::Call(None));
        assert_eq!(one(&[0x76, 0x10]).operation, Operation::Branch(Svma(0x1012)));
        assert_eq!(one(&[0x0f, 0x86, 0, 1, 0, 0]).operation, Operation::Branch(Svma(0x1106)));
        assert_eq!(one(&[0x55]).operation, Operation::Push(Register(5)));
        assert_eq!(one(&[0x0f, 0x1f, 0x44, 0, 0]).operation, Operation::Nop);
        assert_eq!(one(&[0xc3]).operation, Operation::Return);
        assert_eq!(one(&[0xcc]).operation, Operation::Trap);
        assert_eq!(one(&[0x0f, 0x0b]).operation, Operation::Trap);
    }

    #[test]
    fn moves_say_what_they_copy_and_every_other_write_is_seen() {
        // mov rbx, rax
        let copy = one(&[0x48, 0x89, 0xc3]);
        let (rax, rbx) = (Operand::Register(Register(0)), Operand::Register(Register(3)));
        assert_eq!(copy.operation, Operation::Move { to: rbx, from: rax });
        assert!(copy.writes.contains(Register(3)) && !copy.writes.contains(Register(0)));
        // mov [rsp+0x18], rax
        let spill = one(&[0x48, 0x89, 0x44, 0x24, 0x18]);
        assert_eq!(spill.operation, Operation::Move { to: Operand::Stack(0x18), from: rax });
        // mov ecx, 1
        let constant = one(&[0xb9, 1, 0, 0, 0]);
        assert_eq!(constant.operation, Operation::Constant { to: Register(1), value: 1 });
        // mov [rax+0x98], rcx
        let field = one(&[0x48, 0x89, 0x88, 0x98, 0, 0, 0]);
        assert_eq!(field.operation, Operation::Store { base: Register(0), offset: 0x98 });
        // mov al, 1 changes rax but does not set it
        let part = one(&[0xb0, 1]);
        assert_eq!((part.operation, part.writes.contains(Register(0))), (Operation::Other, true));
        // mul rcx changes rax and rdx without naming them
        let product = one(&[0x48, 0xf7, 0xe1]);
        assert!(product.writes.contains(Register(0)) && product.writes.contains(Register(2)));
    }

    #[test]
    fn data_addresses_are_relative_to_the_next_instruction() {
        let lea = one(&[0x48, 0x8d, 0x05, 0xf9, 0x0f, 0, 0]);
        assert_eq!(lea.data, Some(DataRef { address: Svma(0x2000), access: Access::Address, len: 0 }));
        let load = one(&[0x48, 0x8b, 0x35, 0xf9, 0x0f, 0, 0]);
        assert_eq!(load.data, Some(DataRef { address: Svma(0x2000), access: Access::Read, len: 8 }));
        let store = one(&[0x48, 0x89, 0x0d, 0xf9, 0x0f, 0, 0]);
        assert_eq!(store.data, Some(DataRef { address: Svma(0x2000), access: Access::Write, len: 8 }));
        // cmp dword [rip+...], 0
        let compare = one(&[0x83, 0x3d, 0xf9, 0x0f, 0, 0, 0]);
        assert_eq!(compare.data, Some(DataRef { address: Svma(0x2000), access: Access::Read, len: 4 }));
        assert_eq!(compare.operation, Operation::Compare(0));
    }

    #[test]
    fn references_are_found_at_any_alignment() {
        let code = [0x90, 0xe8, 0xfa, 0x0f, 0, 0, 0xe9, 0xf5, 0x0f, 0, 0, 0xe8];
        assert_eq!(references_to(Svma(0x1000), &code, Svma(0x2000)), [Svma(0x1001), Svma(0x1006)]);
    }

    proptest! {
        #[test]
        fn references_are_found_wherever_they_are(
            start in (0..3_u64).prop_map(|pages| 0x7f_fd00 + pages * 0x8000),
            target in 0..0x100_0000_u64,
            calls in proptest::collection::vec((0..2000_usize, any::<bool>()), 0..20),
            filler: u8,
        ) {
            let mut code = vec![filler; 2005];
            for (offset, jumps) in calls {
                let displacement = target.wrapping_sub(start + offset as u64 + 5).to_le_bytes();
                code[offset] = 0xe8 + u8::from(jumps);
                code[offset + 1..offset + 5].copy_from_slice(&displacement[..4]);
            }
            let (start, target) = (Svma(start), Svma(target));
            let expected: Vec<Svma> = references_in(start, &code, target).collect();
            prop_assert_eq!(references_to(start, &code, target), expected);
        }
    }
}
