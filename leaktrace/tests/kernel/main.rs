//! The eBPF programs on the running kernel, attached to functions of this very process.
//!
//! They need the privileges of tracing. Without them each test says that it was skipped and why; where
//! `CI=true` that is a failure.

mod bench;
mod processes;
mod targets;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};

use leaktrace::kernel::specimen::{Goroutines, Specimen};
use leaktrace::kernel::{Backend, ProbeSite, TargetOptions};
use leaktrace_common::cookie::GRegister;
use leaktrace_common::drops::DropReason;
use leaktrace_common::event::{Kind, MAX_CREATOR_FRAMES, StackState};
use leaktrace_common::layout::{ABSENT, Control, GoLayout};
use leaktrace_core::base::num::{Goid, Pc, ReturnPc};
use leaktrace_core::trace::budget::Kinds;
use leaktrace_core::trace::decode::{Event, decode};
use leaktrace_core::trace::plan::Cost;
use leaktrace_tests::poll::{PATIENCE, poll_until};

use crate::bench::{Bench, goroutines, hub};

const BACKENDS: [Backend; 2] = [Backend::UprobeMulti, Backend::PerfEvent];

/// A ring of one page: the smallest.
const TINY: u32 = 4096;

/// A ring that holds all that a test does.
const LARGE: u32 = 8 << 20;

/// Takes every stack.
const EVERY_STACK: Control =
    Control { stacks_per_site: u32::MAX, stack_sample_mask: 0, wakeup_bytes: u32::MAX, wakers: 0 };

/// How long a call is at a `go` statement.
const CALL_LEN: u64 = if cfg!(target_arch = "x86_64") { 5 } else { 4 };

#[test]
fn every_kind_of_event_says_what_the_process_has() {
    for backend in BACKENDS {
        let Some(mut bench) = Bench::on(0, backend) else { return };
        assert_eq!(bench.hub.backend(), backend);
        bench.attach(&Kind::ALL, Cost::Emulated);
        let goroutines = goroutines(3);
        bench.run(&goroutines, 1);
        let mut kinds = Vec::new();
        let returns_to = bench.specimen.at(Cost::Emulated).0 + CALL_LEN;
        bench.take(|record| {
            let event = decode(record).unwrap();
            assert_eq!((event.about().goid, event.about().g.0), (Goid(42), goroutines.g()));
            match event {
                Event::Birth(birth) => {
                    assert_eq!(birth.parent, Some(Goid(7)));
                    assert_eq!((birth.creation_pc, birth.start_pc), (ReturnPc(0x1234), Pc(0x5678)));
                    assert_eq!(birth.stack.iter().map(|pc| pc.0).collect::<Vec<_>>(), [1, 2, 3]);
                    assert_eq!(birth.stack_state, StackState::Complete);
                }
                Event::Park(park) => assert_eq!(park.wait_reason, 19),
                Event::Ready(ready) => assert_eq!(ready.waker, None, "nobody asked"),
                Event::End(_) => {}
                Event::Site(site) => {
                    assert_eq!((site.parent, site.creation_pc), (Some(Goid(42)), ReturnPc(returns_to)));
                    assert_eq!(site.start_pc, Pc(42), "the first word of the first argument");
                    assert_eq!(site.stack.iter().next(), Some(ReturnPc(returns_to)));
                }
            }
            kinds.push(event.kind());
        });
        kinds.sort_unstable();
        assert_eq!(kinds, Kind::ALL);
    }
}

#[test]
fn fields_that_lie_apart_are_read_one_by_one() {
    let Some(mut bench) = Bench::load(20, TargetOptions::with_ring_bytes(LARGE)) else { return };
    let layout = GoLayout { g_parent_goid: ABSENT, ..Goroutines::layout() };
    bench.attach_with(std::process::id(), layout, &[Kind::Birth], Cost::Emulated);
    bench.run(&goroutines(0), 1);
    let seen = bench.birth(|birth| (birth.about.goid, birth.parent, birth.creation_pc, birth.start_pc));
    assert_eq!(seen, (Goid(42), Some(Goid(7)), ReturnPc(0x1234), Pc(0x5678)), "the parent is the creator");
}

