//! The stacks that are read from a running program are those that its own runtime prints, frame by frame.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use leaktrace::process::find;
use leaktrace::process::memory::ProcessMemory;
use leaktrace::process::{Pid, Procfs};
use leaktrace_core::base::memory::Memory;
use leaktrace_core::base::num::Ktime;
use leaktrace_core::binary::elf::Elf;
use leaktrace_core::go::goroutines::{
    Goroutine, GoroutineKind, Snapshot, Stack, StackEnd, Walker, WalkerInput, Want,
};
use leaktrace_core::go::names::Status;
use leaktrace_core::go::pclntab::FuncId;
use leaktrace_core::go::program::Program;
use leaktrace_core::go::symbolize::{self, SymbolFrame};
use leaktrace_core::go::waiting::{SemaphoreWaiters, WaitObject, waits_on};
use leaktrace_tests::matrix::{each_build, each_version};
use leaktrace_tests::scenarios::{all_still, with_count};
use leaktrace_tests::traceback::{self, GoroutineText, printed_name};
use leaktrace_tests::{Mode, Target, Version};

#[test]
fn stacks_are_those_that_the_runtime_prints() {
    each_build(|version, mode| {
        let scenarios = all_still(version, mode);
        let mut target = Target::start(version, mode, &with_count(&scenarios, 3));
        let own = target.goroutines();
        inspect(&target, |program, memory| {
            let snapshot = snapshot(program, memory);
            let compared = Comparison { version, program, snapshot: &snapshot }.with(&own);
            eprintln!("go {version} {}: {compared}", mode.as_str());
            assert!(compared.goroutines > scenarios.len() * 2, "{compared}");
        });
    });
}

/// What is waited on is found in the goroutine itself, or up to Go 1.25 for locks in the runtime's table.
#[test]
fn what_goroutines_wait_on_is_known() {
    let scenarios =
        ["leak_chan_send", "select_cases", "nil_chan_recv", "sleep", "cond", "mutex", "waitgroup"];
    each_version(|version| {
        let target = Target::start(version, Mode::Plain, &with_count(&scenarios, 3));
        inspect(&target, |program, memory| {
            let snapshot = snapshot(program, memory);
            let semtable = program.globals.semtable.expect("it is found in every program");
            let fields = &program.layout.sudog;
            let waiters =
                SemaphoreWaiters::read(memory, fields, program.arch, semtable).expect("it is readable");
            let mut objects = BTreeMap::<&str, Vec<Vec<WaitObject>>>::new();
            for goroutine in &snapshot.goroutines {
                let stack = goroutine.stack_id.and_then(|id| snapshot.stacks.get(id));
                let name = stack.and_then(|stack| own_functions(program, stack).into_iter().next_back());
                let mut waits =
                    waits_on(memory, fields, goroutine.g, goroutine.waiting).expect("it is readable");
                waits.extend(waiters.semaphore_of(goroutine.g).map(WaitObject::Semaphore));
                waits.dedup();
                objects.entry(name.unwrap_or_default()).or_default().push(waits);
            }
            let channels = |name| -> Vec<usize> {
                let is_channel = |object: &&WaitObject| matches!(object, WaitObject::Channel(_));
                objects[name].iter().map(|waits| waits.iter().filter(is_channel).count()).collect()
            };
            let semaphores = |name: &str| -> BTreeSet<&Vec<WaitObject>> {
                let waits = &objects[name];
                assert!(waits.iter().flatten().all(|one| matches!(one, WaitObject::Semaphore(_))), "{name}");
                waits.iter().collect()
            };
            assert_eq!(channels("main.leakChanSend.func1"), [1; 3]);
            assert_eq!(channels("main.selectCases.func1"), [3; 3]);
            assert_eq!(objects["main.nilChanRecv.func1"].concat(), []);
            assert_eq!(objects["main.sleep.func1"].concat(), []);
            // All three wait for the same one.
            assert_eq!(semaphores("main.mutex.func1").len(), 1);
            assert_eq!(semaphores("main.waitgroup.func1").len(), 1);
            assert!(objects["main.mutex.func1"].iter().all(|waits| waits.len() == 1));
            let known = usize::from(version.minor >= 26);
            assert!(objects["main.cond.func1"].iter().all(|waits| waits.len() == known), "{objects:?}");
        });
    });
}

