//! A Go program as a source of names.

use super::symbols::{Symbol, Symbols};
use crate::go::program::Program;
use crate::num::Pc;
use crate::symbolize::{Frame, expand};

impl Symbols for Program<'_> {
    fn symbols<'s>(&'s self, pc: Pc, out: &mut Vec<Symbol<'s>>) {
        let mut frames = Vec::new();
        expand(&self.modules, pc, &mut frames);
        out.extend(frames.iter().map(symbol));
    }

    fn wait_reason(&self, number: u8) -> Option<&str> {
        self.wait_reasons.name(number)
    }
}

fn symbol<'s>(frame: &Frame<'s>) -> Symbol<'s> {
    Symbol {
        function: frame.function,
        file: Some(frame.file).filter(|file| *file != "?"),
        line: Some(frame.line).filter(|line| *line > 0),
        id: frame.id,
    }
}