#[test]
fn wakers_are_named_when_asked_for() {
    let control = Control { wakers: 1, ..EVERY_STACK };
    let Some(mut bench) = Bench::load(19, TargetOptions { control, ..TargetOptions::with_ring_bytes(LARGE) })
    else {
        return;
    };
    bench.attach(&[Kind::Ready], Cost::Emulated);
    bench.run(&goroutines(0), 1);
    let mut wakers = Vec::new();
    bench.take(|record| match decode(record) {
        Ok(Event::Ready(ready)) => wakers.push(ready.waker),
        other => panic!("{other:?} is not a wake-up"),
    });
    assert_eq!(wakers, [Some(Goid(7))]);
}

#[test]
fn hits_are_counted_exactly_at_instructions_of_every_cost() {
    for backend in BACKENDS {
        for cost in [Cost::Emulated, Cost::SingleStepped] {
            let Some(mut bench) = Bench::on(1, backend) else { return };
            bench.attach(&[Kind::End], cost);
            bench.run(&goroutines(0), 1000);
            assert_eq!(bench.drain(), BTreeMap::from([(Kind::End, 1000)]), "{backend:?} {cost:?}");
            assert_eq!(bench.counters().hits_of(Kind::End), 1000);
        }
    }
}

#[test]
fn hits_from_many_threads_are_records_or_drops_and_nothing_else() {
    let options = TargetOptions { control: EVERY_STACK, ..TargetOptions::with_ring_bytes(TINY) };
    let Some(mut bench) = Bench::load(2, options) else { return };
    bench.attach(&Kind::ALL, Cost::Emulated);
    let specimen = bench.specimen;
    let mut records = BTreeMap::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(move || {
                    let goroutines = goroutines(40);
                    (0..2000).for_each(|_| goroutines.run(specimen));
                })
            })
            .collect();
        while !threads.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            bench.drain().into_iter().for_each(|(kind, count)| *records.entry(kind).or_default() += count);
        }
    });
    bench.drain().into_iter().for_each(|(kind, count)| *records.entry(kind).or_default() += count);
    let counters = bench.counters();
    for kind in Kind::ALL {
        let written = records.get(&kind).copied().unwrap_or(0);
        assert_eq!(counters.hits_of(kind), 16_000, "{kind:?}");
        assert_eq!(counters.hits_of(kind), written + counters.dropped_of(kind), "{kind:?}");
    }
    assert!(counters.dropped_for(DropReason::RingFull) > 0, "the ring was too large to overflow");
    assert_eq!(counters.lost(), counters.dropped_for(DropReason::RingFull));
}

#[test]
fn a_full_ring_drops_and_says_so() {
    let Some(mut bench) = Bench::load(3, TargetOptions::with_ring_bytes(TINY)) else { return };
    bench.attach(&[Kind::Park], Cost::Emulated);
    bench.run(&goroutines(0), 500);
    let counters = bench.counters();
    let written = bench.drain()[&Kind::Park];
    assert_eq!((counters.hits_of(Kind::Park), counters.lost()), (500, 500 - written));
    assert_eq!(counters.dropped_for(DropReason::RingFull), counters.lost());
    bench.run(&goroutines(0), 1);
    assert_eq!(bench.drain()[&Kind::Park], 1, "room comes back");
}

#[test]
fn a_g_that_cannot_be_read_is_a_drop() {
    let Some(mut bench) = Bench::load(4, TargetOptions::with_ring_bytes(LARGE)) else { return };
    bench.attach(&Kind::ALL, Cost::Emulated);
    goroutines(0).run_unreadable(bench.specimen);
    assert_eq!(bench.drain(), BTreeMap::new());
    let counters = bench.counters();
    assert_eq!((counters.dropped_for(DropReason::GFault), counters.lost()), (5, 5));
}

