//! Where the runtime's variables are in the running process.

use crate::num::Avma;

/// Addresses of runtime variables in the running process.
///
/// `Option` means that leaktrace can do without: what needs the variable is then not reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Globals {
    /// `runtime.allgs`: the slice `{pointer, length, capacity}` of all `*g` ever made.
    pub allgs: Avma,
    /// `runtime.allglen`: read the length from here first, then the base from [`allgptr`](Self::allgptr). The
    /// runtime publishes them in an order that makes this safe without its lock; `None` where only the slice
    /// was found.
    pub allglen: Option<Avma>,
    /// `runtime.allgptr`: the base of `allgs`, published for readers without the lock.
    pub allgptr: Option<Avma>,
    /// `runtime.sched`, of type `schedt`.
    pub sched: Option<Avma>,
    /// `runtime.allp`: the slice of all `*p`.
    pub allp: Option<Avma>,
    /// `runtime.allm`: the first `*m`, the next ones by `m.alllink`.
    pub allm: Option<Avma>,
    /// `runtime.semtable`: the waiters of semaphores by address.
    pub semtable: Option<Avma>,
    /// `runtime.fingStatus`: bit 1 (value 2) is set while a finalizer runs (Go 1.20+; by symbol only).
    pub fing_status: Option<Avma>,
    /// How these were found.
    pub found: Found,
}

/// How a runtime's variables were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// In the symbol table.
    Symbols,
    /// By the data addresses that known functions refer to.
    Disassembly,
    /// By the shape of what lies in memory: the last resort for obfuscated binaries.
    MemoryShape,
}

impl Found {
    /// The words under which a user is told.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Symbols => "symbol table",
            Self::Disassembly => "disassembly",
            Self::MemoryShape => "shape of memory",
        }
    }
}
