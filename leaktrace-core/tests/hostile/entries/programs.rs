//! What is done with a program's file.

use leaktrace_core::base::memory::Memory as _;
use leaktrace_core::base::num::{Avma, Bias, Pc, Svma};
use leaktrace_core::binary::dwarf::{DebugInfo, DwarfLines};
use leaktrace_core::binary::elf::{Elf, FileMemory};
use leaktrace_core::go::buildinfo::BuildInfo;
use leaktrace_core::go::moduledata::Modules;
use leaktrace_core::go::pclntab::{Function, Pclntab};
use leaktrace_core::go::symbolize::{display_name, expand};

/// How many functions of a table, and addresses of a program, are asked for: a fuzzer wants many short runs.
const SOME: usize = 256;

/// Reads headers, sections, symbols, notes and relocated memory.
pub(crate) fn elf(data: &[u8]) {
    let Ok(elf) = Elf::parse(data) else { return };
    let _ = (elf.build_id(), elf.symbol("runtime.firstmoduledata"), elf.section(".go.module").is_some());
    let memory = FileMemory::new(&elf, Bias::between(Svma(0), Avma(0x5555_0000_0000)));
    for segment in elf.segments() {
        let _ = (elf.file_offset(segment.svma), elf.bytes_from(segment.svma).map(<[u8]>::len));
        let _ = memory.u64(Avma(segment.svma.0.wrapping_add(0x5555_0000_0000)));
    }
}

/// Asks everything of a function table.
pub(crate) fn pclntab(data: &[u8]) {
    let Ok(table) = Pclntab::parse(data) else { return };
    for function in table.functions().take(SOME) {
        ask(&table, &function, data);
    }
    let _ = table.function_named("runtime.goexit");
}

fn ask(table: &Pclntab<'_>, function: &Function<'_>, data: &[u8]) {
    let pc = function.entry();
    let _ = (display_name(function.name()), function.id(), function.flags(), function.argument_size());
    let _ = (function.deferreturn(), function.start_line(), function.line(pc), function.stack_delta(pc));
    let _ = (function.pcdata(0, pc), function.inline_index(pc), function.funcdata(5));
    let _ = function.stack_deltas().take(SOME).count();
    let _ = table.inlined_call(function, data, function.inline_tree().unwrap_or(0));
    let _ = table.function_at(pc);
}

/// Finds the modules of a program and expands addresses of its text.
pub(crate) fn modules(data: &[u8]) {
    let Ok(elf) = Elf::parse(data) else { return };
    let memory = FileMemory::new(&elf, Bias::ZERO);
    let Ok(modules) = Modules::find(&elf, Bias::ZERO, &memory, None) else { return };
    let mut frames = Vec::new();
    for function in modules.main().pclntab.functions().take(SOME) {
        frames.clear();
        expand(&modules, Pc(modules.main().entry(&function).0), &mut frames);
    }
}

/// Reads the build info.
pub(crate) fn buildinfo(data: &[u8]) {
    if let Ok(elf) = Elf::parse(data) {
        let _ = BuildInfo::read(&elf);
    }
}

/// Reads struct layouts and lines from debug information.
pub(crate) fn dwarf(data: &[u8]) {
    let Ok(elf) = Elf::parse(data) else { return };
    let Ok(info) = DebugInfo::load(&elf) else { return };
    let _ = info.struct_layouts(&["runtime.g", "runtime.m"]);
    let Ok(mut lines) = DwarfLines::new(&info) else { return };
    for segment in elf.segments() {
        let _ = lines.frames(segment.svma);
    }
}
