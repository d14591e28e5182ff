//! Attach plans of every release and build mode, on both architectures.

mod live;

use std::fs;
use std::path::Path;

use leaktrace_common::cookie::GRegister;
use leaktrace_common::event::Kind;
use leaktrace_core::base::memory::Pieces;
use leaktrace_core::base::num::Bias;
use leaktrace_core::binary::elf::{Arch, Elf, FileMemory};
use leaktrace_core::go::globals::Found;
use leaktrace_core::go::layout::Layout;
use leaktrace_core::go::program::Program;
use leaktrace_core::trace::plan::{
    AttachPlan, Cost, Missed, MissedReason, OtherProbes, PlanError, PlanStyle, VerifyError, plan,
    plan_statements,
};
use leaktrace_tests::go::Toolchain;
use leaktrace_tests::go::run::run;
use leaktrace_tests::matrix::{each_build, each_version};
use leaktrace_tests::{Mode, Target, Version};

use self::live::{Live, without_sections};

/// Starts goroutines in each of the ways that a plan must see.
const PROGRAM: &str = r#"package main

import "time"

func main() {
	done := make(chan bool)
	go func() { done <- true }()
	<-done
	time.Sleep(time.Millisecond)
}
"#;

/// `go` statements that the compiler may copy: one in a small function with two callers, and one of a generic function.
const COPIES: &str = r#"package main

import (
	"os"
	"time"
)

func main() {
	small()
	other()
	each(len(os.Args))
	each("x")
	time.Sleep(time.Millisecond)
}

func small() {
	go wait()
}

//go:noinline
func other() {
	small()
}

//go:noinline
func each[T any](value T) {
	go func() {
		println(value)
	}()
}

//go:noinline
func wait() {
	time.Sleep(time.Hour)
}
"#;

#[test]
fn every_copy_of_a_go_statement_has_a_cheap_place_on_both_architectures() {
    each_version(|version| {
        for (arch, call) in [("amd64", "call runtime.newproc"), ("arm64", "bl runtime.newproc")] {
            let directory = tempfile::tempdir().unwrap();
            let file = compiled(COPIES, version, directory.path(), &[("GOARCH", arch)], &["-ldflags=-s -w"]);
            let elf = Elf::parse(&file).unwrap();
            let program = examined(&elf);
            let planned = |names: &[&str]| {
                let statements: Vec<_> = names.iter().map(|name| name.parse().unwrap()).collect();
                plan_statements(&elf, &program, &statements)
            };
            let functions = |names: &[&str]| -> Vec<String> {
                let plan = planned(names).unwrap();
                assert!(
                    plan.sites.iter().all(|site| site.cost == Cost::Emulated && site.instruction == call),
                    "{plan}"
                );
                let named: Vec<_> = plan.statements.iter().map(|at| at.function.clone().unwrap()).collect();
                assert_eq!(named.len(), plan.sites.len());
                named
            };
            // No release so far inlines what has a `go` statement.
            let copies = functions(&["main.go:17"]);
            assert!(copies == ["main.small"] || copies == ["main.main", "main.other"], "{copies:?}");
            assert_eq!(functions(&["main.small"]), copies);
            assert_eq!(functions(&["main.small", "main.go:17"]), copies, "each once");
            assert_eq!(functions(&["main.each"]), ["main.each[...]"; 2], "of int and of string");
            let error = planned(&["main.go:18"]).unwrap_err();
            let PlanError::NoStatement { near, .. } = error else { panic!("{error}") };
            assert_eq!(near[0], format!("main.go:17 in {}", copies[0]));
        }
    });
}

#[test]
fn every_program_has_a_cheap_place_for_every_event() {
    each_build(|version, mode| {
        // A coroutine makes the linker keep the second caller of newproc1.
        let scenarios = if version.minor >= 23 { "leak_chan_send=1 coroutine=1" } else { "leak_chan_send=1" };
        let target = Target::start(version, mode, scenarios);
        let live = Live::open(target.pid());
        let elf = Elf::parse(live.file()).unwrap();
        let bias = live.bias(&elf);
        let program = Program::inspect(&elf, bias, &live.memory).unwrap();
        let plan = plan(&elf, &program, &Kind::IN_RUNTIME, PlanStyle::default()).unwrap();
        is_cheap_and_complete(&plan);
        sees_births_by_their_callers(&plan, version, mode);
        assert_eq!(plan.verify(&live.memory, bias, none), Ok(0));
    });
}

fn is_cheap_and_complete(plan: &AttachPlan) {
    for kind in Kind::IN_RUNTIME {
        assert!(plan.sites_of(kind).count() > 0, "no place for {}:\n{plan}", kind.as_str());
    }
    assert!(plan.sites.iter().all(|site| site.cost != Cost::SingleStepped), "{plan}");
    let is_known = |missed: &Missed| matches!(missed.reason, MissedReason::DebuggerOnly(_));
    assert!(plan.missed.iter().all(is_known), "{plan}");
}

