//! The runtime's `moduledata`: where a Go module's text, data, types and tables are in the running process.
//!
//! One for the program and one for each plugin that it has loaded, in a list. Everything is read from the live
//! process (or a [`FileMemory`](crate::binary::elf::FileMemory)), because what the file holds may need relocation; the
//! big tables stay in the mapped files.
//!
//! Sources: Go `src/runtime/symtab.go` (`moduledata`, `textAddr`, `textOff`), go1.19 to go1.27;
//! `src/runtime/plugin.go` for the list.

mod find;
mod offsets;
#[cfg(test)]
pub(crate) mod program_builder;
#[cfg(test)]
mod tests;

use std::fmt;

use thiserror::Error;

use self::offsets::Offsets;
use crate::base::bytes;
use crate::base::memory::{Memory, ReadError};
use crate::base::num::{Avma, Bias, Pc};
use crate::binary::elf::Elf;
use crate::go::facts::moduledata_layouts;
use crate::go::pclntab::{Function, Pclntab, PclntabError, TextOffset};
use crate::go::version::GoVersion;

/// The most modules that are followed. A program with more plugins than this is not one.
const MAX_MODULES: usize = 256;
/// The longest plugin path, in bytes.
const MAX_PATH: usize = 4096;
/// The most pieces of text that are looked at; only very large arm64 programs have more than one.
const MAX_TEXT_SECTIONS: u64 = 256;

/// Why a program's modules cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ModuledataError {
    /// The function table, to which the module data must point, was not found.
    #[error(transparent)]
    Pclntab(#[from] PclntabError),
    /// No writable memory points to the function table as module data does.
    #[error("no module data points to the function table at {pclntab}")]
    NotFound {
        /// Where the function table is.
        pclntab: Avma,
    },
    /// It was found, and no known layout fits what is there.
    #[error("the module data at {at} matches no known Go release")]
    UnknownLayout {
        /// Where it is.
        at: Avma,
    },
    /// The process's memory could not be read.
    #[error("cannot read module data: {0}")]
    Read(#[from] ReadError),
}

/// A range of addresses in the running process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct AvmaRange {
    /// The first address.
    pub start: Avma,
    /// The first address after it.
    pub end: Avma,
}

impl AvmaRange {
    /// Whether `at` is in the range.
    pub fn contains(&self, at: Avma) -> bool {
        self.start <= at && at < self.end
    }
}

impl fmt::Display for AvmaRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

/// A piece of the text: where the linker thought it would be, and where it is (`runtime.textsect`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TextSection {
    /// Its offset in the text as the function table counts.
    offset: u64,
    /// The offset of its end.
    end: u64,
    /// Its address.
    base: u64,
}

impl TextSection {
    /// Reads one of three words.
    fn decode(raw: &[u8]) -> Option<Self> {
        let word = |offset| bytes::u64_at(raw, offset);
        Some(Self { offset: word(0)?, end: word(8)?, base: word(16)? })
    }
}

/// A Go module: the program, or a plugin.
#[derive(Clone)]
pub struct Module<'d> {
    /// Where its `moduledata` is.
    pub address: Avma,
    /// Its functions.
    pub pclntab: Pclntab<'d>,
    /// Its code.
    pub text: AvmaRange,
    /// Data without pointers.
    pub noptrdata: AvmaRange,
    /// Data with pointers.
    pub data: AvmaRange,
    /// Zeroed data with pointers.
    pub bss: AvmaRange,
    /// Zeroed data without pointers.
    pub noptrbss: AvmaRange,
    /// Its type descriptors; offsets in them count from the start.
    pub types: AvmaRange,
    /// Where its read-only data begins.
    pub rodata: Avma,
    /// What offsets of function data count from.
    pub gofunc: Avma,
    /// The path of a plugin; none for the program.
    pub plugin_path: Option<String>,
    /// The file's bytes from `gofunc` on.
    gofunc_bytes: &'d [u8],
    /// The pieces of the text, if it has more than one.
    text_sections: Vec<TextSection>,
}

impl fmt::Debug for Module<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module")
            .field("address", &self.address)
            .field("text", &self.text)
            .field("plugin_path", &self.plugin_path)
            .finish_non_exhaustive()
    }
}

impl<'d> Module<'d> {
    /// The offset of `pc` as the function table counts, if `pc` is in this module's text.
    pub(crate) fn text_offset(&self, pc: Pc) -> Option<TextOffset> {
        let at = pc.as_avma();
        if !self.text.contains(at) {
            return None;
        }
        if self.text_sections.is_empty() {
            return at.offset_from(self.text.start).map(TextOffset);
        }
        self.text_sections.iter().find_map(|section| {
            let inside = at.0.checked_sub(section.base)?;
            let offset = section.offset.checked_add(inside)?;
            (offset < section.end).then_some(TextOffset(offset))
        })
    }

    /// Where the instruction at `offset` is.
    pub fn pc(&self, offset: TextOffset) -> Pc {
        let section = self
            .text_sections
            .iter()
            .find(|section| section.offset <= offset.0 && offset.0 < section.end)
            .map(|section| section.base.wrapping_add(offset.0.wrapping_sub(section.offset)));
        Pc(section.unwrap_or_else(|| self.text.start.plus(offset.0).0))
    }

