//! Whether the code of a program says of itself what a table says of its release.
//!
//! Asked for releases that nobody has tested. The kinds of `runtime.special` are numbers that the compiler writes into
//! the functions that attach them; the sizes of queues are in the functions that make their blocks. A function that the
//! linker has left out attaches nothing. Anything else than what was expected confirms nothing.

use crate::base::num::Svma;
use crate::binary::disasm::{Instruction, Operation, Register};
use crate::binary::elf::Arch;
use crate::go::code::Code;
use crate::go::facts::{Cleanups, Collector, Queue, Specials};
use crate::go::layout::{Layout, SpecialFields};

/// Whether the program with this code attaches to objects, and queues, as `expected` says.
pub(super) fn collector(expected: &Collector, code: &Code<'_, '_>, layout: &Layout) -> bool {
    let Some(fields) = layout.collector.as_ref().map(|collector| &collector.special) else { return false };
    let body = |name: &str| Body::of(code, name);
    is_confirmed(expected, fields, &body)
}

fn is_confirmed(expected: &Collector, fields: &SpecialFields, body: &dyn Fn(&str) -> Option<Body>) -> bool {
    let Collector { specials, finalizers, cleanups } = expected;
    attaches(*specials, fields, body)
        && body("runtime.queuefinalizer").is_some_and(|body| body.makes(finalizers))
        && body("runtime.(*cleanupQueue).enqueue").is_none_or(|body| body.lists(cleanups.as_ref()))
}

/// Samples and cleanups have the numbers that are expected of them.
fn attaches(specials: Specials, fields: &SpecialFields, body: &dyn Fn(&str) -> Option<Body>) -> bool {
    let Specials { profile, cleanup, cleanup_words } = specials;
    let kind = |body: &Body| body.stored_byte(fields.kind);
    let samples = body("runtime.setprofilebucket").and_then(|body| kind(&body));
    samples.is_some_and(|(_, number)| number == profile)
        && body("runtime.addCleanup").is_none_or(|body| {
            // After the function and its argument comes `id`, the last field.
            let id = i64::from(fields.size + 8 * cleanup_words);
            kind(&body).is_some_and(|(special, number)| {
                Some(number) == cleanup && body.last_store(special) == Some(id)
            })
        })
}

/// The machine code of one function.
struct Body {
    arch: Arch,
    /// Each instruction with its bytes.
    instructions: Vec<(Instruction, Vec<u8>)>,
}

impl Body {
    fn of(code: &Code<'_, '_>, name: &str) -> Option<Self> {
        let function = code.function(name)?;
        let bytes = code.bytes(&function)?;
        // One that cannot be decoded is there all the same, and confirms nothing.
        let decoded = code.decode(&function).unwrap_or_default();
        Some(Self::new(code.arch(), code.address(function.entry()), bytes, &decoded))
    }

    fn new(arch: Arch, start: Svma, bytes: &[u8], decoded: &[Instruction]) -> Self {
        let raw = |one: &Instruction| {
            let from = usize::try_from(one.at.0.checked_sub(start.0)?).ok()?;
            bytes.get(from..from + usize::from(one.len)).map(<[u8]>::to_vec)
        };
        let instructions = decoded.iter().filter_map(|one| Some((*one, raw(one)?))).collect();
        Self { arch, instructions }
    }

