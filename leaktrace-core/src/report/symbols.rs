//! What a report asks a program's symbols, each address once.

use std::borrow::Cow;
use std::ops::Range;

use rustc_hash::FxHashMap;

use super::{Frame, Location};
use crate::go::pclntab::FuncId;
use crate::num::{Pc, ReturnPc};
use crate::symbolize;
use crate::traceback::{FunctionKind, NEWEST_RELEASE, is_shown};

/// One call at an address, physical or inlined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol<'s> {
    /// The function, as the linker recorded its name.
    pub function: &'s str,
    /// The path of the source file.
    pub file: Option<Cow<'s, str>>,
    /// The line in it.
    pub line: Option<u32>,
    /// Whether the function is special to the runtime.
    pub id: FuncId,
    /// Whether it is C code, to which Go's rules do not apply.
    pub native: bool,
}

impl Symbol<'_> {
    /// The function's name as Go prints it.
    pub(super) fn display_name(&self) -> String {
        symbolize::display_name(self.function).into_owned()
    }

    fn path(&self) -> Option<String> {
        self.file.as_deref().map(str::to_owned)
    }
}

/// The names of one program.
pub trait Symbols {
    /// Appends the calls at `pc`, the address of an instruction, to `out`: the innermost inlined one first, the
    /// physical function last. Nothing if no function is there.
    fn symbols<'s>(&'s self, pc: Pc, out: &mut Vec<Symbol<'s>>);

    /// The name of a wait reason.
    fn wait_reason(&self, number: u8) -> Option<&str>;
}

/// [`Symbols`] with a memory, and what Go's traceback makes of them.
pub(super) struct Names<'s> {
    source: &'s dyn Symbols,
    known: FxHashMap<Pc, Range<usize>>,
    symbols: Vec<Symbol<'s>>,
}

impl<'s> Names<'s> {
    pub(super) fn new(source: &'s dyn Symbols) -> Self {
        Self { source, known: FxHashMap::default(), symbols: Vec::new() }
    }

    pub(super) fn wait_reason(&self, number: u8) -> Option<&'s str> {
        self.source.wait_reason(number)
    }

    /// All calls at `pc`, the innermost first.
    fn at(&mut self, pc: Pc) -> &[Symbol<'s>] {
        let Self { source, known, symbols } = self;
        let range = known.entry(pc).or_insert_with(|| {
            let start = symbols.len();
            source.symbols(pc, symbols);
            start..symbols.len()
        });
        &symbols[range.clone()]
    }

    /// The physical function at `pc`.
    pub(super) fn function(&mut self, pc: Pc) -> Option<Symbol<'s>> {
        self.at(pc).last().cloned()
    }

    /// Where a `go` statement is, as Go prints it: the physical function, with the line of the innermost call.
    pub(super) fn created_by(&mut self, at: ReturnPc) -> Location {
        let symbols = self.at(at.call_site());
        let innermost = symbols.first();
        Location {
            function: symbols.last().map(Symbol::display_name),
            file: innermost.and_then(Symbol::path),
            line: innermost.and_then(|symbol| symbol.line),
            pc: at.to_string(),
        }
    }

    /// The frames of a stack that Go's traceback shows; all of them if it would show none.
    pub(super) fn stack(&mut self, pcs: &[ReturnPc]) -> Vec<Frame> {
        let mut all = Vec::new();
        let mut shown = Vec::new();
        let mut callee = FunctionKind::Normal;
        for pc in pcs {
            let symbols = self.at(pc.call_site());
            if symbols.is_empty() {
                let unknown = Frame { function: None, file: None, line: None, pc: Some(pc.to_string()) };
                shown.push(all.len());
                all.push(unknown);
                callee = FunctionKind::Normal;
            }
            for symbol in symbols {
                let kind = symbol.id.into();
                let first = shown.is_empty();
                if symbol.native || is_shown(NEWEST_RELEASE, symbol.function, kind, callee, first) {
                    shown.push(all.len());
                }
                callee = kind;
                all.push(Frame::of(symbol));
            }
        }
        if shown.is_empty() { all } else { keep(all, &shown) }
    }
}

/// The frames at `indices`, which ascend.
fn keep(frames: Vec<Frame>, indices: &[usize]) -> Vec<Frame> {
    let mut wanted = indices.iter().copied().peekable();
    let is_wanted = |(index, frame)| wanted.next_if_eq(&index).map(|_| frame);
    frames.into_iter().enumerate().filter_map(is_wanted).collect()
}

impl Frame {
    fn of(symbol: &Symbol<'_>) -> Self {
        Self { function: Some(symbol.display_name()), file: symbol.path(), line: symbol.line, pc: None }
    }
}
