//! The names that a program has for its addresses, whoever knows them: a live process, or a recording of one.

mod names;

use std::borrow::Cow;

pub(crate) use names::Names;

use super::pclntab::FuncId;
use super::symbolize;
use crate::base::num::Pc;

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
    pub fn display_name(&self) -> String {
        symbolize::display_name(self.function).into_owned()
    }

    /// The path of the source file.
    pub(crate) fn path(&self) -> Option<String> {
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