    /// The number that is stored as a byte at `offset` from a register, and that register; `None` if that is done with
    /// more than one number, or not at all.
    fn stored_byte(&self, offset: u32) -> Option<(Register, u8)> {
        let stores =
            self.instructions.iter().enumerate().filter_map(|(index, (one, raw))| match one.operation {
                Operation::Store { base, offset: at } if at == i64::from(offset) => {
                    Some((base, self.byte(index, raw)?))
                }
                _ => None,
            });
        let mut stores: Vec<_> = stores.collect();
        stores.dedup();
        match stores[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The number that the instruction at `index`, a store, stores as a byte.
    fn byte(&self, index: usize, raw: &[u8]) -> Option<u8> {
        match self.arch {
            Arch::Amd64 => amd64_immediate_byte(raw),
            Arch::Arm64 => {
                let word = arm64_word(raw)?;
                let is_byte = word & 0xffc0_0000 == 0x3900_0000;
                let value = Register(u8::try_from(word & 31).ok()?);
                u8::try_from(self.constant_before(index, value).filter(|_| is_byte)?).ok()
            }
        }
    }

    /// The constant that is in `register` when the instruction at `index` runs, going by what is above it.
    fn constant_before(&self, index: usize, register: Register) -> Option<u64> {
        let writes = |(one, _): &&(Instruction, Vec<u8>)| one.writes.contains(register);
        let (last, raw) = self.instructions.get(..index)?.iter().rev().find(writes)?;
        self.constant(last, raw)
    }

    /// The constant that an instruction puts into a register.
    fn constant(&self, one: &Instruction, raw: &[u8]) -> Option<u64> {
        match (one.operation, self.arch) {
            (Operation::Constant { value, .. }, _) => Some(value),
            (_, Arch::Arm64) => arm64_pattern(arm64_word(raw)?),
            (_, Arch::Amd64) => None,
        }
    }

    /// The highest offset from `base` at which anything is stored.
    fn last_store(&self, base: Register) -> Option<i64> {
        let offsets = self.instructions.iter().filter_map(|(one, _)| match one.operation {
            Operation::Store { base: of, offset } if of == base => Some(offset),
            _ => None,
        });
        offsets.max()
    }

    /// Whether it makes blocks of this size, and looks whether they are full.
    fn makes(&self, queue: &Queue) -> bool {
        let full = Operation::Compare(queue.capacity.into());
        self.has_constant(queue.size) && self.instructions.iter().any(|(one, _)| one.operation == full)
    }

    /// Whether it makes blocks of this size, and puts them in front of `gcCleanups.all`.
    fn lists(&self, cleanups: Option<&Cleanups>) -> bool {
        let Some(cleanups) = cleanups else { return false };
        let all = cleanups.all_in_lines * self.arch.cache_line();
        self.has_constant(cleanups.blocks.size)
            && self.instructions.iter().any(|(_, raw)| adds(self.arch, raw, all))
    }

    fn has_constant(&self, number: usize) -> bool {
        self.instructions.iter().any(|(one, raw)| self.constant(one, raw) == Some(number as u64))
    }
}

/// The number in `mov byte [register + offset], number`.
fn amd64_immediate_byte(raw: &[u8]) -> Option<u8> {
    const MOV_BYTE: u8 = 0xc6;
    let opcode = raw.iter().find(|byte| !(0x40..0x50).contains(*byte))?;
    raw.last().copied().filter(|_| *opcode == MOV_BYTE)
}

/// Whether an instruction computes an address that is `distance` from one in a register.
fn adds(arch: Arch, raw: &[u8], distance: u64) -> bool {
    let Ok(distance) = u32::try_from(distance) else { return false };
    match arch {
        // lea register, [register + distance]
        Arch::Amd64 => {
            matches!(raw, [0x48..0x50, 0x8d, _, _, _, _, _]) && raw.ends_with(&distance.to_le_bytes())
        }
        // add register, register, #distance
        Arch::Arm64 => {
            arm64_word(raw).is_some_and(|word| word & 0xffff_fc00 == 0x9100_0000 | (distance & 0xfff) << 10)
        }
    }
}

fn arm64_word(raw: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(raw.try_into().ok()?))
}

/// The number in `orr register, xzr, #number`: ones, turned.
fn arm64_pattern(word: u32) -> Option<u64> {
    const ORR_FROM_ZERO: u32 = 0xb240_03e0;
    if word & 0xffc0_03e0 != ORR_FROM_ZERO {
        return None;
    }
    let (turned, ones) = (word >> 16 & 63, (word >> 10 & 63) + 1);
    let ones = 1_u64.checked_shl(ones).map_or(u64::MAX, |end| end - 1);
    Some(ones.rotate_right(turned))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::binary::disasm;
    use crate::go::facts::RELEASES;

    /// Where Go 1.27 is among the releases.
    const GO_1_27: usize = 8;
    const FIELDS: SpecialFields = SpecialFields { size: 24, next: 0, offset: 8, kind: 16 };

    /// What go1.27.3 compiles the functions to, as far as it says something here.
    fn amd64() -> HashMap<&'static str, Vec<u8>> {
        HashMap::from([
            // movb $4, 0x10(BX)
            ("runtime.setprofilebucket", vec![0xc6, 0x43, 0x10, 4]),
            (
                "runtime.addCleanup",
                [
                    &[0xc6, 0x43, 0x10, 7][..],      // movb $7, 0x10(BX)
                    &[0x4c, 0x89, 0x43, 0x18],       // movq R8, 0x18(BX)
                    &[0x48, 0x89, 0x7b, 0x20],       // movq DI, 0x20(BX)
                    &[0x48, 0x89, 0x53, 0x28],       // movq DX, 0x28(BX)
                    &[0x48, 0x89, 0x53, 0x30],       // movq DX, 0x30(BX)
                    &[0x48, 0x89, 0x54, 0x24, 0x30], // movq DX, 0x30(SP)
                ]
                .concat(),
            ),
            // cmpl 0x10(CX), $101; movl $4096, AX
            ("runtime.queuefinalizer", vec![0x83, 0x79, 0x10, 0x65, 0xb8, 0, 0x10, 0, 0]),
            // movl $512, AX; leaq 0x80(DX), SI
            ("runtime.(*cleanupQueue).enqueue", vec![0xb8, 0, 2, 0, 0, 0x48, 0x8d, 0xb2, 0x80, 0, 0, 0]),
        ])
    }

