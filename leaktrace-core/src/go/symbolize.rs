//! From code addresses to functions, files and lines, with calls that the compiler inlined.
//!
//! The same frames, in the same order, as Go's own traceback prints, before it hides any: wrappers are marked
//! and not dropped. C code has no entry in a function table and is the business of [`crate::binary::dwarf`].
//!
//! Source: Go `src/runtime/symtabinl.go` (`inlineUnwinder`), go1.21 to go1.27, and `src/runtime/traceback.go`
//! (`gentraceback`), go1.19, which does the same.

use std::borrow::Cow;

use crate::base::num::Pc;
use crate::go::moduledata::{Module, Modules};
use crate::go::pclntab::{FuncId, Function, InlinedCall, SourceLine, TextOffset};

/// The most inlined calls in each other that are expanded. Compilers stay far below.
const MAX_DEPTH: usize = 256;

/// One call, physical or inlined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SymbolFrame<'d> {
    /// The function, as the linker recorded its name. For people, see [`display_name`].
    pub function: &'d str,
    /// The path of the source file, `?` if it is unknown.
    pub file: &'d str,
    /// The line in it, 0 if it is unknown.
    pub line: u32,
    /// Whether the call was inlined into the frame that follows.
    pub inlined: bool,
    /// Whether the function is special to the runtime; [`FuncId::Wrapper`] marks what Go does not show.
    pub id: FuncId,
    /// The line where the function begins, where it is known (Go 1.20 and later).
    pub start_line: Option<u32>,
    /// The first instruction of the physical function.
    pub entry: Pc,
    /// The address that was looked up; for a frame around an inlined call, an instruction at the call's place.
    pub pc: Pc,
}

/// Appends the frames at `pc` to `out`, the innermost first, and says whether there are any.
///
/// `pc` is the address of an instruction: for a return address, its
/// [call site](crate::base::num::ReturnPc::call_site).
pub fn expand<'d>(modules: &Modules<'d>, pc: Pc, out: &mut Vec<SymbolFrame<'d>>) -> bool {
    let Some((module, function)) = modules.function(pc) else { return false };
    let Some(mut at) = module.text_offset(pc) else { return false };
    for _ in 0..MAX_DEPTH {
        let Some(call) = inlined_call(module, &function, at) else { break };
        let start_line = call.start_line;
        out.push(SymbolFrame {
            inlined: true,
            ..frame(module, &function, at, call.name, call.id, start_line)
        });
        at = call.parent;
    }
    out.push(frame(module, &function, at, function.name(), function.id(), function.start_line()));
    true
}

/// The innermost inlined call that the instruction at `at` belongs to.
fn inlined_call<'d>(module: &Module<'d>, function: &Function<'d>, at: TextOffset) -> Option<InlinedCall<'d>> {
    let tree = module.funcdata(function.inline_tree()?)?;
    module.pclntab.inlined_call(function, tree, function.inline_index(at)?)
}

fn frame<'d>(
    module: &Module<'d>,
    physical: &Function<'d>,
    at: TextOffset,
    function: &'d str,
    id: FuncId,
    start_line: Option<u32>,
) -> SymbolFrame<'d> {
    let SourceLine { file, line } = physical.line(at).unwrap_or(SourceLine { file: "?", line: 0 });
    let entry = module.entry(physical);
    SymbolFrame { function, file, line, inlined: false, id, start_line, entry, pc: module.pc(at) }
}

/// A function's name as Go prints it: the type arguments of generics as `[...]`.
///
/// Source: Go `src/runtime/traceback.go` (`printFuncName`) and `symtab.go` (`funcNameForPrint`), go1.21 to go1.27.
pub fn display_name(name: &str) -> Cow<'_, str> {
    let parts = name.find('[').zip(name.rfind(']')).filter(|(open, close)| open < close);
    match parts.and_then(|(open, close)| name.get(..open).zip(name.get(close + 1..))) {
        Some((before, after)) => format!("{before}[...]{after}").into(),
        None => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binary::elf::{Elf, FileMemory};
    use crate::go::moduledata::program_builder::{GO_1_19, ProgramBuilder, TEXT};

    const BASE: u64 = 0x7000_0000;

    /// The frames at `offset` of the text of a tiny program, as function, file, line and whether inlined.
    fn expanded(builder: ProgramBuilder, offset: u64) -> Vec<(String, String, u32, bool)> {
        let file = builder.file();
        let elf = Elf::parse(&file).unwrap();
        let memory = FileMemory::new(&elf, builder.bias());
        let modules = Modules::find(&elf, builder.bias(), &memory, None).unwrap();
        let mut frames = Vec::new();
        assert_eq!(expand(&modules, Pc(BASE + TEXT + offset), &mut frames), !frames.is_empty());
        let all =
            |frame: &SymbolFrame<'_>| (frame.function.into(), frame.file.into(), frame.line, frame.inlined);
        frames.iter().map(all).collect()
    }

    #[test]
    fn inlined_calls_come_before_what_they_were_inlined_into() {
        let new = ProgramBuilder::at(BASE);
        for builder in [new, ProgramBuilder { release: GO_1_19, ..new }] {
            let frame =
                |function: &str, file: &str, line, inlined| (function.into(), file.into(), line, inlined);
            let innermost = frame("main.innermost", "/src/inner.go", 31, true);
            let inner = frame("main.inner", "/src/inner.go", 21, true);
            let work = |line| frame("main.work", "/src/main.go", line, false);
            assert_eq!(expanded(builder, 0x55), [innermost, inner.clone(), work(11)]);
            assert_eq!(expanded(builder, 0x50), [inner, work(11)]);
            assert_eq!(expanded(builder, 0x58), [work(12)]);
            assert_eq!(expanded(builder, 0x80), []);
        }
    }

    #[test]
    fn generics_are_shown_as_go_shows_them() {
        assert_eq!(display_name("main.work"), "main.work");
        assert_eq!(display_name("main.f[go.shape.int]"), "main.f[...]");
        assert_eq!(display_name("main.(*t[go.shape.[]int]).m.func1"), "main.(*t[...]).m.func1");
        assert_eq!(display_name("]odd["), "]odd[");
    }
}
