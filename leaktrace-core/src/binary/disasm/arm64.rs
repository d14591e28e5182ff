//! arm64, by hand: the few forms that are asked about, and for all others which registers they may change.
//!
//! Encodings are those of the Arm Architecture Reference Manual (DDI 0487), section C4.1. An address is built by
//! `adrp` and a second instruction that adds the low bits; the Go assembler writes the two next to each other
//! and uses `x27` (`REGTMP`) where the address itself is not wanted (`src/cmd/internal/obj/arm64`).

use crate::base::num::Svma;
use crate::binary::disasm::DisasmError;
use crate::binary::disasm::instruction::{
    Access, DataRef, Instruction, Operand, Operation, Register, RegisterSet,
};

/// Go's assembler's own register.
const REGTMP: Register = Register(27);
/// The stack pointer as a base, the zero register as an operand.
const SP: Register = Register(31);

pub(super) fn decode(entry: Svma, code: &[u8]) -> Result<Vec<Instruction>, DisasmError> {
    let (words, rest) = code.as_chunks::<4>();
    let end = entry.plus((words.len() * 4) as u64);
    if !rest.is_empty() {
        return Err(DisasmError::Invalid { at: end });
    }
    let mut pages = Pages::default();
    let one = |(index, word): (usize, &[u8; 4])| {
        let word = Word { at: entry.plus(index as u64 * 4), bits: u32::from_le_bytes(*word) };
        pages.instruction(word)
    };
    Ok(words.iter().enumerate().map(one).collect())
}

pub(super) fn references_to(start: Svma, code: &[u8], target: Svma) -> Vec<Svma> {
    let is_reference = |(index, bytes): (usize, &[u8; 4])| {
        let word = Word { at: start.plus(index as u64 * 4), bits: u32::from_le_bytes(*bytes) };
        let is_jump = matches!(word.bits & 0xfc00_0000, 0x1400_0000 | 0x9400_0000);
        (is_jump && word.relative(0, 26) == target).then_some(word.at)
    };
    code.as_chunks::<4>().0.iter().enumerate().filter_map(is_reference).collect()
}

#[derive(Clone, Copy)]
struct Word {
    at: Svma,
    bits: u32,
}

impl Word {
    const fn matches(self, mask: u32, value: u32) -> bool {
        self.bits & mask == value
    }

    /// The unsigned field of `len` bits from bit `from` on.
    const fn field(self, from: u32, len: u32) -> u32 {
        (self.bits >> from) & ((1 << len) - 1)
    }

    /// The same as a signed number.
    fn signed(self, from: u32, len: u32) -> i64 {
        let unused = 64 - len;
        (i64::from(self.field(from, len)) << unused) >> unused
    }

    /// The target of a jump with an offset in words.
    fn relative(self, from: u32, len: u32) -> Svma {
        Svma(self.at.0.wrapping_add_signed(self.signed(from, len) * 4))
    }

    fn register(self, from: u32) -> Register {
        // Five bits.
        Register(u8::try_from(self.field(from, 5)).unwrap_or(31))
    }
}

/// The registers that hold an address made by an `adrp` just before.
#[derive(Default)]
struct Pages {
    known: [Option<u64>; 32],
}

impl Pages {
    fn instruction(&mut self, word: Word) -> Instruction {
        let (operation, writes) = control(word).or_else(|| data_processing(word)).unwrap_or_else(|| {
            memory(word).map_or((Operation::Other, unknown_writes(word)), |access| access.effect())
        });
        let (data, made) = self.address(word);
        self.forget(writes);
        if let Some((register, address)) = made {
            self.known[usize::from(register.0 & 31)] = Some(address);
        }
        Instruction { at: word.at, len: 4, operation, writes, data }
    }

    /// The data address that this names, and the address that it leaves in a register.
    fn address(&self, word: Word) -> (Option<DataRef>, Option<(Register, u64)>) {
        if word.matches(0x1f00_0000, 0x1000_0000) {
            return adr(word);
        }
        if word.matches(0xff80_0000, 0x9100_0000) {
            return self.low_bits_added(word);
        }
        let Some(access) = memory(word) else { return (None, None) };
        let data = self.known[usize::from(access.base.0 & 31)].map(|base| DataRef {
            address: Svma(base.wrapping_add_signed(access.offset)),
            access: if access.loads { Access::Read } else { Access::Write },
            len: access.len,
        });
        (data, None)
    }