#[test]
fn what_should_never_happen_is_said_once_for_each_kind() {
    for backend in BACKENDS {
        let Some(mut bench) = Bench::on(8, backend) else { return };
        bench.attach(&Kind::ALL, Cost::Emulated);
        bench.run(&goroutines(2), 3);
        assert_eq!(bench.hub.mishaps().unwrap(), [], "nothing is wrong: {backend:?}");
        for expected in [Kind::ALL.len(), 0] {
            (0..3).for_each(|_| goroutines(0).run_unreadable(bench.specimen));
            let mishaps = bench.hub.mishaps().unwrap();
            let right = format!("in process {}: unreadable runtime.g at 3 hits", std::process::id());
            assert!(mishaps.iter().all(|mishap| mishap.to_string().contains(&right)), "{mishaps:?}");
            assert_eq!(mishaps.len(), expected, "{backend:?}: {mishaps:?}");
        }
        assert_eq!(bench.counters().dropped_for(DropReason::GFault), 30);
    }
}

#[test]
fn a_stack_deeper_than_a_record_is_cut_and_says_so() {
    let Some(mut bench) = Bench::load(5, TargetOptions::with_ring_bytes(LARGE)) else { return };
    bench.attach(&[Kind::Birth], Cost::Emulated);
    for (depth, expected) in [
        (0, StackState::Complete),
        (MAX_CREATOR_FRAMES, StackState::Complete),
        (MAX_CREATOR_FRAMES + 1, StackState::Truncated),
    ] {
        bench.run(&goroutines(depth), 1);
        let (len, state) = bench.birth(|birth| (birth.stack.len(), birth.stack_state));
        assert_eq!((len, state), (depth.min(MAX_CREATOR_FRAMES), expected));
    }
}

#[test]
fn a_site_has_the_stacks_of_its_first_births_and_then_samples() {
    let control = Control { stacks_per_site: 3, stack_sample_mask: 7, wakeup_bytes: u32::MAX, wakers: 0 };
    let Some(mut bench) = Bench::load(6, TargetOptions { control, ..TargetOptions::with_ring_bytes(LARGE) })
    else {
        return;
    };
    bench.attach(&[Kind::Birth], Cost::Emulated);
    let goroutines = goroutines(2);
    let with_stack = |bench: &mut Bench, times| {
        (0..times)
            .filter(|_| {
                bench.run(&goroutines, 1);
                bench.birth(|birth| !birth.stack.is_empty())
            })
            .collect::<Vec<u32>>()
    };
    assert_eq!(with_stack(&mut bench, 20), [0, 1, 2, 8, 16]);
    let none = Control { stacks_per_site: 0, stack_sample_mask: u32::MAX, ..control };
    bench.hub.set_control(bench.id(), none).unwrap();
    assert_eq!(with_stack(&mut bench, 20), [0_u32; 0]);
}

#[test]
fn kinds_are_detached_and_attached_again_while_others_go_on() {
    for backend in BACKENDS {
        let Some(mut bench) = Bench::on(7, backend) else { return };
        bench.attach(&[Kind::End, Kind::Park], Cost::Emulated);
        bench.set_kinds(Kinds::NONE.with(Kind::End));
        bench.run(&goroutines(0), 1);
        assert_eq!(bench.drain(), BTreeMap::from([(Kind::End, 1)]));
        bench.set_kinds(Kinds::NONE.with(Kind::End).with(Kind::Park));
        bench.run(&goroutines(0), 1);
        assert_eq!(bench.drain(), BTreeMap::from([(Kind::End, 1), (Kind::Park, 1)]));
        bench.set_kinds(Kinds::NONE);
        bench.run(&goroutines(0), 1);
        assert_eq!(bench.drain(), BTreeMap::new());
    }
}

