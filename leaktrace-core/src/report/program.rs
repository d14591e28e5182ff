//! A Go program as a source of names: its own tables for Go code, debug information for the C code of cgo.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};

use crate::base::num::{Bias, Pc};
use crate::binary::dwarf::{DebugInfo, DwarfFrame, DwarfLines};
use crate::binary::elf::Elf;
use crate::go::pclntab::FuncId;
use crate::go::program::Program;
use crate::go::symbolize::{SymbolFrame, expand};
use crate::go::symbols::{Symbol, Symbols};

/// A binary's debug information, loaded when it is first needed: that can take seconds.
pub struct LazyDebugInfo<'d> {
    elf: Elf<'d>,
    info: OnceCell<Option<DebugInfo<'d>>>,
}

impl<'d> LazyDebugInfo<'d> {
    /// That of `elf`, if it has any.
    pub const fn of(elf: Elf<'d>) -> Self {
        Self { elf, info: OnceCell::new() }
    }

    fn get(&self) -> Option<&DebugInfo<'d>> {
        self.info.get_or_init(|| DebugInfo::load(&self.elf).ok()).as_ref()
    }

    /// Whether the file has code at the stated address.
    fn has_code_at(&self, pc: Pc, bias: Bias) -> bool {
        let at = bias.to_svma(pc.as_avma());
        self.elf.segments().iter().any(|segment| {
            segment.executable && at.offset_from(segment.svma).is_some_and(|offset| offset < segment.mem_size)
        })
    }
}

/// The names of a program, C functions included where the binary has debug information.
pub struct ProgramSymbols<'p, 'd> {
    program: &'p Program<'d>,
    bias: Bias,
    debug: &'p LazyDebugInfo<'d>,
    lines: RefCell<Option<DwarfLines<'p>>>,
}

impl<'p, 'd> ProgramSymbols<'p, 'd> {
    /// The names of `program`, whose binary was loaded at `bias`.
    pub const fn new(program: &'p Program<'d>, bias: Bias, debug: &'p LazyDebugInfo<'d>) -> Self {
        Self { program, bias, debug, lines: RefCell::new(None) }
    }

    /// What debug information says of code that is not Go's.
    fn native(&self, pc: Pc) -> Vec<DwarfFrame<'p>> {
        if !self.debug.has_code_at(pc, self.bias) {
            return Vec::new();
        }
        let mut lines = self.lines.borrow_mut();
        if lines.is_none() {
            *lines = self.debug.get().and_then(|info| DwarfLines::new(info).ok());
        }
        let frames = lines.as_mut().map(|lines| lines.frames(self.bias.to_svma(pc.as_avma())));
        frames.and_then(Result::ok).unwrap_or_default()
    }
}

impl Symbols for ProgramSymbols<'_, '_> {
    fn symbols<'s>(&'s self, pc: Pc, out: &mut Vec<Symbol<'s>>) {
        let mut frames = Vec::new();
        expand(&self.program.modules, pc, &mut frames);
        if frames.is_empty() {
            out.extend(self.native(pc).into_iter().map(native_symbol));
        }
        out.extend(frames.iter().map(symbol));
    }

    fn wait_reason(&self, number: u8) -> Option<&str> {
        self.program.wait_reasons.name(number)
    }
}

fn symbol<'s>(frame: &SymbolFrame<'s>) -> Symbol<'s> {
    Symbol {
        function: frame.function,
        file: Some(frame.file).filter(|file| *file != "?").map(Cow::Borrowed),
        line: Some(frame.line).filter(|line| *line > 0),
        id: frame.id,
        native: false,
    }
}

fn native_symbol(frame: DwarfFrame<'_>) -> Symbol<'_> {
    Symbol {
        function: frame.function,
        file: Some(frame.file).filter(|file| !file.is_empty()).map(Cow::Owned),
        line: Some(frame.line).filter(|line| *line > 0),
        id: FuncId::Normal,
        native: true,
    }
}