    fn arm64() -> HashMap<&'static str, Vec<u8>> {
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect();
        HashMap::from([
            // orr $4, zr, r1; movb r1, 16(r2)
            ("runtime.setprofilebucket", words(&[0xb27e_03e1, 0x3900_4041])),
            (
                "runtime.addCleanup",
                // orr $7, zr, r1; movb r1, 16(r2); stp (r6, r4), 24(r2); movd r5, 40(r2); movd r3, 48(r2)
                words(&[0xb240_0be1, 0x3900_4041, 0xa901_9046, 0xf900_1445, 0xf900_1843]),
            ),
            // cmpw $101, r3; orr $4096, zr, r0
            ("runtime.queuefinalizer", words(&[0x7101_947f, 0xb274_03e0])),
            // orr $512, zr, r0; add $256, r3, r3
            ("runtime.(*cleanupQueue).enqueue", words(&[0xb277_03e0, 0x9104_0063])),
        ])
    }

    fn confirmed(arch: Arch, functions: &HashMap<&str, Vec<u8>>) -> Vec<String> {
        let body = |name: &str| {
            let bytes = functions.get(name)?;
            let decoded = disasm::function(arch, Svma(0x1000), bytes).unwrap();
            Some(Body::new(arch, Svma(0x1000), bytes, &decoded))
        };
        // Later ones may do the same.
        let fits =
            RELEASES[..=GO_1_27].iter().filter(|release| is_confirmed(&release.collector, &FIELDS, &body));
        fits.map(|release| release.version.to_string()).collect()
    }

    #[test]
    fn code_confirms_its_own_release_and_those_that_do_the_same() {
        assert_eq!(confirmed(Arch::Amd64, &amd64()), ["go1.26", "go1.27"]);
        assert_eq!(confirmed(Arch::Arm64, &arm64()), ["go1.26", "go1.27"]);
    }

    #[test]
    fn another_number_is_not_confirmed() {
        let with = |name, bytes: &[u8]| {
            let mut functions = amd64();
            functions.insert(name, bytes.to_vec());
            confirmed(Arch::Amd64, &functions)
        };
        let nothing: [&str; 0] = [];
        assert_eq!(with("runtime.setprofilebucket", &[0xc6, 0x43, 0x10, 5]), nothing);
        assert_eq!(with("runtime.setprofilebucket", &[0xc3]), nothing);
        // Either of two numbers.
        assert_eq!(with("runtime.setprofilebucket", &[0xc6, 0x43, 0x10, 4, 0xc6, 0x43, 0x10, 5]), nothing);
        assert_eq!(with("runtime.addCleanup", &[0xc6, 0x43, 0x10, 7, 0x48, 0x89, 0x53, 0x20]), ["go1.25"]);
        assert_eq!(with("runtime.addCleanup", &[0xc6, 0x43, 0x10, 7, 0x48, 0x89, 0x53, 0x38]), nothing);
        assert_eq!(with("runtime.queuefinalizer", &[0x83, 0x79, 0x10, 0x66, 0xb8, 0, 0x10, 0, 0]), nothing);
        assert_eq!(with("runtime.(*cleanupQueue).enqueue", &[0xb8, 0, 2, 0, 0]), nothing);
    }

    #[test]
    fn what_was_not_linked_attaches_nothing_but_what_always_is_must_be_there() {
        let without = |names: &[&str]| {
            let mut functions = amd64();
            functions.retain(|name, _| !names.contains(name));
            confirmed(Arch::Amd64, &functions)
        };
        let cleanups = ["runtime.addCleanup", "runtime.(*cleanupQueue).enqueue"];
        assert_eq!(without(&cleanups), ["go1.25", "go1.26", "go1.27"]);
        assert!(without(&["runtime.setprofilebucket"]).is_empty());
        assert!(without(&["runtime.queuefinalizer"]).is_empty());
    }
}
