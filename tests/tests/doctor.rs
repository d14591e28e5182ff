//! Ring 2: `leaktrace doctor` says what would work with a process, and what is missing where it would not.

use std::process::{Command, Stdio};

use leaktrace_tests::go::build;
use leaktrace_tests::leaktrace::{Outcome, leaktrace};
use leaktrace_tests::nobody::Nobody;
use leaktrace_tests::privilege::can_probe;
use leaktrace_tests::{Mode, Program, Target, Version};

#[track_caller]
fn says(outcome: &Outcome, words: &[&str]) {
    for word in words {
        assert!(outcome.stdout.contains(word), "does not say {word:?}: {}", outcome.stdout);
    }
}

#[test]
fn a_stripped_program_has_names_goroutines_and_a_plan() {
    if !can_probe() {
        return;
    }
    let target = Target::start(Version::NEWEST, Mode::Stripped, "leak_chan_send=10");
    let outcome = leaktrace(&format!("doctor --pid {}", target.pid()));
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    says(
        &outcome,
        &["the binary is stripped, which does not remove them", "its memory shows", "a probe costs"],
    );
    says(&outcome, &["\nbirth  ", "\nend    ", "\npark   ", "\nready  "]);
    assert!(!outcome.stdout.contains("MISSING"), "{}", outcome.stdout);
}

#[test]
fn a_program_that_is_not_go_has_a_hint() {
    if !can_probe() {
        return;
    }
    let mut other = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let outcome = leaktrace(&format!("doctor --pid {}", other.id()));
    drop(other.stdin.take());
    other.wait().unwrap();
    assert_eq!(outcome.code, Some(6), "{outcome:?}");
    says(&outcome, &["MISSING not a Go program"]);
    assert!(!outcome.stdout.contains("see below"), "{}", outcome.stdout);
    assert!(outcome.stderr.contains("\nhint: "), "{}", outcome.stderr);
}

#[test]
fn without_privileges_it_says_which_and_what_works_all_the_same() {
    if !can_probe() {
        return;
    }
    let nobody = Nobody::new();
    let program = build(Program::Scenarios, Version::NEWEST, Mode::Plain, &mut |_| {}).unwrap();
    let mut own = nobody.command(&program).arg("leak_chan_send=10").stdin(Stdio::piped()).spawn().unwrap();
    let outcome = nobody.leaktrace(&format!("doctor --pid {}", own.id()));
    own.kill().unwrap();
    own.wait().unwrap();
    assert_eq!(outcome.code, Some(4), "{outcome:?}");
    assert!(!outcome.stdout.contains("use Linux 5.15"), "{}", outcome.stdout);
    let other = nobody.leaktrace("doctor --pid 1");
    says(&other, &["\nProcess 1\n", "MISSING "]);
    says(&outcome, &["MISSING CAP_BPF", "MISSING CAP_PERFMON", "its memory shows", "\nbirth  "]);
}
