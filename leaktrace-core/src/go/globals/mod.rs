//! Where the runtime's variables are in the running process.
//!
//! By symbol where the binary has a symbol table. Else by the data addresses that certain functions refer to:
//! each recipe below gave exactly the symbol's address in unstripped builds of Go 1.19 to 1.27 on both
//! architectures. The last resort for `allgs`, without any names, is the shape of what lies in memory.

mod recipes;
mod search;

use thiserror::Error;

use self::recipes::Recipes;
use crate::base::memory::{Memory, ReadError};
use crate::base::num::{Avma, Bias};
use crate::binary::elf::Elf;
use crate::go::code::Code;
use crate::go::layout::Layout;
use crate::go::moduledata::Module;

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
    /// `runtime.fingStatus`, 32 bits: the bit of value 2 is set while a finalizer runs. Up to Go 1.19 this is
    /// `fingCreate`, in which the bit is never set.
    pub fing_status: Option<Avma>,
    /// Words among which are the lists of finalizers that are to run: what `runtime.queuefinalizer` refers to.
    pub finalizer_words: Vec<Avma>,
    /// Words among which is `runtime.gcCleanups`, since Go 1.25: what `runtime.runCleanups` refers to.
    pub cleanup_words: Vec<Avma>,
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
    /// By the shape of what lies in memory: the last resort.
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

/// Why the list of all goroutines could not be found.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GlobalsError {
    /// Neither symbols, nor code, nor the shape of memory led to it.
    #[error("the list of all goroutines (runtime.allgs) was not found: {candidates} places look like it")]
    NoAllgs {
        /// How many places have its shape.
        candidates: usize,
    },
    /// The process's memory could not be read.
    #[error("the memory of the process could not be read")]
    Read(#[from] ReadError),
}

/// What is needed to find variables.
#[derive(Clone, Copy)]
pub struct Sources<'a, 'd> {
    /// The binary.
    pub elf: &'a Elf<'d>,
    /// Where it was loaded.
    pub bias: Bias,
    /// Its runtime's code.
    pub code: &'a Code<'a, 'd>,
    /// Its module data.
    pub module: &'a Module<'d>,
}

/// The variables as the symbol table has them.
const SYMBOLS: [&str; 8] = [
    "runtime.allgs",
    "runtime.allglen",
    "runtime.allgptr",
    "runtime.sched",
    "runtime.allp",
    "runtime.allm",
    "runtime.semtable",
    "runtime.fingStatus",
];

impl Globals {
    /// Finds the variables of a running process.
    pub fn find(
        sources: &Sources<'_, '_>,
        layout: &Layout,
        memory: &dyn Memory,
    ) -> Result<Self, GlobalsError> {
        let recipes = Recipes::new(sources);
        let symbols = sources.elf.symbols(SYMBOLS).map(|found| found.map(|at| sources.bias.to_avma(at)));
        let [allgs, allglen, allgptr, sched, allp, allm, semtable, fing_status] = symbols;
        let allgadd = recipes.allgadd();
        let (allgs, found) = match (allgs, allgadd.as_ref()) {
            (Some(at), _) => (at, Found::Symbols),
            (None, Some(refs)) => (refs.allgs, Found::Disassembly),
            (None, None) => {
                let ranges = [sources.module.data, sources.module.bss];
                (search::allgs(ranges, &layout.g, memory)?, Found::MemoryShape)
            }
        };
        let sched_lock = layout.sched.as_ref().map(|sched| u64::from(sched.lock));
        Ok(Self {
            allgs,
            allglen: allglen.or_else(|| allgadd.as_ref()?.allglen),
            allgptr: allgptr.or_else(|| allgadd.as_ref()?.allgptr),
            sched: sched.or_else(|| recipes.sched(sched_lock?)),
            allp: allp.or_else(|| recipes.allp()),
            allm: allm.or_else(|| recipes.allm()),
            semtable: semtable.or_else(|| recipes.semtable()),
            fing_status: fing_status.or_else(|| recipes.fing_status()),
            finalizer_words: recipes.variables_of("runtime.queuefinalizer"),
            cleanup_words: recipes.variables_of("runtime.runCleanups"),
            found,
        })
    }
}
