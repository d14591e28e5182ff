//! Instructions of the two architectures, reduced to what is asked of them.
//!
//! Three questions are asked: where may a probe be placed, which registers hold a known value there, and which
//! data does a function refer to. So an [`Instruction`] knows its length, its control flow, which registers it
//! changes, and the data address it names. It is not a general disassembler.

mod amd64;
mod arm64;
mod instruction;
mod track;

pub use instruction::{Access, DataRef, Instruction, Operand, Operation, Register, RegisterSet};
pub use track::Tracker;

use thiserror::Error;

use crate::base::num::Svma;
use crate::binary::elf::Arch;

/// The longest function that is decoded, in bytes. The runtime's longest is about 20 KiB.
pub(crate) const MAX_FUNCTION: usize = 1 << 20;

/// Why a function's code cannot be relied on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DisasmError {
    /// A byte sequence that is no instruction.
    #[error("no instruction at {at}")]
    Invalid {
        /// Where.
        at: Svma,
    },
    /// A jump lands inside an instruction, so the linear decoding is out of step with the processor.
    #[error("the jump at {at} goes into the middle of the instruction before {target}")]
    JumpIntoInstruction {
        /// The jump.
        at: Svma,
        /// Where it goes.
        target: Svma,
    },
    /// More bytes than any function of the runtime has.
    #[error("a function of {len} bytes at {at} exceeds the limit of {MAX_FUNCTION}")]
    TooLong {
        /// The function's entry.
        at: Svma,
        /// Its length.
        len: usize,
    },
}

/// Decodes all of a function, and proves that every instruction starts where it seems to: nothing is invalid,
/// and each jump within the function lands on the start of an instruction.
pub fn function(arch: Arch, entry: Svma, code: &[u8]) -> Result<Vec<Instruction>, DisasmError> {
    if code.len() > MAX_FUNCTION {
        return Err(DisasmError::TooLong { at: entry, len: code.len() });
    }
    let instructions = match arch {
        Arch::Amd64 => amd64::decode(entry, code)?,
        Arch::Arm64 => arm64::decode(entry, code)?,
    };
    check_jumps(entry, code.len() as u64, &instructions)?;
    Ok(instructions)
}

fn check_jumps(entry: Svma, len: u64, instructions: &[Instruction]) -> Result<(), DisasmError> {
    for jump in instructions {
        let Some(target) = jump.operation.jump_target() else { continue };
        let inside = target.offset_from(entry).is_some_and(|offset| offset < len);
        if inside && instructions.binary_search_by_key(&target, |other| other.at).is_err() {
            return Err(DisasmError::JumpIntoInstruction { at: jump.at, target });
        }
    }
    Ok(())
}

/// The addresses in `code` of every direct call, or jump that could be a tail call, to `target`.
///
/// On amd64 this looks at every byte, so a hit may be inside another instruction: decode the function that it
/// is in to be sure. Nothing is overlooked.
pub(crate) fn references_to(arch: Arch, start: Svma, code: &[u8], target: Svma) -> Vec<Svma> {
    match arch {
        Arch::Amd64 => amd64::references_to(start, code, target),
        Arch::Arm64 => arm64::references_to(start, code, target),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_jump_into_an_instruction_is_an_error() {
        // jmp +1 into the middle of `mov eax, imm32`
        let code = [0xeb, 0x01, 0xb8, 1, 0, 0, 0, 0xc3];
        let error = function(Arch::Amd64, Svma(0x1000), &code).unwrap_err();
        assert_eq!(error, DisasmError::JumpIntoInstruction { at: Svma(0x1000), target: Svma(0x1003) });
    }

    #[test]
    fn a_jump_out_of_the_function_is_none_of_our_business() {
        let code = [0xe9, 0x01, 0x10, 0, 0, 0xc3];
        assert_eq!(function(Arch::Amd64, Svma(0x1000), &code).unwrap().len(), 2);
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_are_refused(code in proptest::collection::vec(any::<u8>(), 0..256), at: u64) {
            for arch in [Arch::Amd64, Arch::Arm64] {
                if let Ok(instructions) = function(arch, Svma(at), &code) {
                    let total: usize = instructions.iter().map(|one| usize::from(one.len)).sum();
                    prop_assert_eq!(total, code.len());
                }
                let _ = references_to(arch, Svma(at), &code, Svma(at));
            }
        }
    }
}
