//! Modules of tiny programs that are written by hand.

use proptest::prelude::{any, prop, proptest};

use super::program_builder::{GO_1_19, GO_1_24, GO_1_27, GOFUNC, ProgramBuilder, TEXT, TYPES};
use super::{ModuledataError, Modules, TextSection};
use crate::base::memory::Pieces;
use crate::base::num::{Avma, Pc};
use crate::binary::elf::{Elf, FileMemory};
use crate::go::pclntab::TextOffset;
use crate::go::version::GoVersion;

const PROGRAM: u64 = 0x7000_0000;
const PLUGIN: u64 = 0x7100_0000;

#[test]
fn every_layout_is_recognised_with_and_without_the_version() {
    for release in [GO_1_19, GO_1_24, GO_1_27] {
        let builder = ProgramBuilder { release, ..ProgramBuilder::at(PROGRAM) };
        let file = builder.file();
        let elf = Elf::parse(&file).unwrap();
        let memory = Pieces::new().with(Avma(PROGRAM), builder.memory());
        for version in [None, Some(release), Some(GoVersion::new(1, 99))] {
            let modules = Modules::find(&elf, builder.bias(), &memory, version).unwrap();
            let main = modules.main();
            assert_eq!((main.address, main.text.start), (Avma(PROGRAM), Avma(PROGRAM + TEXT)));
            assert_eq!((main.types.start, main.gofunc), (Avma(PROGRAM + TYPES), Avma(PROGRAM + GOFUNC)));
        }
    }
}

#[test]
fn functions_are_found_by_process_address() {
    let builder = ProgramBuilder::at(PROGRAM);
    let file = builder.file();
    let elf = Elf::parse(&file).unwrap();
    let modules = Modules::find(&elf, builder.bias(), &FileMemory::new(&elf, builder.bias()), None).unwrap();
    let name = |pc| modules.function(Pc(pc)).map(|(_, function)| function.name());
    let text = PROGRAM + TEXT;
    assert_eq!([name(text), name(text + 0x40)], [Some("runtime.goexit"), Some("main.work")]);
    assert_eq!([name(text - 1), name(text + 0x80)], [None, None]);
    let (module, function) = modules.function(Pc(text + 0x7f)).unwrap();
    assert_eq!(module.entry(&function), Pc(text + 0x40));
}

#[test]
fn plugins_wait_for_their_file() {
    let program = ProgramBuilder { next: Avma(PLUGIN), ..ProgramBuilder::at(PROGRAM) };
    // The list is closed to a ring, as a damaged one may be.
    let path = "example.com/plugin";
    let plugin = ProgramBuilder { plugin_path: Some(path), next: Avma(PLUGIN), ..ProgramBuilder::at(PLUGIN) };
    let memory = Pieces::new().with(Avma(PROGRAM), program.memory()).with(Avma(PLUGIN), plugin.memory());
    let [program_file, plugin_file] = [program.file(), plugin.file()];
    let [program_elf, plugin_elf] = [&program_file, &plugin_file].map(|file| Elf::parse(file).unwrap());
    let mut modules = Modules::find(&program_elf, program.bias(), &memory, None).unwrap();
    assert_eq!(
        modules.pending().iter().map(|module| module.plugin_path.as_str()).collect::<Vec<_>>(),
        [path]
    );
    assert!(modules.function(Pc(PLUGIN + TEXT)).is_none());
    assert_eq!(modules.add_file(&program_elf, program.bias(), &memory), Ok(0), "that is another file");
    assert_eq!(modules.add_file(&plugin_elf, plugin.bias(), &memory), Ok(1));
    let (module, function) = modules.function(Pc(PLUGIN + TEXT + 0x40)).unwrap();
    assert_eq!((module.plugin_path.as_deref(), function.name()), (Some(path), "main.work"));
    modules.refresh(&memory).unwrap();
    assert_eq!((modules.pending().len(), modules.iter().count()), (0, 2));
}

#[test]
fn what_is_missing_is_named() {
    let builder = ProgramBuilder::at(PROGRAM);
    let file = builder.file();
    let elf = Elf::parse(&file).unwrap();
    let find =
        |data: Vec<u8>| Modules::find(&elf, builder.bias(), &Pieces::new().with(Avma(PROGRAM), data), None);
    let mut no_header = builder.memory();
    no_header[..8].fill(0);
    assert_eq!(find(no_header).unwrap_err(), ModuledataError::NotFound { pclntab: Avma(PROGRAM + 0x600) });
    let mut no_gofunc = builder.memory();
    no_gofunc[320..328].fill(0);
    assert_eq!(find(no_gofunc).unwrap_err(), ModuledataError::UnknownLayout { at: Avma(PROGRAM) });
}

#[test]
fn text_in_several_pieces_is_counted_as_one() {
    let builder = ProgramBuilder::at(PROGRAM);
    let file = builder.file();
    let elf = Elf::parse(&file).unwrap();
    let modules = Modules::find(&elf, builder.bias(), &FileMemory::new(&elf, builder.bias()), None).unwrap();
    let mut module = modules.main().clone();
    let base = PROGRAM + TEXT;
    let section = |offset, end, base| TextSection { offset, end, base };
    module.text_sections = vec![section(0, 0x20, base), section(0x20, 0x40, base + 0x30)];
    let offset = |at| module.text_offset(Pc(base + at));
    assert_eq!([offset(0x1f), offset(0x30)], [Some(TextOffset(0x1f)), Some(TextOffset(0x20))]);
    assert_eq!(offset(0x20), None, "between the pieces there is no text");
    assert_eq!(module.pc(TextOffset(0x21)), Pc(base + 0x31));
}

proptest! {
    #[test]
    fn damage_never_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        release in prop::sample::select(vec![GO_1_19, GO_1_24, GO_1_27]),
    ) {
        let builder = ProgramBuilder { release, next: Avma(PROGRAM), ..ProgramBuilder::at(PROGRAM) };
        let [mut file, mut memory] = [builder.file(), builder.memory()];
        for (at, byte) in changes {
            let (file_len, memory_len) = (file.len(), memory.len());
            file[at.index(file_len)] = byte;
            memory[at.index(memory_len)] = byte;
        }
        let Ok(elf) = Elf::parse(&file) else { return Ok(()) };
        let memory = Pieces::new().with(Avma(PROGRAM), memory);
        if let Ok(modules) = Modules::find(&elf, builder.bias(), &memory, None) {
            let mut frames = Vec::new();
            for at in 0..0x80 {
                crate::go::symbolize::expand(&modules, Pc(PROGRAM + TEXT + at), &mut frames);
            }
        }
    }
}