fn sees_births_by_their_callers(plan: &AttachPlan, version: Version, mode: Mode) {
    let mut found: Vec<_> =
        plan.sites_of(Kind::Birth).map(|site| (site.function.as_str(), site.g_register)).collect();
    found.sort_by_key(|(function, _)| *function);
    // Where a profile had runqput inlined, it is not its argument that is seen but the result of newproc1.
    let inlined = mode == Mode::Pgo && found.contains(&("runtime.newproc.func1", GRegister::Arg0));
    let goroutine = ("runtime.newproc.func1", if inlined { GRegister::Arg0 } else { GRegister::Arg1 });
    let coroutine = ("runtime.newcoro.func1", GRegister::Arg0);
    let wanted = if version.minor >= 23 { vec![coroutine, goroutine] } else { vec![goroutine] };
    assert_eq!(found, wanted, "{plan}");
    let end = if version.minor >= 22 { "runtime.gdestroy" } else { "runtime.goexit0" };
    // Where a profile had gdestroy inlined into its caller, that has a place as well.
    let is_known = |function: &str| function == end || (mode == Mode::Pgo && function == "runtime.goexit0");
    assert!(plan.sites_of(Kind::End).all(|site| is_known(&site.function)), "{plan}");
}

#[test]
fn arm64_programs_have_a_cheap_plan_and_known_variables() {
    each_version(|version| {
        let directory = tempfile::tempdir().unwrap();
        let file = compiled(PROGRAM, version, directory.path(), &[("GOARCH", "arm64")], &[]);
        let elf = Elf::parse(&file).unwrap();
        assert_eq!(elf.arch(), Arch::Arm64);
        let program = examined(&elf);
        let plan = plan(&elf, &program, &Kind::IN_RUNTIME, PlanStyle::default()).unwrap();
        is_cheap_and_complete(&plan);
        assert!(plan.sites_of(Kind::Birth).all(|site| site.instruction == "ret"), "{plan}");
        for kind in [Kind::End, Kind::Park, Kind::Ready] {
            assert!(plan.sites_of(kind).all(|site| site.instruction.starts_with("b.ls")), "{plan}");
        }
        assert_eq!(program.layout, Layout::from_dwarf(&elf, program.version).unwrap());
        let bare = without_sections(&file);
        let bare = Elf::parse(&bare).unwrap();
        let found = examined(&bare).globals;
        assert_eq!(found.found, Found::Disassembly);
        assert_eq!(
            (found.allgs, found.allglen, found.allgptr, found.sched, found.allp, found.allm, found.semtable),
            {
                let stated = program.globals;
                (
                    stated.allgs,
                    stated.allglen,
                    stated.allgptr,
                    stated.sched,
                    stated.allp,
                    stated.allm,
                    stated.semtable,
                )
            }
        );
    });
}

#[test]
fn programs_without_optimisation_have_a_cheap_plan() {
    each_version(|version| {
        let directory = tempfile::tempdir().unwrap();
        let file = compiled(PROGRAM, version, directory.path(), &[], &["-gcflags=all=-N -l"]);
        let elf = Elf::parse(&file).unwrap();
        let program = examined(&elf);
        let plan = plan(&elf, &program, &Kind::IN_RUNTIME, PlanStyle::default()).unwrap();
        is_cheap_and_complete(&plan);
    });
}

#[test]
fn the_style_for_benchmarks_is_at_entries() {
    let directory = tempfile::tempdir().unwrap();
    let file = compiled(PROGRAM, Version::NEWEST, directory.path(), &[], &[]);
    let elf = Elf::parse(&file).unwrap();
    let program = examined(&elf);
    let entry = plan(&elf, &program, &Kind::IN_RUNTIME, PlanStyle::Entry).unwrap();
    assert!(entry.sites.iter().all(|site| site.cost == Cost::SingleStepped), "{entry}");
    assert!(entry.sites_of(Kind::Park).all(|site| site.offset_in_function == 0), "{entry}");
}

#[test]
fn a_process_that_was_patched_is_refused() {
    let target = Target::start(Version::NEWEST, Mode::Plain, "leak_chan_send=1");
    let live = Live::open(target.pid());
    let elf = Elf::parse(live.file()).unwrap();
    let bias = live.bias(&elf);
    let program = Program::inspect(&elf, bias, &live.memory).unwrap();
    let plan = plan(&elf, &program, &[Kind::Park], PlanStyle::default()).unwrap();
    let site = &plan.sites[0];
    let patched = Pieces::new().with(bias.to_avma(site.svma), vec![0x90; site.expected.len()]);
    assert!(matches!(plan.verify(&patched, bias, none), Err(VerifyError::Different { .. })));
}

/// What can be known of a program that does not run.
fn examined<'d>(elf: &Elf<'d>) -> Program<'d> {
    let memory = FileMemory::new(elf, Bias::ZERO);
    Program::examine(elf, Bias::ZERO, &memory).expect("the program is understood")
}

/// The bytes of a program, compiled without C.
fn compiled(
    source: &str,
    version: Version,
    directory: &Path,
    environment: &[(&str, &str)],
    arguments: &[&str],
) -> Vec<u8> {
    fs::write(directory.join("main.go"), source).expect("the directory is writable");
    fs::write(directory.join("go.mod"), format!("module planned\n\ngo 1.{}\n", version.minor))
        .expect("the directory is writable");
    let toolchain = Toolchain::get(version, &mut |what| eprintln!("{what}")).expect("the toolchain is there");
    let mut command = toolchain.go();
    command.current_dir(directory).env("CGO_ENABLED", "0").envs(environment.iter().copied());
    run(command.args(["build", "-o", "planned"]).args(arguments)).expect("the program compiles");
    fs::read(directory.join("planned")).expect("the program was written")
}

/// Nobody else has probes.
#[expect(clippy::unnecessary_wraps, reason = "what may fail is asked here")]
fn none() -> Result<OtherProbes, VerifyError> {
    Ok(OtherProbes::default())
}