    fn low_bits_added(&self, word: Word) -> (Option<DataRef>, Option<(Register, u64)>) {
        let (from, to) = (word.register(5), word.register(0));
        let Some(page) = self.known[usize::from(from.0 & 31)] else { return (None, None) };
        let shift = if word.field(22, 1) == 1 { 12 } else { 0 };
        let address = page.wrapping_add(u64::from(word.field(10, 12)) << shift);
        if to == REGTMP {
            return (None, Some((to, address)));
        }
        (Some(DataRef { address: Svma(address), access: Access::Address, len: 0 }), None)
    }

    fn forget(&mut self, writes: RegisterSet) {
        for (number, known) in (0..).zip(&mut self.known) {
            if writes.contains(Register(number)) {
                *known = None;
            }
        }
    }
}

/// `adr` names an address, `adrp` a page of 4 KiB.
fn adr(word: Word) -> (Option<DataRef>, Option<(Register, u64)>) {
    let offset = word.signed(5, 19) * 4 + i64::from(word.field(29, 2));
    if word.field(31, 1) == 0 {
        let address = Svma(word.at.0.wrapping_add_signed(offset));
        return (Some(DataRef { address, access: Access::Address, len: 0 }), None);
    }
    let page = (word.at.0 & !0xfff).wrapping_add_signed(offset * 4096);
    (None, Some((word.register(0), page)))
}

fn control(word: Word) -> Option<(Operation, RegisterSet)> {
    let none = RegisterSet::EMPTY;
    let found = match word.bits {
        bits if bits & 0xfc00_0000 == 0x1400_0000 => (Operation::Jump(Some(word.relative(0, 26))), none),
        bits if bits & 0xfc00_0000 == 0x9400_0000 => {
            (Operation::Call(Some(word.relative(0, 26))), RegisterSet::ALL)
        }
        bits if bits & 0xff00_0010 == 0x5400_0000 => (Operation::Branch(word.relative(5, 19)), none),
        bits if bits & 0x7e00_0000 == 0x3400_0000 => (Operation::Branch(word.relative(5, 19)), none),
        bits if bits & 0x7e00_0000 == 0x3600_0000 => (Operation::Branch(word.relative(5, 14)), none),
        bits if bits & 0xffff_fc1f == 0xd61f_0000 => (Operation::Jump(None), none),
        bits if bits & 0xffff_fc1f == 0xd63f_0000 => (Operation::Call(None), RegisterSet::ALL),
        bits if bits & 0xffff_fc1f == 0xd65f_0000 => (Operation::Return, none),
        // brk, and the permanently undefined words that fill the space between functions
        bits if bits & 0xffe0_001f == 0xd420_0000 || bits & 0xffff_0000 == 0 => (Operation::Trap, none),
        0xd503_201f => (Operation::Nop, none),
        _ => return None,
    };
    Some(found)
}

fn data_processing(word: Word) -> Option<(Operation, RegisterSet)> {
    let to = word.register(0);
    let operation = match word.bits {
        // orr xd, xzr, xm
        bits if bits & 0xffe0_ffe0 == 0xaa00_03e0 => {
            Operation::Move { to: Operand::Register(to), from: Operand::Register(word.register(16)) }
        }
        // movz
        bits if bits & 0x7f80_0000 == 0x5280_0000 => {
            Operation::Constant { to, value: u64::from(word.field(5, 16)) << (16 * word.field(21, 2)) }
        }
        // movn xd
        bits if bits & 0xff80_0000 == 0x9280_0000 => {
            Operation::Constant { to, value: !(u64::from(word.field(5, 16)) << (16 * word.field(21, 2))) }
        }
        // subs xzr or wzr, rn, #imm
        bits if bits & 0x7f80_001f == 0x7100_001f => {
            Operation::Compare(u64::from(word.field(10, 12)) << (12 * word.field(22, 1)))
        }
        // every other one with an immediate or with registers changes its first operand
        bits if bits & 0x1c00_0000 == 0x1000_0000 || bits & 0x0e00_0000 == 0x0a00_0000 => Operation::Other,
        _ => return None,
    };
    let writes =
        if matches!(operation, Operation::Compare(_)) { RegisterSet::EMPTY } else { RegisterSet::of(to) };
    Some((operation, writes))
}

