//! The Go targets themselves: each scenario shows the behaviour that its name says, in every build.

use leaktrace_tests::matrix::each_build;
use leaktrace_tests::poll::{PATIENCE, poll_until};
use leaktrace_tests::{Mode, Target, Version};

/// Scenarios that every build has, with the wait reason that they show (and what Go before 1.20, 1.24 said).
const EVERYWHERE: &[(&str, &str)] = &[
    ("leak_chan_send", "chan send"),
    ("leak_chan_recv", "chan receive"),
    ("nil_chan_send", "chan send (nil chan)"),
    ("nil_chan_recv", "chan receive (nil chan)"),
    ("select_forever", "select (no cases)"),
    ("select_cases", "select"),
    ("range_chan", "chan receive"),
    ("pool", "chan receive"),
    ("mutex", "sync.Mutex.Lock"),
    ("rwmutex_read", "sync.RWMutex.RLock"),
    ("waitgroup", "sync.WaitGroup.Wait"),
    ("cond", "sync.Cond.Wait"),
    ("sleep", "sleep"),
    ("timer_chan", "chan receive"),
    ("stopped_ticker", "chan receive"),
    ("io_wait", "IO wait"),
    ("syscall", "syscall"),
    ("locked_thread", "chan receive"),
    ("generic", "chan receive"),
    ("method_value", "chan receive"),
    ("interface_method", "chan receive"),
    ("promoted_method", "chan receive"),
    ("nested_closure", "chan receive"),
    ("with_arguments", "chan receive"),
    ("deferred_wait", "chan receive"),
    ("inlined", "chan receive"),
    ("inlined_creator", "chan receive"),
    ("deep", "chan receive"),
    ("deep_creator", "chan receive"),
    ("driven", "chan receive"),
    ("parked", "chan receive"),
];

/// What this release calls a wait reason that newer ones have a name for.
fn reason_in(version: Version, reason: &'static str) -> &'static str {
    match reason {
        "sync.Mutex.Lock" | "sync.RWMutex.RLock" | "sync.RWMutex.Lock" if version.minor < 20 => "semacquire",
        "sync.WaitGroup.Wait" if version.minor < 24 => "semacquire",
        newer => newer,
    }
}

#[test]
fn every_build_shows_every_behaviour() {
    each_build(|version, mode| {
        let scenarios: Vec<String> = EVERYWHERE.iter().map(|(name, _)| format!("{name}=2")).collect();
        let mut target = Target::start(version, mode, &scenarios.join(" "));
        let (goroutines, state) = (target.goroutines(), target.state());
        assert_eq!(state.go_version, format!("go{version}"));
        for (name, reason) in EVERYWHERE {
            assert_eq!(state.site(name).spawned, 2, "{name}");
            let expected = reason_in(version, reason);
            assert!(
                goroutines.iter().any(|seen| seen.state == expected),
                "{name}: nobody waits for {expected}"
            );
        }
        // The main goroutine and what the scenarios started.
        assert_eq!(state.num_goroutine, 1 + 2 * EVERYWHERE.len() as u64);
    });
}

#[test]
fn creators_know_their_stack() {
    each_build(|version, mode| {
        let mut target = Target::start(version, mode, "driven=1");
        assert!(target.state().site("driven").creator.is_empty());
        target.command("spawn 1");
        let state = target.command("start inlined_creator=1 deep_creator=1");
        let names =
            |site| state.site(site).creator.iter().map(|place| place.function.as_str()).collect::<Vec<_>>();
        assert_eq!(names("driven")[0], "main.driven.func1");
        let expected =
            ["main.physicalStart", "main.inlinedStartInner", "main.inlinedStart", "main.inlinedCreator"];
        assert_eq!(names("inlined_creator")[..4], expected);
        assert_eq!(names("deep_creator").iter().filter(|name| **name == "main.descend").count(), 71);
        assert!(names("deep_creator").ends_with(&["main.main", "runtime.main", "runtime.goexit"]));
    });
}

#[test]
fn births_and_ends_follow_commands() {
    let mut target = Target::start(Version::NEWEST, Mode::Plain, "driven=0");
    assert_eq!(target.command("spawn 7").site("driven").spawned, 7);
    target.command("finish 3");
    poll_until(PATIENCE, "three goroutines end", || {
        (target.state().site("driven").finished == 3).then_some(())
    });
    assert_eq!(target.command("settle").num_goroutine, 5);
}
