//! Ring 2: `leaktrace check` on a live process.

use std::time::{Duration, Instant};

use leaktrace_tests::leaktrace::{Running, command, leaktrace};
use leaktrace_tests::poll::{PATIENCE, poll_until};
use leaktrace_tests::privilege::can_probe;
use leaktrace_tests::report::{Report, verdicts_in};
use leaktrace_tests::{Mode, Target, Version};

fn check(target: &Target, options: &str) -> (Option<i32>, String) {
    let outcome = leaktrace(&format!("check --pid {} --for 1s {options}", target.pid()));
    assert!(outcome.code == Some(0) || outcome.code == Some(1), "{}", outcome.stderr);
    (outcome.code, outcome.stdout)
}

#[test]
fn a_maximum_is_of_a_function_or_of_the_process() {
    let target = Target::start(Version::NEWEST, Mode::Plain, "driven=5");
    for (options, code) in [
        ("--max main.driven.func1=5", 0),
        ("--max main.driven.func1=4", 1),
        ("--max 100", 0),
        ("--max 3", 1),
        ("--max 100 --max main.driven.func1=4", 1),
        ("--max-growth 0/1m --max-growth main.driven.func1=0/1s", 0),
    ] {
        let (was, stdout) = check(&target, &format!("--probes none {options}"));
        assert_eq!(was, Some(code), "{options}: {stdout}");
        let says = stdout.contains("LT021");
        assert_eq!(says, code == 1, "{options}: {stdout}");
    }
}

#[test]
fn growth_while_it_is_checked_fails() {
    if !can_probe() {
        return;
    }
    let mut target = Target::start(Version::NEWEST, Mode::Plain, "driven=5");
    let limits = "--max-growth main.driven.func1=50/1m --max-growth 1000000/1m";
    let arguments = format!("check --pid {} --for 3s {limits} --format json", target.pid());
    let mut running = Running::start(command(&arguments));
    poll_until(PATIENCE, "the check ends", || {
        target.command("spawn 5");
        (!running.is_running()).then_some(())
    });
    let outcome = running.finish();
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    let report: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("one report");
    let verdicts: Vec<_> = verdicts_in(&report).collect();
    let over: Vec<_> = verdicts.iter().filter(|verdict| verdict["code"] == "LT022").collect();
    assert_eq!(over.len(), 1, "only one limit is exceeded: {verdicts:?}");
    assert!(over[0]["evidence"]["seen"].as_u64() > Some(50), "{over:?}");
    assert_eq!(over[0]["created_by"]["function"], "main.driven.func1");
}

#[test]
fn a_check_that_is_cut_short_has_not_passed() {
    if !can_probe() {
        return;
    }
    let target = Target::start(Version::NEWEST, Mode::Plain, "driven=5");
    for (limit, code) in [(100, 130), (1, 1)] {
        let arguments = format!("check --pid {} --for 10m --max-overhead off --max {limit}", target.pid());
        let mut running = Running::start(command(&arguments));
        running.await_probes(target.pid(), 4);
        let outcome = running.stop();
        assert_eq!(outcome.code, Some(code), "{}", outcome.stderr);
        assert!(outcome.stderr.contains("interrupted by a signal"), "{}", outcome.stderr);
        assert!(outcome.stdout.contains("goroutines"), "there is a report: {}", outcome.stdout);
    }
}

#[test]
fn a_check_that_cannot_fail_says_so() {
    let target = Target::start(Version::NEWEST, Mode::Plain, "driven=5");
    let watch = format!("check --pid {} --duration 1s --probes none", target.pid());
    for (condition, is_told) in
        [("", true), ("--fail-on certain", false), ("--deny LT001", false), ("--max 1000", false)]
    {
        let outcome = leaktrace(&format!("{watch} {condition}"));
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        let told = outcome.stderr.contains("nothing can fail this check");
        assert_eq!(told, is_told, "{condition}: {}", outcome.stderr);
    }
}

#[test]
fn a_limit_on_nothing_is_told() {
    let target = Target::start(Version::NEWEST, Mode::Plain, "driven=5");
    for format in ["text", "github"] {
        let arguments = format!("check --pid {} --for 1s --probes none --max main.drivn=1", target.pid());
        let outcome = leaktrace(&format!("{arguments} --format {format}"));
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        assert_eq!(said.matches("no goroutine of it was seen").count(), 1, "{said}");
    }
}

#[test]
fn a_process_that_ends_has_not_passed() {
    let mut target = Target::start(Version::NEWEST, Mode::Plain, "driven=5 exits=1");
    let running = Running::start(command(&format!("check --pid {} --for 1m --probes none", target.pid())));
    target.send("exit 0");
    let outcome = running.finish();
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
}

#[test]
fn what_ends_before_its_first_snapshot_has_no_report() {
    if !can_probe() {
        return;
    }
    let mut unseen = 0;
    for pause in (0..32).map(|step| Duration::from_millis(8 * step)) {
        let target = Target::start(Version::NEWEST, Mode::Plain, "driven=5");
        let running =
            Running::start(command(&format!("check --pid {} --for 1m --format json", target.pid())));
        let began = Instant::now();
        poll_until(PATIENCE, "some time has passed", || (began.elapsed() > pause).then_some(()));
        drop(target);
        let outcome = running.finish();
        assert_eq!(outcome.code, Some(3), "{pause:?}: {outcome:?}");
        let has_report = !outcome.stdout.is_empty();
        assert_eq!(outcome.stderr.contains("the last report shows"), has_report, "{pause:?}: {outcome:?}");
        if has_report {
            let report: Report = serde_json::from_str(&outcome.stdout).expect("one report");
            assert!(report.totals.live > 0, "{pause:?}: {outcome:?}");
        }
        unseen += usize::from(outcome.stderr.contains("before the first snapshot"));
    }
    eprintln!("{unseen} of 32 ended before their first snapshot");
}