/// Vector arithmetic leaves at most its first operand's number in an integer register; what is not known at all
/// may change every register.
fn unknown_writes(word: Word) -> RegisterSet {
    if word.matches(0x0e00_0000, 0x0e00_0000) { RegisterSet::of(word.register(0)) } else { RegisterSet::ALL }
}

/// A load or store at an offset from a base register.
struct MemoryAccess {
    loads: bool,
    /// How many bytes are loaded or stored.
    len: u8,
    whole: bool,
    moves_base: bool,
    /// The integer register that is loaded or stored; `None` for a vector register.
    value: Option<Register>,
    /// The second one of a pair.
    pair: Option<Register>,
    base: Register,
    offset: i64,
}

impl MemoryAccess {
    fn effect(&self) -> (Operation, RegisterSet) {
        let mut writes = if self.moves_base { RegisterSet::of(self.base) } else { RegisterSet::EMPTY };
        if self.loads {
            writes = self.value.into_iter().chain(self.pair).fold(writes, RegisterSet::with);
        }
        (self.operation(), writes)
    }

    fn operation(&self) -> Operation {
        let slot = Operand::Stack(self.offset);
        match (self.copied(), self.base == SP, self.loads) {
            (Some(register), true, true) => Operation::Move { to: register, from: slot },
            (Some(register), true, false) => Operation::Move { to: slot, from: register },
            (None, true, false) => Operation::StoreStack(self.offset),
            (_, false, false) => Operation::Store { base: self.base, offset: self.offset },
            (_, _, true) => Operation::Other,
        }
    }

    /// The register that is copied as a whole, if this does no more than that. Storing number 31 stores zero.
    fn copied(&self) -> Option<Operand> {
        let simple = self.whole && self.pair.is_none() && !self.moves_base;
        self.value.filter(|&value| simple && value != SP).map(Operand::Register)
    }
}

fn memory(word: Word) -> Option<MemoryAccess> {
    if word.matches(0x3a00_0000, 0x2800_0000) {
        return Some(pair(word));
    }
    let (size, opc) = (word.field(30, 2), word.field(22, 2));
    let integer = word.field(26, 1) == 0;
    // Prefetches have the form of a load.
    if integer && size == 3 && opc == 2 {
        return None;
    }
    let scale = if integer { size } else { (opc & 2) << 1 | size };
    let unsigned_offset = word.matches(0x3b00_0000, 0x3900_0000);
    let signed_offset = word.matches(0x3b20_0000, 0x3800_0000) && word.field(10, 2) != 2;
    if !unsigned_offset && !signed_offset {
        return None;
    }
    let offset = if unsigned_offset { i64::from(word.field(10, 12)) << scale } else { word.signed(12, 9) };
    Some(MemoryAccess {
        loads: if integer { opc != 0 } else { opc & 1 == 1 },
        len: 1 << scale,
        whole: size == 3,
        // 0 is unscaled, 1 post-index, 3 pre-index
        moves_base: signed_offset && word.field(10, 2) != 0,
        value: integer.then(|| word.register(0)),
        pair: None,
        base: word.register(5),
        offset,
    })
}

