//! The machine code of the runtime's functions, by their names.

use thiserror::Error;

use crate::base::hash::KeyedMap;
use crate::base::num::{Bias, FileOffset, Svma};
use crate::binary::disasm::{self, DataRef, DisasmError, Instruction};
use crate::binary::elf::{Arch, Elf};
use crate::go::moduledata::Module;
use crate::go::pclntab::{FuncId, Function, Pclntab, TextOffset};

/// Why a function's code cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CodeError {
    /// The binary has no function of this name: it was not linked, or was inlined everywhere.
    #[error("there is no function {name}")]
    NoFunction {
        /// The name.
        name: String,
    },
    /// The function's addresses are not in the file.
    #[error("the code of {name} at {at} is not in the file")]
    NotInFile {
        /// The name.
        name: String,
        /// The function's entry.
        at: Svma,
    },
    /// The function's code could not be decoded.
    #[error("the code of {name} could not be decoded")]
    Disasm {
        /// The name.
        name: String,
        /// What is wrong.
        source: DisasmError,
    },
}

/// The functions of the package `runtime` (and `time.Sleep`, whose body is in there) of one binary.
#[derive(Debug)]
pub struct Code<'a, 'd> {
    elf: &'a Elf<'d>,
    bias: Bias,
    module: &'a Module<'d>,
    /// Which of the function table's functions has a name.
    functions: KeyedMap<&'d str, usize>,
}

impl<'a, 'd> Code<'a, 'd> {
    /// The functions of `module`, which was loaded from `elf` at `bias`.
    pub fn new(elf: &'a Elf<'d>, bias: Bias, module: &'a Module<'d>) -> Self {
        let table = module.pclntab;
        let mut functions = KeyedMap::default();
        for index in table.named(is_runtime) {
            let Some(function) = table.function(index) else { continue };
            let known = functions.entry(function.name()).or_insert(index);
            // `newproc` and others are there twice: the real one, and one for callers with the other ABI.
            if *known != index && is_wrapper(&table, *known) {
                *known = index;
            }
        }
        Self { elf, bias, module, functions }
    }

    /// What the code is for.
    pub const fn arch(&self) -> Arch {
        self.elf.arch()
    }

    /// The module that the code is of.
    pub const fn module(&self) -> &'a Module<'d> {
        self.module
    }

    /// Where the binary was loaded.
    pub const fn bias(&self) -> Bias {
        self.bias
    }

    /// The function with this name.
    pub fn function(&self, name: &str) -> Option<Function<'d>> {
        self.module.pclntab.function(*self.functions.get(name)?)
    }

    /// The function that the instruction at `at` belongs to.
    pub fn function_at(&self, at: Svma) -> Option<Function<'d>> {
        self.module.function(self.bias.to_avma(at).as_pc())
    }

    /// The address of an offset in the text.
    pub fn address(&self, at: TextOffset) -> Svma {
        self.bias.to_svma(self.module.pc(at).as_avma())
    }

    /// Where in the file the byte at `at` is.
    pub fn file_offset(&self, at: Svma) -> Option<FileOffset> {
        self.elf.file_offset(at)
    }

    /// The bytes of a function, with the padding that follows it.
    pub fn bytes(&self, function: &Function<'d>) -> Option<&'d [u8]> {
        let len = function.end().0.checked_sub(function.entry().0)?;
        self.elf.bytes_from(self.address(function.entry()))?.get(..usize::try_from(len).ok()?)
    }

    /// All of the text, as far as it is in the file.
    pub fn text(&self) -> (Svma, &'d [u8]) {
        let range = self.module.text;
        let start = self.bias.to_svma(range.start);
        let bytes = self.elf.bytes_from(start).unwrap_or_default();
        let len = range.end.offset_from(range.start).and_then(|len| usize::try_from(len).ok()).unwrap_or(0);
        (start, bytes.get(..len).unwrap_or(bytes))
    }

    /// The instructions of the function called `name`.
    pub fn instructions(&self, name: &str) -> Result<Vec<Instruction>, CodeError> {
        let function = self.function(name).ok_or_else(|| CodeError::NoFunction { name: name.to_owned() })?;
        self.decode(&function)
    }

    /// The instructions of a function.
    pub fn decode(&self, function: &Function<'d>) -> Result<Vec<Instruction>, CodeError> {
        let (name, at) = (|| function.name().to_owned(), self.address(function.entry()));
        let bytes = self.bytes(function).ok_or_else(|| CodeError::NotInFile { name: name(), at })?;
        disasm::function(self.arch(), at, bytes).map_err(|source| CodeError::Disasm { name: name(), source })
    }

    /// The data that the function called `name` refers to, in the order of its code; nothing if there is no
    /// such function.
    pub(crate) fn data_refs(&self, name: &str) -> Vec<DataRef> {
        self.instructions(name).unwrap_or_default().iter().filter_map(|one| one.data).collect()
    }
}

/// Whether the first of `names` is of a function that is known here.
fn is_runtime(names: &[u8]) -> bool {
    names.starts_with(b"runtime.") || names.starts_with(b"time.Sleep\0")
}

fn is_wrapper(table: &Pclntab<'_>, index: usize) -> bool {
    table.function(index).is_some_and(|function| function.id() == FuncId::Wrapper)
}
