//! Ring 2: who holds the locks that others wait for, as the stacks of real programs show it.

mod live;

use std::process::Command;

use leaktrace_core::base::num::Ktime;
use leaktrace_core::binary::elf::Elf;
use leaktrace_core::go::goroutines::{Walker, WalkerInput, Want};
use leaktrace_core::go::holders::holders;
use leaktrace_core::go::program::Program as GoProgram;
use leaktrace_core::go::reach::Streaks;
use leaktrace_core::goroutines::{Facts, from_snapshot};
use leaktrace_core::judge::detect::{Finding, History, Observation, Policy, findings};
use leaktrace_core::schema::Verdict;
use leaktrace_tests::go::build;
use leaktrace_tests::held::Held;
use leaktrace_tests::matrix::each;
use leaktrace_tests::poll::{PATIENCE, poll_until};
use leaktrace_tests::{Mode, Program, Version};

use crate::live::{Live, without_sections};

const BUILDS: [(Version, Mode); 3] =
    [(Version::OLDEST, Mode::Plain), (Version::NEWEST, Mode::Plain), (Version::NEWEST, Mode::Stripped)];

/// The verdict of `code` on a process, as if it had been watched for a minute without any change. A bare program has
/// no symbols and no sections.
fn verdict(pid: u32, bare: bool, code: &str) -> Option<Verdict> {
    let live = Live::open(pid);
    let file = if bare { without_sections(live.file()) } else { live.file().to_vec() };
    let elf = Elf::parse(&file).expect("it runs");
    let program = GoProgram::inspect(&elf, live.bias(&elf), &live.memory).expect("it is a Go program");
    let mut walker = Walker::new(WalkerInput::of(&program));
    let snapshot = walker.snapshot(&live.memory, Want::Stacks, &|| Ktime(0)).expect("it can be read");
    let dump = from_snapshot(&snapshot, &program, &live.memory, Facts::default());
    let seen = |seconds: u64| Observation::of(&dump, Some(&snapshot), Ktime(seconds * 1_000_000_000));
    let mut history = History::default();
    history.observe(&seen(1), &Streaks::default());
    let last = seen(61);
    let mut watched = history.observe(&last, &Streaks::default());
    let locks = watched.locks(&last).into_keys().collect();
    watched.held(&holders(&program, &live.memory, &snapshot, &locks), &last);
    let findings = findings(&watched, &Policy::default(), &|_| None);
    findings.into_iter().map(|Finding { verdict, .. }| verdict).find(|verdict| verdict.code == code)
}

/// Waits for a verdict on what `behaviour` does.
fn awaited(version: Version, mode: Mode, behaviour: &str, code: &str) -> Verdict {
    let binary = build(Program::Reachable, version, mode, &mut |what| eprintln!("{what}"));
    let held = Held::start(Command::new(binary.expect("it is built")).arg(behaviour));
    let held = held.expect("the program starts");
    poll_until(PATIENCE, code, || verdict(held.pid(), mode == Mode::Stripped, code))
}

#[test]
fn locks_that_are_taken_in_another_order_are_a_ring() {
    each(BUILDS, |version, mode| {
        let verdict = awaited(version, mode, "lock_order", "LT006");
        assert_eq!(verdict.evidence["ring"].as_array().map(Vec::len), Some(2), "{verdict:#?}");
        let words = "each holds the lock that another one waits for: goroutine ";
        assert!(verdict.cause.starts_with(words), "{}", verdict.cause);
        assert_eq!(
            verdict.cause.matches(" in main.transfer (lock_order.go:35)").count(),
            2,
            "{}",
            verdict.cause
        );
    });
}

#[test]
fn who_holds_a_lock_is_named_with_what_it_waits_for() {
    each(BUILDS, |version, mode| {
        let verdict = awaited(version, mode, "held_while_sending", "LT007");
        let cause = &verdict.cause;
        assert!(
            cause.ends_with(" in main.(*inventory).refresh (held_while_sending.go:28) waits for chan send"),
            "{cause}"
        );
        assert!(verdict.evidence["held_by"].is_u64(), "{verdict:#?}");
    });
}
