//! What is done with a real Go program whose memory is the input's.

use std::sync::OnceLock;

use leaktrace_core::goroutines::model::MAX_VALUES;
use leaktrace_core::dump::render::{FORMATS, Options, render};
use leaktrace_core::goroutines::{ArgumentWords, Facts, from_snapshot};
use leaktrace_core::binary::elf::{Elf, FileMemory};
use leaktrace_core::go::code::Code;
use leaktrace_core::go::goroutines::{Walker, WalkerInput, Want};
use leaktrace_core::go::layout::Layout;
use leaktrace_core::go::program::Program;
use leaktrace_core::base::num::{Bias, Ktime};
use leaktrace_core::go::reach::{Limits, Process, Reach};

use crate::memory::{Changed, Hostile};

/// The program's file, named by the variable `LEAKTRACE_FUZZ_PROGRAM`: a stripped one for the machine that fuzzes.
fn file() -> &'static [u8] {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(|| {
        let path = std::env::var_os("LEAKTRACE_FUZZ_PROGRAM").expect("LEAKTRACE_FUZZ_PROGRAM is set");
        std::fs::read(path).expect("the program can be read")
    })
}

fn elf() -> Elf<'static> {
    Elf::parse(file()).expect("the program is an ELF file")
}

/// Inspects the program, where some reads of its memory give something else than its file has.
pub(crate) fn types(data: &[u8]) {
    let elf = elf();
    let memory = Changed::new(FileMemory::new(&elf, Bias::ZERO), data);
    let _ = Program::inspect(&elf, Bias::ZERO, &memory);
    // That takes from the file what the program cannot write to; where it can, type descriptors come from memory.
    let memory = Changed::new(FileMemory::new(&elf, Bias::ZERO), data);
    PROGRAM.with(|program| {
        let code = Code::new(&elf, Bias::ZERO, program.modules.main());
        let _ = Layout::read(&code, &memory, program.version);
    });
}

thread_local! {
    static PROGRAM: Program<'static> = {
        let elf = elf();
        Program::examine(&elf, Bias::ZERO, &FileMemory::new(&elf, Bias::ZERO)).expect("it is a Go program")
    };
}

/// Dumps the program, and looks for what nothing refers to, where `data` is what its runtime wrote.
pub(crate) fn memory(data: &[u8]) {
    PROGRAM.with(|program| look_at(program, data));
}

fn look_at(program: &Program<'static>, data: &[u8]) {
    let elf = elf();
    let memory = Hostile::new(&elf, data);
    let _ = program.layout.validate(&memory, &program.globals);
    let mut walker = Walker::new(WalkerInput::of(program)).keeping(ArgumentWords::new(program), MAX_VALUES);
    if let Ok(snapshot) = walker.snapshot(&memory, Want::Stacks, &|| Ktime(1_000_000)) {
        let facts = Facts { arguments: walker.kept(), ..Facts::default() };
        let dump = from_snapshot(&snapshot, program, &memory, facts);
        // Nowhere to write to that could fail.
        let _ = render(FORMATS.default_format(), &dump, &Options::default(), &mut std::io::sink());
    }
    let limits = Limits { heap: 1 << 20, ..Limits::default() };
    if let Ok(mut reach) = Reach::new(program, &memory, None) {
        let _ = reach.pass(&Process::running(&memory), &limits);
    }
}
