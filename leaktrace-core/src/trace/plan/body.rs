//! A decoded function, and the questions about its control flow.

use crate::base::hash::KeyedSet;
use crate::base::num::Svma;
use crate::binary::disasm::{Instruction, Operation};

/// What must be known of other functions.
pub(super) trait Callees {
    /// Whether the function at `at` makes room on the stack and lets its caller begin again.
    fn grows_stack(&self, at: Svma) -> bool;
    /// Whether the function at `at` comes back to its caller, sooner or later.
    fn comes_back(&self, at: Svma) -> bool;
}

/// A function's code.
pub(super) struct Body<'d> {
    pub(super) entry: Svma,
    pub(super) bytes: &'d [u8],
    pub(super) instructions: Vec<Instruction>,
}

impl<'d> Body<'d> {
    /// The bytes of one of its instructions.
    pub(super) fn bytes_of(&self, instruction: &Instruction) -> &'d [u8] {
        let start = instruction.at.offset_from(self.entry).and_then(|offset| usize::try_from(offset).ok());
        let bytes = start.and_then(|start| self.bytes.get(start..)?.get(..instruction.len.into()));
        bytes.unwrap_or_default()
    }

    /// The index of the instruction at `at`.
    pub(super) fn index_of(&self, at: Svma) -> Option<usize> {
        self.instructions.binary_search_by_key(&at, |one| one.at).ok()
    }

    /// Where it jumps to within itself.
    pub(super) fn jump_targets(&self) -> KeyedSet<Svma> {
        self.instructions.iter().filter_map(|one| one.operation.jump_target()).collect()
    }

    /// Whether control always goes on from `instruction` to the next one, or begins again at the entry.
    pub(super) fn goes_on(&self, instruction: &Instruction, callees: &dyn Callees) -> bool {
        match instruction.operation {
            Operation::Branch(target) => self.grows_stack(target, callees),
            Operation::Call(Some(target)) => callees.comes_back(target),
            Operation::Call(None) => false,
            operation => !operation.ends_flow(),
        }
    }

    /// Whether the code at `target` asks for a larger stack and does nothing else.
    fn grows_stack(&self, target: Svma, callees: &dyn Callees) -> bool {
        let Some(start) = self.index_of(target) else { return false };
        let block = self.instructions[start..].iter().take_while(|one| !one.operation.ends_flow());
        let mut calls = block.filter_map(|one| match one.operation {
            Operation::Call(target) => Some(target),
            _ => None,
        });
        calls.next().flatten().is_some_and(|callee| callees.grows_stack(callee)) && calls.next().is_none()
    }
}