fn pair(word: Word) -> MemoryAccess {
    let integer = word.field(26, 1) == 0;
    let scale = if integer { 2 + word.field(31, 1) } else { 2 + word.field(30, 2) };
    MemoryAccess {
        loads: word.field(22, 1) == 1,
        len: 2 << scale,
        whole: false,
        // 1 is post-index, 3 pre-index
        moves_base: word.field(23, 1) == 1,
        value: integer.then(|| word.register(0)),
        pair: integer.then(|| word.register(10)),
        base: word.register(5),
        offset: word.signed(15, 7) << scale,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(words: &[u32]) -> Vec<Instruction> {
        let code: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        decode(Svma(0x1_1000), &code).unwrap()
    }

    fn one(word: u32) -> Instruction {
        decoded(&[word])[0]
    }

    #[test]
    fn control_flow_is_told_apart() {
        assert_eq!(one(0x9400_0400).operation, Operation::Call(Some(Svma(0x1_2000))));
        assert_eq!(one(0x17ff_ffff).operation, Operation::Jump(Some(Svma(0x1_0ffc))));
        // b.ls +0x20
        assert_eq!(one(0x5400_0109).operation, Operation::Branch(Svma(0x1_1020)));
        // cbz x0, +8; tbnz w1, #3, +8
        assert_eq!(one(0xb400_0040).operation, Operation::Branch(Svma(0x1_1008)));
        assert_eq!(one(0x3718_0041).operation, Operation::Branch(Svma(0x1_1008)));
        assert_eq!(one(0xd65f_03c0).operation, Operation::Return);
        assert_eq!(one(0xd63f_0340).operation, Operation::Call(None));
        assert_eq!(one(0).operation, Operation::Trap);
        assert_eq!(one(0xd503_201f).operation, Operation::Nop);
    }

    #[test]
    fn an_address_in_two_parts_is_put_together() {
        // adrp x1, +0x1000; add x1, x1, #0x230
        let taken = decoded(&[0xb000_0001, 0x9108_c021]);
        assert_eq!(taken[1].data, Some(DataRef { address: Svma(0x1_2230), access: Access::Address, len: 0 }));
        // adrp x27, +0x1000; ldr x0, [x27, #0x228]
        let read = decoded(&[0xb000_001b, 0xf941_1760]);
        assert_eq!(read[1].data, Some(DataRef { address: Svma(0x1_2228), access: Access::Read, len: 8 }));
        // adrp x27; add x27, x27, #0x230; str x0, [x27]: the address itself is not taken
        let written = decoded(&[0xb000_001b, 0x9108_c37b, 0xf900_0360]);
        assert_eq!(written[1].data, None);
        assert_eq!(written[2].data, Some(DataRef { address: Svma(0x1_2230), access: Access::Write, len: 8 }));
        // adrp x27; add x27, x27, #0x230; ldp x0, x1, [x27]
        let pair = decoded(&[0xb000_001b, 0x9108_c37b, 0xa940_0760])[2].data.unwrap();
        assert_eq!(pair.words().collect::<Vec<_>>(), [Svma(0x1_2230), Svma(0x1_2238)]);
        // a register that was overwritten in between names nothing
        let lost = decoded(&[0xb000_0001, 0xaa02_03e1, 0x9108_c021]);
        assert_eq!(lost[2].data, None);
    }

    #[test]
    fn moves_and_stores_say_what_they_change() {
        let (x1, x2) = (Operand::Register(Register(1)), Operand::Register(Register(2)));
        assert_eq!(one(0xaa02_03e1).operation, Operation::Move { to: x1, from: x2 });
        // str x2, [sp, #0x18]; ldr x1, [sp, #0x18]
        assert_eq!(one(0xf900_0fe2).operation, Operation::Move { to: Operand::Stack(0x18), from: x2 });
        assert_eq!(one(0xf940_0fe1).operation, Operation::Move { to: x1, from: Operand::Stack(0x18) });
        // str x2, [x1, #0x98]
        assert_eq!(one(0xf900_4c22).operation, Operation::Store { base: Register(1), offset: 0x98 });
        // movz w1, #6; cmp x0, #0x2e
        assert_eq!(one(0x5280_00c1).operation, Operation::Constant { to: Register(1), value: 6 });
        assert_eq!(one(0xf100_b81f).operation, Operation::Compare(0x2e));
        // ldp x29, x30, [sp], #16 changes both and the stack pointer
        let popped = one(0xa8c1_7bfd).writes;
        assert!([29, 30, 31].iter().all(|&number| popped.contains(Register(number))));
        assert!(!popped.contains(Register(0)));
    }
}