#[test]
fn sites_of_one_kind_can_differ_in_register() {
    for backend in BACKENDS {
        let Some(mut bench) = Bench::on(21, backend) else { return };
        let site = |cost, g| ProbeSite { kind: Kind::End, offset: bench.specimen.place(cost).unwrap(), g };
        let sites = [site(Cost::Emulated, GRegister::Arg0), site(Cost::SingleStepped, GRegister::Current)];
        bench.attach_at(std::process::id(), Goroutines::layout(), &sites);
        let goroutines = goroutines(0);
        bench.run(&goroutines, 1);
        let mut seen = Vec::new();
        bench.take(|record| seen.push(decode(record).unwrap().about().g.0));
        assert_eq!(seen.len(), 2);
        assert!(seen.contains(&goroutines.g()) && seen.contains(&goroutines.g0()), "{seen:x?}");
    }
}

#[test]
fn measuring_the_cost_leaves_nothing_behind() {
    for backend in BACKENDS {
        let Some(mut hub) = hub(Some(backend)) else { return };
        let cost = hub.cost().unwrap();
        println!("{backend:?}: {cost:#.0?}");
        assert!(cost.emulated.iter().all(|&nanoseconds| nanoseconds > 10.0));
        assert_eq!(hub.targets().count(), 0);
        assert_eq!(hub.cost().unwrap(), cost, "it is measured once");
    }
}

#[test]
fn a_fork_is_not_the_target() {
    for backend in BACKENDS {
        let Some(mut bench) = Bench::on(16, backend) else { return };
        bench.attach(&[Kind::End], Cost::Emulated);
        goroutines(0).run_in_fork(bench.specimen).unwrap();
        bench.run(&goroutines(0), 1);
        assert_eq!(bench.drain(), BTreeMap::from([(Kind::End, 1)]), "{backend:?}");
        let counters = bench.counters();
        assert_eq!((counters.hits_of(Kind::End), counters.lost()), (1 + counters.dropped_of(Kind::End), 0));
    }
}

#[test]
fn a_killed_tracer_leaves_no_probe() {
    if let Ok(order) = std::env::var(HOLD) {
        hold(&order);
    }
    for (backend, number) in BACKENDS.into_iter().zip([17, 18]) {
        let Some(bench) = Bench::on(number, backend) else { return };
        let before = instruction(bench.specimen);
        let mut tracer = Command::new("/proc/self/exe")
            .args(["--exact", "a_killed_tracer_leaves_no_probe"])
            .env(HOLD, format!("{} {number} {}", std::process::id(), backend.as_str()))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let is = |there: bool| (there == (instruction(bench.specimen) != before)).then_some(());
        poll_until(PATIENCE, "the tracer has attached", || is(true));
        tracer.kill().unwrap();
        tracer.wait().unwrap();
        poll_until(PATIENCE, "the probe of the killed tracer is gone", || is(false));
    }
}

/// Tells a copy of this test binary to attach to a process, and what to attach: pid, specimen and backend.
const HOLD: &str = "LEAKTRACE_TEST_HOLD";

/// Attaches to another process that runs this binary, and waits to be killed.
fn hold(order: &str) -> ! {
    let mut words = order.splitn(3, ' ');
    let mut number = || words.next().and_then(|word| word.parse().ok()).expect("a number");
    let (pid, specimen) = (number(), number());
    let name = words.next();
    let backend = BACKENDS.into_iter().find(|backend| name == Some(backend.as_str()));
    let mut bench = Bench::on(u64::from(specimen), backend.expect("a backend")).expect("it could load");
    bench.attach_to(pid, &[Kind::End], Cost::Emulated);
    loop {
        std::thread::park();
    }
}

/// The first byte of a specimen's instruction, as it is in memory: the kernel puts a breakpoint there.
fn instruction(specimen: Specimen) -> u8 {
    let mut byte = [0];
    let memory = File::open("/proc/self/mem").expect("our own memory");
    memory.read_exact_at(&mut byte, specimen.at(Cost::Emulated).0).expect("our own code");
    byte[0]
}
