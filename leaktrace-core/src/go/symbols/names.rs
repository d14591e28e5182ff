//! What is to be shown of a program's symbols, each address asked for once.

use std::ops::Range;

use super::{Symbol, Symbols};
use crate::base::hash::KeyedMap;
use crate::base::num::{Pc, ReturnPc};
use crate::go::facts::Traceback;
use crate::go::traceback::{FunctionKind, is_shown};
use crate::schema::{Frame, Location};

/// [`Symbols`] with a memory, and what Go's traceback makes of them.
pub(crate) struct Names<'s> {
    source: &'s dyn Symbols,
    known: KeyedMap<Pc, Range<usize>>,
    symbols: Vec<Symbol<'s>>,
}

impl<'s> Names<'s> {
    pub(crate) fn new(source: &'s dyn Symbols) -> Self {
        Self { source, known: KeyedMap::default(), symbols: Vec::new() }
    }

    pub(crate) fn wait_reason(&self, number: u8) -> Option<&'s str> {
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
    pub(crate) fn function(&mut self, pc: Pc) -> Option<Symbol<'s>> {
        self.at(pc).last().cloned()
    }

    /// Where a `go` statement is, as Go prints it: the physical function, with the line of the innermost call.
    pub(crate) fn created_by(&mut self, at: ReturnPc) -> Location {
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
    pub(crate) fn stack(&mut self, pcs: &[ReturnPc]) -> Vec<Frame> {
        let mut all = Vec::new();
        let mut shown = Vec::new();
        let mut callee = FunctionKind::Normal;
        let rules = Traceback::of(None);
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
                if symbol.native || is_shown(rules, symbol.function, kind, callee, first) {
                    shown.push(all.len());
                }
                callee = kind;
                all.push(frame(symbol));
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

fn frame(symbol: &Symbol<'_>) -> Frame {
    Frame { function: Some(symbol.display_name()), file: symbol.path(), line: symbol.line, pc: None }
}
