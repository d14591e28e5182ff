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

/// Where the `go` statement is at which these frames are, as Go prints it: in the physical function, on the line of the
/// innermost call.
pub fn go_statement<'d>(frames: &[SymbolFrame<'d>]) -> Option<SymbolFrame<'d>> {
    let (innermost, physical) = (frames.first()?, frames.last()?);
    Some(SymbolFrame { file: innermost.file, line: innermost.line, pc: innermost.pc, ..*physical })
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

/// A function's name as Go prints it, with the type arguments of generics as `[...]`, but with its import path as it is
/// written in sources.
///
/// Source: Go `src/runtime/traceback.go` (`printFuncName`) and `symtab.go` (`funcNameForPrint`), go1.21 to go1.27.
pub fn display_name(name: &str) -> Cow<'_, str> {
    let parts = name.find('[').zip(name.rfind(']')).filter(|(open, close)| open < close);
    match parts.and_then(|(open, close)| name.get(..open).zip(name.get(close + 1..))) {
        Some((before, after)) => format!("{}[...]{after}", with_import_path(before)).into(),
        None => with_import_path(name),
    }
}

/// The name with the import path as it is written in sources: `gopkg.in/yaml.v2.Unmarshal` for what the linker calls
/// `gopkg.in/yaml%2ev2.Unmarshal`, so that the first dot after the last slash ends the path.
///
/// Source: Go `src/cmd/internal/objabi/path.go` (`PathToPrefix`), go1.19 to go1.27.
pub(crate) fn with_import_path(name: &str) -> Cow<'_, str> {
    // Type arguments have paths of their own.
    let plain = name.find('[').map_or(name, |open| &name[..open]);
    let element = plain.rfind('/').map_or(0, |slash| slash + 1);
    let end = plain[element..].find('.').map_or(plain.len(), |dot| element + dot);
    let (path, rest) = name.split_at(end);
    match unescaped(path) {
        Some(path) => format!("{path}{rest}").into(),
        None => name.into(),
    }
}

/// A path without the `%xx` in it; nothing if it has none, or such as no compiler writes.
fn unescaped(path: &str) -> Option<String> {
    let mut pieces = path.split('%');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    if bytes.len() == path.len() {
        return None;
    }
    for piece in pieces {
        let code = piece.get(..2).filter(|code| code.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok().filter(|path| !path.contains(char::is_control))
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

    #[test]
    fn import_paths_are_shown_as_they_are_written() {
        let same = |name: &str| assert_eq!(display_name(name), name);
        assert_eq!(
            display_name("gopkg.in/natefinch/lumberjack%2ev2.(*Logger).mill.func1.1"),
            "gopkg.in/natefinch/lumberjack.v2.(*Logger).mill.func1.1"
        );
        assert_eq!(
            display_name("github.com/nats-io/nats%2ego.(*Conn).flusher"),
            "github.com/nats-io/nats.go.(*Conn).flusher"
        );
        assert_eq!(display_name("work%2eer.(*Box[a/b%2ec.T]).Take"), "work.er.(*Box[...]).Take");
        assert_eq!(display_name("x/caf%c3%a9.f"), "x/café.f");
        same("gopkg.in/redis.v5/internal/pool.NewConnPool");
        // No compiler writes these; what they say is left as it is.
        for odd in
            ["x/a%.f", "x/a%2.f", "x/a%+1.f", "x/a%zz.f", "x/a%1b.f", "x/a%ff.f", "main.f%2e", "x/a%é.f"]
        {
            same(odd);
        }
    }
}