/// While goroutines wait now here and now there, each is shown where it can be and not between two places.
#[test]
fn moving_goroutines_are_never_shown_with_mixed_stacks() {
    each_version(|version| {
        let target = Target::start(version, Mode::Plain, "restless=20 parked=2000");
        inspect(&target, |program, memory| {
            let mut walker = Walker::new(WalkerInput::of(program));
            let (mut ways, mut moved) = (BTreeMap::<Vec<&str>, usize>::new(), 0);
            for _ in 0..100 {
                let snapshot = walker.snapshot(memory, Want::Stacks, &|| Ktime(0)).expect("it is readable");
                moved += snapshot.moved;
                for (_, stack) in snapshot.stacks.iter() {
                    *ways.entry(own_functions(program, stack)).or_default() += 1;
                }
            }
            eprintln!("go {version}: {ways:?}, {moved} moved");
            for way in ways.keys().filter(|way| way.iter().any(|name| name.starts_with("main.odd"))) {
                assert!(is_whole(way, &ODD), "{way:?}");
            }
            for way in ways.keys().filter(|way| way.iter().any(|name| name.starts_with("main.even"))) {
                assert!(is_whole(way, &EVEN), "{way:?}");
            }
            assert!(
                ways.keys().any(|way| way.len() == ODD.len()),
                "nobody waited where they should: {ways:?}"
            );
        });
    });
}

const ODD: [&str; 4] = ["main.oddInner", "main.oddMiddle", "main.oddOuter", "main.restless.func1"];
const EVEN: [&str; 4] = ["main.evenInner", "main.evenMiddle", "main.evenOuter", "main.restless.func1"];

/// Whether `way` is `full`, perhaps not entered yet to its end.
fn is_whole(way: &[&str], full: &[&str]) -> bool {
    full.ends_with(way)
}

/// The program's own functions on a stack, innermost first.
fn own_functions<'d>(program: &Program<'d>, stack: Stack<'_>) -> Vec<&'d str> {
    let mut frames = Vec::new();
    for pc in stack.pcs {
        symbolize::expand(&program.modules, pc.call_site(), &mut frames);
    }
    frames.into_iter().map(|frame| frame.function).filter(|name| name.starts_with("main.")).collect()
}

/// Finds out what leaktrace needs to know of a process.
fn inspect(target: &Target, test: impl FnOnce(&Program<'_>, &ProcessMemory)) {
    let procfs = Procfs::system();
    let process = find::HeldProcess::open(&procfs, Pid(target.pid())).expect("the target runs");
    let elf = Elf::parse(process.exe.bytes()).expect("the linker wrote it");
    let segments = elf.segments().iter().map(|segment| (segment.svma, segment.file_offset));
    let bias = process.bias(&procfs, segments).expect("it is mapped");
    let memory = ProcessMemory::new(Pid(target.pid()));
    let program = Program::inspect(&elf, bias, &memory).expect("it is a Go program");
    test(&program, &memory);
}

fn snapshot(program: &Program<'_>, memory: &dyn Memory) -> Snapshot {
    Walker::new(WalkerInput::of(program))
        .snapshot(memory, Want::Stacks, &|| Ktime(0))
        .expect("it is readable")
}

/// What was compared and found to be equal.
#[derive(Default)]
struct Compared {
    goroutines: usize,
    frames: usize,
    runtime: usize,
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { goroutines, frames, runtime } = self;
        write!(f, "{goroutines} goroutines with {frames} frames agree; {runtime} are the runtime's own")
    }
}

struct Comparison<'a> {
    version: Version,
    program: &'a Program<'a>,
    snapshot: &'a Snapshot,
}

