//! How module data is read, and how a wrong layout is recognised.
//!
//! The fields up to offset 256 have not moved since Go 1.18. The rest is in one of few layouts
//! ([`Moduledata`]), and which one is
//! proved by what is there: `gofunc` plus a function's offset must be an inline tree that makes sense.

use super::{
    AvmaRange, MAX_PATH, MAX_TEXT_SECTIONS, Module, ModuleFile, ModuledataError, PendingModule, TextSection,
};
use crate::base::bytes;
use crate::base::memory::{MAX_READ, Memory, ReadError};
use crate::base::num::Avma;
use crate::go::facts::Moduledata;

/// How much of a `moduledata` is read: no more than the shortest of them is long (Go 1.19: 552 bytes).
const READ_SIZE: usize = 552;
/// The size of a `runtime.textsect`.
const TEXT_SECTION_SIZE: usize = 24;
/// How many functions with inlined calls are looked at to prove a layout.
const PROOFS: usize = 8;

// go-runtime: struct runtime.moduledata, the fields that have not moved (go1.18..)
pub(super) const PC_HEADER: usize = 0;
pub(super) const TEXT: usize = 176;
pub(super) const ETEXT: usize = 184;
const NOPTRDATA: usize = 192;
const DATA: usize = 208;
const BSS: usize = 224;
const NOPTRBSS: usize = 240;

/// The fields of `moduledata` that have moved.
pub(super) type Offsets = Moduledata;

impl Offsets {
    /// The address of the module after the one at `at`, null if it is the last.
    pub(super) fn following(&self, at: Avma, memory: &dyn Memory) -> Result<Avma, ReadError> {
        memory.pointer(at.plus(self.next as u64))
    }

    /// What can be said of the module at `at` without its file.
    pub(super) fn read_pending(&self, at: Avma, memory: &dyn Memory) -> Result<PendingModule, ReadError> {
        Ok(PendingModule {
            address: at,
            pclntab: memory.pointer(at)?,
            plugin_path: memory.go_string(at.plus(self.pluginpath as u64), MAX_PATH)?,
        })
    }

    /// The module at `at` if it is from `file`, and laid out like this.
    pub(super) fn read_module<'d>(
        &self,
        at: Avma,
        file: &ModuleFile<'_, 'd>,
        memory: &dyn Memory,
    ) -> Result<Option<Module<'d>>, ModuledataError> {
        let mut raw = [0; READ_SIZE];
        memory.read(at, &mut raw)?;
        let Some(mut module) = self.decode(at, &raw, file) else { return Ok(None) };
        if !is_proved(&module, file) {
            return Ok(None);
        }
        let path = memory.go_string(at.plus(self.pluginpath as u64), MAX_PATH);
        module.plugin_path = path.ok().filter(|path| !path.is_empty());
        match self.text_sections(&raw, memory)? {
            Some(sections) => module.text_sections = sections,
            None => return Ok(None),
        }
        Ok(Some(module))
    }

    /// Picks the fields out of the bytes of a module.
    fn decode<'d>(&self, at: Avma, raw: &[u8], file: &ModuleFile<'_, 'd>) -> Option<Module<'d>> {
        let word = |offset| bytes::u64_at(raw, offset).map(Avma);
        let range = |start, end| Some(AvmaRange { start: word(start)?, end: word(end)? });
        if word(PC_HEADER)? != file.pclntab {
            return None;
        }
        let gofunc = word(self.gofunc)?;
        Some(Module {
            address: at,
            pclntab: file.table,
            text: range(TEXT, ETEXT)?,
            noptrdata: range(NOPTRDATA, NOPTRDATA + 8)?,
            data: range(DATA, DATA + 8)?,
            bss: range(BSS, BSS + 8)?,
            noptrbss: range(NOPTRBSS, NOPTRBSS + 8)?,
            types: range(self.types, self.etypes)?,
            rodata: word(self.rodata)?,
            gofunc,
            plugin_path: None,
            gofunc_bytes: file.bytes_from(gofunc)?,
            text_sections: Vec::new(),
        })
    }

    /// The pieces of the text; empty if there is only one, and `None` where there is no such list.
    fn text_sections(
        &self,
        raw: &[u8],
        memory: &dyn Memory,
    ) -> Result<Option<Vec<TextSection>>, ModuledataError> {
        let word = |index: usize| bytes::u64_at(raw, self.textsectmap + 8 * index).unwrap_or(0);
        let (at, len, capacity) = (Avma(word(0)), word(1), word(2));
        if len != capacity || len == 0 || len > MAX_TEXT_SECTIONS {
            return Ok(None);
        }
        if len == 1 {
            return Ok(Some(Vec::new()));
        }
        let size = len * TEXT_SECTION_SIZE as u64;
        let raw = memory.bytes(at, size, MAX_READ)?;
        Ok(raw.chunks_exact(TEXT_SECTION_SIZE).map(TextSection::decode).collect())
    }
}

/// Whether addresses and inline trees are where a module of the layout that it was read with has them.
fn is_proved(module: &Module<'_>, file: &ModuleFile<'_, '_>) -> bool {
    let in_file = [module.text.start, module.types.start, module.rodata];
    module.text.start < module.text.end
        && module.types.start < module.types.end
        && in_file.into_iter().all(|at| file.bytes_from(at).is_some())
        && has_inline_trees(module)
}

/// Whether the first functions with inlined calls have trees whose first call makes sense.
fn has_inline_trees(module: &Module<'_>) -> bool {
    let trees = module.pclntab.functions().filter_map(|function| Some((function, function.inline_tree()?)));
    let mut proofs = trees.take(PROOFS).map(|(function, tree)| {
        let tree = module.funcdata(tree)?;
        let call = module.pclntab.inlined_call(&function, tree, 0)?;
        Some(function.contains(call.parent) && !call.name.is_empty() && call.name != "?")
    });
    proofs.all(|proof| proof == Some(true))
}
