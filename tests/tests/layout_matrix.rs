//! Struct layouts, variables and names of every release and build mode, against what the toolchain itself says.

mod live;

use leaktrace_core::base::memory::Memory;
use leaktrace_core::binary::elf::Elf;
use leaktrace_core::go::globals::{Found, Globals};
use leaktrace_core::go::layout::{Layout, LayoutSource};
use leaktrace_core::go::program::{Notice, Program};
use leaktrace_core::go::reach::{Reach, Refusal};
use leaktrace_tests::matrix::{each, each_build, each_version};
use leaktrace_tests::{Mode, Target, Version};

use self::live::{Live, without_sections};

/// What a program of the newest release calls itself when nobody has seen that release.
const FUTURE: Version = Version::new(Version::NEWEST.minor + 1, 3);

#[test]
fn every_program_is_understood_and_fits_its_process() {
    each_build(|version, mode| {
        let target = Target::start(version, mode, "leak_chan_send=10 mutex=3 select_cases=2");
        let live = Live::open(target.pid());
        let elf = Elf::parse(live.file()).unwrap();
        let program = Program::inspect(&elf, live.bias(&elf), &live.memory).unwrap();
        let stated = (program.version.minor, program.version.patch);
        assert_eq!(stated, (version.minor, Some(version.patch)));
        assert_eq!(program.layout_source, LayoutSource::TypeDescriptors);
        assert_eq!(program.notices, []);
        let found = if mode.has_symbols() { Found::Symbols } else { Found::Disassembly };
        assert_eq!(program.globals.found, found);
        is_complete(&program);
        knows_the_usual_reasons(&program);
    });
}

/// Nothing that is optional is missing in a tested release.
fn is_complete(program: &Program<'_>) {
    let Globals { allglen, allgptr, sched, allp, allm, semtable, fing_status, finalizer_words, .. } =
        &program.globals;
    for (name, found) in [
        ("allglen", allglen),
        ("allgptr", allgptr),
        ("sched", sched),
        ("allp", allp),
        ("allm", allm),
        ("semtable", semtable),
        ("fingStatus", fing_status),
    ] {
        assert!(found.is_some(), "{name} was not found");
    }
    assert!(finalizer_words.len() > 3, "{finalizer_words:?}");
    let layout = &program.layout;
    assert!(layout.collector.is_some(), "what the collector looks at was not found");
    assert!(layout.sched.is_some() && layout.timer.is_some() && layout.ancestor.is_some(), "{layout:?}");
}

fn knows_the_usual_reasons(program: &Program<'_>) {
    // Their numbers are not the same in all releases: that is why the table is read.
    let reasons = &program.wait_reasons;
    for name in ["chan receive", "chan send", "select", "IO wait", "sleep", "semacquire", "sync.Cond.Wait"] {
        assert!(reasons.number(name).is_some(), "no reason {name} among {} reasons", reasons.len());
    }
    let receive = reasons.number("chan receive").expect("every release has it");
    let wanted = if program.version.minor < 26 { 14 } else { 19 };
    assert_eq!((receive, reasons.name(0)), (wanted, Some("")));
}

#[test]
fn type_descriptors_and_debug_information_say_the_same() {
    let cells = Version::ALL.into_iter().flat_map(|version| [(version, Mode::Plain), (version, Mode::Race)]);
    each(cells, |version, mode| {
        let target = Target::start(version, mode, "leak_chan_send=1");
        let live = Live::open(target.pid());
        let elf = Elf::parse(live.file()).unwrap();
        let program = Program::inspect(&elf, live.bias(&elf), &live.memory).unwrap();
        // This compares the table of `schedt` as well.
        assert_eq!(program.layout, Layout::from_dwarf(&elf, program.version).unwrap());
    });
}

#[test]
fn disassembly_finds_what_the_symbols_say() {
    each_build(|version, mode| {
        let target = Target::start(version, mode, "leak_chan_send=1");
        let live = Live::open(target.pid());
        let bare = without_sections(live.file());
        let (elf, bare) = (Elf::parse(live.file()).unwrap(), Elf::parse(&bare).unwrap());
        let bias = live.bias(&elf);
        let stated = Program::inspect(&elf, bias, &live.memory).unwrap();
        let found = Program::inspect(&bare, bias, &live.memory).unwrap();
        assert_eq!(found.globals.found, Found::Disassembly);
        let mut stated_globals = stated.globals.clone();
        stated_globals.found = Found::Disassembly;
        if version.minor == 19 {
            // There is no such symbol yet; the disassembly names its predecessor in both.
            stated_globals.fing_status = found.globals.fing_status;
        }
        assert_eq!(found.globals, stated_globals);
        assert_eq!((found.layout, found.wait_reasons), (stated.layout, stated.wait_reasons));
    });
}

#[test]
fn a_release_that_nobody_has_seen_works_as_long_as_its_shapes_hold() {
    let target = Target::start(Version::NEWEST, Mode::Stripped, "leak_chan_send=5");
    let live = Live::open(target.pid());
    let file = renamed(live.file(), &format!("go{}", Version::NEWEST), &format!("go{FUTURE}"));
    let elf = Elf::parse(&file).unwrap();
    let program = Program::inspect(&elf, live.bias(&elf), &live.memory).unwrap();
    assert_eq!(program.version.minor, FUTURE.minor);
    assert_eq!(program.notices, [Notice::Newer(program.version)]);
    // Nothing says where `schedt` has its fields, so nothing is assumed.
    assert_eq!(program.layout.sched, None);
    // Its code says that what is attached to objects is as it was; the rest is refused, each by its name.
    assert!(program.facts.collector.is_ok(), "{:?}", program.facts.collector);
    assert_eq!(program.facts.refused().count(), 3, "{:?}", program.facts);
    assert!(live.memory.u64(program.globals.allglen.unwrap()).unwrap() > 5);
    knows_the_usual_reasons(&program);
}

#[test]
fn code_that_attaches_in_other_ways_is_not_taken_for_the_newest() {
    each_version(|version| {
        let target = Target::start(version, Mode::Stripped, "leak_chan_send=5");
        let live = Live::open(target.pid());
        let from = format!("go1.{}.", version.minor);
        let file = renamed(live.file(), &from, &format!("go1.{}.", FUTURE.minor));
        let elf = Elf::parse(&file).unwrap();
        let program = Program::inspect(&elf, live.bias(&elf), &live.memory).unwrap();
        assert_eq!(program.version.minor, FUTURE.minor);
        // The numbers of specials were others until 1.24, and cleanups took fewer words until 1.25.
        let confirms = match program.facts.collector {
            Ok(_) => true,
            Err(untested) => {
                assert_eq!(untested.version, program.version);
                let refused = Reach::new(&program, &live.memory, None).unwrap_err();
                assert_eq!(refused, Refusal::Untested(untested));
                false
            }
        };
        let wanted = match version.minor {
            ..=24 => Some(false),
            // Up to the cleanups, which a program may not have.
            25 => None,
            26.. => Some(true),
        };
        assert_eq!(wanted.unwrap_or(confirms), confirms);
    });
}

/// The file with every `from` replaced by `to`, which is as long.
fn renamed(file: &[u8], from: &str, to: &str) -> Vec<u8> {
    let (mut file, from) = (file.to_vec(), from.as_bytes());
    let places: Vec<usize> =
        file.windows(from.len()).enumerate().filter(|(_, at)| *at == from).map(|(at, _)| at).collect();
    for at in places {
        file[at..at + from.len()].copy_from_slice(to.as_bytes());
    }
    file
}
