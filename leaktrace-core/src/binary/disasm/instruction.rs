//! What an instruction is, to us.

use crate::base::num::Svma;

/// An integer register by its number in the machine's encoding: 0 is `rax` or `x0`, 4 is `rsp`, 31 is arm64's
/// `sp` or zero register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Register(pub u8);

/// A set of integer registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegisterSet(u32);

impl RegisterSet {
    /// No register.
    pub(crate) const EMPTY: Self = Self(0);
    /// Every register: for what is not understood, and for calls.
    pub const ALL: Self = Self(u32::MAX);

    /// The set of one register.
    pub const fn of(register: Register) -> Self {
        Self(1 << (register.0 & 31))
    }

    /// This set and `register`.
    #[must_use]
    pub const fn with(self, register: Register) -> Self {
        Self(self.0 | Self::of(register).0)
    }

    /// This set without the registers of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether `register` is in the set.
    pub const fn contains(self, register: Register) -> bool {
        self.0 & Self::of(register).0 != 0
    }
}

/// Something that holds a 64-bit value: a register, or a slot at an offset from the stack pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A register.
    Register(Register),
    /// The stack slot at this offset from the stack pointer.
    Stack(i64),
}

/// What an instruction does with a data address that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Takes the address.
    Address,
    /// Reads there (or compares).
    Read,
    /// Writes there (or reads and writes).
    Write,
}

/// A data address that an instruction names relative to its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataRef {
    /// The address.
    pub address: Svma,
    /// What is done with it.
    pub access: Access,
    /// How many bytes are read or written; 0 where only the address is taken.
    pub len: u8,
}

impl DataRef {
    /// The addresses of the words that are read or written, or the one that is taken.
    pub fn words(self) -> impl Iterator<Item = Svma> {
        (0..u64::from(self.len.max(1))).step_by(8).map(move |offset| self.address.plus(offset))
    }
}

/// What an instruction does, as far as we ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A call; of `None` if the target is in a register or in memory.
    Call(Option<Svma>),
    /// An unconditional jump; to `None` if the target is in a register or in memory.
    Jump(Option<Svma>),
    /// A conditional jump.
    Branch(Svma),
    /// Pushes a register.
    Push(Register),
    /// Does nothing.
    Nop,
    /// Returns.
    Return,
    /// Stops the program: what compilers put where control must not come, and between functions.
    Trap,
    /// Copies a whole 64-bit value.
    Move {
        /// Where to.
        to: Operand,
        /// Where from.
        from: Operand,
    },
    /// Sets a register to a number.
    Constant {
        /// The register.
        to: Register,
        /// The number.
        value: u64,
    },
    /// Compares something with a number.
    Compare(u64),
    /// Writes to memory at an offset from a register that is not the stack pointer.
    Store {
        /// The register.
        base: Register,
        /// The offset.
        offset: i64,
    },
    /// Writes to a stack slot something that is not a whole 64-bit register.
    StoreStack(i64),
    /// Anything else.
    Other,
}

impl Operation {
    /// Where a jump or branch goes, if that is stated in the instruction.
    pub(crate) const fn jump_target(self) -> Option<Svma> {
        match self {
            Self::Jump(target) => target,
            Self::Branch(target) => Some(target),
            Self::Call(_)
            | Self::Push(_)
            | Self::Nop
            | Self::Return
            | Self::Trap
            | Self::Move { .. }
            | Self::Constant { .. }
            | Self::Compare(_)
            | Self::Store { .. }
            | Self::StoreStack(_)
            | Self::Other => None,
        }
    }

    /// Whether control never goes on to the next instruction.
    pub(crate) const fn ends_flow(self) -> bool {
        matches!(self, Self::Jump(_) | Self::Return | Self::Trap)
    }
}

/// One instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Its address.
    pub at: Svma,
    /// Its length in bytes.
    pub len: u8,
    /// What it does.
    pub operation: Operation,
    /// The registers whose value it may change.
    pub writes: RegisterSet,
    /// The data address that it names.
    pub data: Option<DataRef>,
}

impl Instruction {
    /// The address of the next instruction.
    pub const fn end(&self) -> Svma {
        self.at.plus(self.len as u64)
    }
}