    /// The function that holds the instruction at `pc`.
    pub fn function(&self, pc: Pc) -> Option<Function<'d>> {
        self.pclntab.function_at(self.text_offset(pc)?)
    }

    /// The first instruction of `function`, which is one of this module's.
    pub fn entry(&self, function: &Function<'d>) -> Pc {
        self.pc(function.entry())
    }

    /// The file's bytes at `offset` from `gofunc`, as [`Function::funcdata`] gives it, to the segment's end.
    pub fn funcdata(&self, offset: u32) -> Option<&'d [u8]> {
        bytes::tail(self.gofunc_bytes, offset.into())
    }
}

/// A module that the process has loaded from a file that was not given yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingModule {
    /// Where its `moduledata` is.
    pub address: Avma,
    /// Where its function table is: an address inside the file's mapping.
    pub pclntab: Avma,
    /// The path that its plugin was built from: a package path, not a file's.
    pub plugin_path: String,
}

/// All Go modules of a process.
#[derive(Clone, Debug)]
pub struct Modules<'d> {
    main: Module<'d>,
    plugins: Vec<Module<'d>>,
    pending: Vec<PendingModule>,
    offsets: Offsets,
}

impl<'d> Modules<'d> {
    /// Finds the module data of the program `elf`, loaded at `bias`, and what the runtime has added to it.
    ///
    /// `version` is a hint that saves trying other layouts; every layout is checked against what is there.
    pub fn find(
        elf: &Elf<'d>,
        bias: Bias,
        memory: &dyn Memory,
        version: Option<GoVersion>,
    ) -> Result<Self, ModuledataError> {
        let (svma, table) = Pclntab::find_in(elf)?;
        let pclntab = bias.to_avma(svma);
        let candidates = find::candidates(elf, bias, memory, pclntab, table.offsets())?;
        let first = *candidates.first().ok_or(ModuledataError::NotFound { pclntab })?;
        let file = ModuleFile { elf, bias, pclntab, table };
        for offsets in moduledata_layouts(version) {
            for &at in &candidates {
                if let Some(main) = offsets.read_module(at, &file, memory)? {
                    let mut modules = Self { main, plugins: Vec::new(), pending: Vec::new(), offsets };
                    modules.refresh(memory)?;
                    return Ok(modules);
                }
            }
        }
        Err(ModuledataError::UnknownLayout { at: first })
    }

    /// Looks again for modules that the process has loaded since.
    pub fn refresh(&mut self, memory: &dyn Memory) -> Result<(), ModuledataError> {
        self.pending.clear();
        let first = self.main.address;
        let mut at = self.offsets.following(first, memory)?;
        for _ in 0..MAX_MODULES {
            if at.is_null() || at == first {
                break;
            }
            if !self.is_known(at) {
                self.pending.push(self.offsets.read_pending(at, memory)?);
            }
            at = self.offsets.following(at, memory)?;
        }
        Ok(())
    }

    fn is_known(&self, at: Avma) -> bool {
        self.iter().any(|module| module.address == at)
            || self.pending.iter().any(|module| module.address == at)
    }

    /// The modules whose files were not given yet.
    pub fn pending(&self) -> &[PendingModule] {
        &self.pending
    }

    /// Adds the pending modules that were loaded from the file `elf` at `bias`, and says how many.
    pub fn add_file(
        &mut self,
        elf: &Elf<'d>,
        bias: Bias,
        memory: &dyn Memory,
    ) -> Result<usize, ModuledataError> {
        let mut added = 0;
        for pending in std::mem::take(&mut self.pending) {
            let file = ModuleFile::at(pending.pclntab, elf, bias);
            let module =
                file.map(|file| self.offsets.read_module(pending.address, &file, memory)).transpose()?;
            match module.flatten() {
                Some(module) => {
                    self.plugins.push(module);
                    added += 1;
                }
                None => self.pending.push(pending),
            }
        }
        Ok(added)
    }

    /// The program's own module.
    pub const fn main(&self) -> &Module<'d> {
        &self.main
    }

    /// All modules, the program's first.
    pub fn iter(&self) -> impl Iterator<Item = &Module<'d>> {
        std::iter::once(&self.main).chain(&self.plugins)
    }

    /// The function that holds the instruction at `pc`, and its module.
    pub fn function(&self, pc: Pc) -> Option<(&Module<'d>, Function<'d>)> {
        let module = self.iter().find(|module| module.text.contains(pc.as_avma()))?;
        Some((module, module.function(pc)?))
    }
}

/// A file that modules are loaded from, and the function table that is wanted in it.
struct ModuleFile<'a, 'd> {
    elf: &'a Elf<'d>,
    bias: Bias,
    pclntab: Avma,
    table: Pclntab<'d>,
}

impl<'a, 'd> ModuleFile<'a, 'd> {
    /// The file `elf`, if there is a function table at `pclntab` in it.
    fn at(pclntab: Avma, elf: &'a Elf<'d>, bias: Bias) -> Option<Self> {
        let table = Pclntab::parse(elf.bytes_from(bias.to_svma(pclntab))?).ok()?;
        Some(Self { elf, bias, pclntab, table })
    }

    /// What the file has from the place on that is `at` in the process.
    fn bytes_from(&self, at: Avma) -> Option<&'d [u8]> {
        self.elf.bytes_from(self.bias.to_svma(at))
    }
}