impl Comparison<'_> {
    /// Compares with what the program printed; its first goroutine is the one that printed it.
    fn with(&self, own: &[GoroutineText]) -> Compared {
        let user = self.snapshot.goroutines.iter().filter(|one| one.kind == GoroutineKind::User);
        let by_id: BTreeMap<u64, &Goroutine> = user.map(|one| (one.goid.0, one)).collect();
        let own_ids: BTreeSet<u64> = own.iter().map(|text| text.id).collect();
        assert_eq!(by_id.keys().copied().collect::<BTreeSet<_>>(), own_ids, "the goroutines themselves");
        let mut compared =
            Compared { runtime: self.snapshot.goroutines.len() - by_id.len(), ..Compared::default() };
        for text in &own[1..] {
            compared.frames += self.compare(by_id[&text.id], text);
            compared.goroutines += 1;
        }
        assert_eq!((self.snapshot.moved, self.snapshot.unreadable), (0, 0));
        compared
    }

    /// Compares one goroutine and says how many frames it has.
    fn compare(&self, goroutine: &Goroutine, text: &GoroutineText) -> usize {
        assert_eq!(self.state(goroutine), text.state, "{text:#?}");
        let locked = text.remarks.iter().any(|remark| remark == "locked to thread");
        assert_eq!(goroutine.locked, locked, "{text:#?}");
        assert_eq!(self.creator(goroutine), creator(text), "{text:#?}");

        let stack =
            goroutine.stack_id.and_then(|id| self.snapshot.stacks.get(id)).expect("it is not running");
        assert_eq!(stack.end, StackEnd::Outermost, "{text:#?}");
        let frames = self.shown(stack);
        let printed: Vec<String> = text.frames.iter().map(line).collect();
        let frames = match self.version.minor {
            // Looks at 100 frames, and does not say that there are more if one of them is hidden.
            ..21 if stack.pcs.len() >= 100 => frames[..printed.len()].to_vec(),
            // The first and the last 50.
            21.. if text.elided => [&frames[..50], &frames[frames.len() - 50..]].concat(),
            _ => frames,
        };
        let difference = frames.iter().zip(&printed).position(|(ours, own)| ours != own);
        let around = difference.unwrap_or(frames.len().min(printed.len()));
        assert!(
            frames == printed,
            "goroutine {}, frame {around}: {:#?} instead of {:#?}",
            text.id,
            frames.get(around..).and_then(|rest| rest.get(..3)),
            printed.get(around..).and_then(|rest| rest.get(..3)),
        );
        printed.len()
    }

    fn state(&self, goroutine: &Goroutine) -> &str {
        let reason = self.program.wait_reasons.name(goroutine.wait_reason).filter(|name| !name.is_empty());
        reason.filter(|_| goroutine.status == Status::Waiting).unwrap_or(goroutine.status.as_str())
    }

    /// `created by`: the physical function around the `go` statement.
    fn creator(&self, goroutine: &Goroutine) -> Option<(String, Option<u64>)> {
        let mut frames = Vec::new();
        symbolize::expand(&self.program.modules, goroutine.gopc.call_site(), &mut frames);
        let frame = frames.last()?;
        // The first goroutine is created by the runtime, which the runtime does not say.
        if goroutine.goid.0 == 1 || frame.function.starts_with("runtime.") {
            return None;
        }
        let parent = goroutine.parent_goid.map(|goid| goid.0);
        let name = printed_name(frame.function);
        Some((format!("{name} {}:{}", frames[0].file, frames[0].line), parent))
    }

    /// The frames that the runtime does not hide, as lines of its text.
    fn shown(&self, stack: Stack<'_>) -> Vec<String> {
        let (mut shown, mut callee) = (Vec::new(), FuncId::Normal);
        for pc in stack.pcs {
            let mut frames = Vec::new();
            assert!(symbolize::expand(&self.program.modules, pc.call_site(), &mut frames), "{pc} is no code");
            for frame in &frames {
                if self.is_shown(frame, callee, shown.is_empty()) {
                    let physical = !frame.inlined;
                    // An address that is not one of a call is stored plus one.
                    let exact = callee == FuncId::Sigpanic
                        || callee == FuncId::AsyncPreempt
                        || pc.0 == frame.entry.0 + 1;
                    let offset = pc.0 - u64::from(exact) - frame.entry.0;
                    shown.push(line(&traceback::TracebackFrame {
                        function: printed_name(if frame.id == FuncId::Gopanic {
                            "panic"
                        } else {
                            frame.function
                        }),
                        file: frame.file.to_owned(),
                        line: frame.line,
                        // Nothing is printed for the very first instruction.
                        offset: Some(offset).filter(|offset| physical && *offset != 0),
                    }));
                }
                callee = frame.id;
            }
        }
        shown
    }

    /// `showframe` of `src/runtime/traceback.go`.
    fn is_shown(&self, frame: &SymbolFrame<'_>, callee: FuncId, first: bool) -> bool {
        let panics = matches!(callee, FuncId::Gopanic | FuncId::Sigpanic | FuncId::Panicwrap);
        let exported = |name: &str| {
            let name = if self.version.minor < 23 { name } else { name.rsplit('.').next().unwrap_or(name) };
            name.starts_with(|first: char| first.is_ascii_uppercase())
        };
        match frame.id {
            FuncId::Wrapper if !panics => false,
            FuncId::Gopanic if !first => true,
            FuncId::RunFinalizers | FuncId::RunCleanups if self.version.minor >= 25 => true,
            _ => frame.function.strip_prefix("runtime.").is_none_or(exported) && frame.function.contains('.'),
        }
    }
}

fn creator(text: &GoroutineText) -> Option<(String, Option<u64>)> {
    let created = text.created_by.as_ref()?;
    let traceback::TracebackFrame { function, file, line, .. } = &created.frame;
    Some((format!("{function} {file}:{line}"), created.parent))
}

fn line(frame: &traceback::TracebackFrame) -> String {
    let traceback::TracebackFrame { function, file, line, offset } = frame;
    match offset {
        Some(offset) => format!("{function} {file}:{line} +{offset:#x}"),
        None => format!("{function} {file}:{line}"),
    }
}
