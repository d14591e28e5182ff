//! Ring 2: what leaktrace says of real programs that leak, and how users get it to say more or less.

use std::collections::{BTreeMap, BTreeSet};

use leaktrace_tests::leaktrace::leaktrace;
use leaktrace_tests::matrix::each;
use leaktrace_tests::privilege::can_probe;
use leaktrace_tests::report::Verdict;
use leaktrace_tests::{Mode, Program, Target, Version};

/// It takes so long until enough passes through the heap have been made.
const LONG_ENOUGH: &str = "--duration 18s --format json --top 0";

fn creator(verdict: &Verdict) -> String {
    verdict.created_by.place().function
}

#[test]
fn what_nothing_refers_to_is_likely_and_what_is_referred_to_is_clean() {
    if !can_probe() {
        return;
    }
    let target = Target::start_program(Program::Stuck, Version::NEWEST, Mode::Stripped, "");
    let report = leaktrace(&format!("--pid {} {LONG_ENOUGH}", target.pid())).report();
    assert!(report.completeness.heap.made >= 4, "{:?}", report.completeness.heap);
    assert_eq!(report.completeness.heap.refused, None);
    let (unreachable, others): (Vec<_>, Vec<_>) =
        report.verdicts.iter().partition(|verdict| verdict.code == "LT005");
    for verdict in &unreachable {
        // Of an iterator, only what it runs is the program's own.
        let own = verdict.own_line.as_ref().map_or_else(|| creator(verdict), |line| line.function.clone());
        assert!(own.starts_with("main.leak"), "{}", verdict.summary);
        // It was not stopped.
        assert_eq!(verdict.severity, "likely", "{}", verdict.summary);
    }
    assert!(unreachable.len() >= 15, "{unreachable:#?}");
    // Nil channels are known to be without looking through the heap.
    let surer: Vec<&str> = others.iter().map(|verdict| verdict.code.as_str()).collect();
    assert_eq!(surer, ["LT004"; 3]);
}

/// The releases before and after the one in which channels got to know their timers, the oldest and the newest.
fn releases_of_timers() -> impl Iterator<Item = (Version, Mode)> {
    Version::ALL
        .into_iter()
        .filter(|version| [19, 22, 23].contains(&version.minor) || *version == Version::NEWEST)
        .map(|version| (version, Mode::Plain))
}

#[test]
fn whoever_ranges_over_a_stopped_ticker_waits_for_ever() {
    if !can_probe() {
        return;
    }
    each(releases_of_timers(), |version, mode| {
        let target = Target::start(version, mode, "stopped_ticker=5 timer_chan=3 ticker=2");
        let pid = target.pid();
        let dump = leaktrace(&format!("dump --pid {pid} --format json")).stdout;
        assert_eq!(dump.matches("\"stopped\":true").count(), 5, "{dump}");
        let report = leaktrace(&format!("--pid {pid} --duration 25s --format json --top 0")).report();
        assert!(report.completeness.heap.made >= 4, "{:?}", report.completeness.heap);
        let said: Vec<_> =
            report.verdicts.iter().map(|verdict| (verdict.code.as_str(), creator(verdict))).collect();
        assert_eq!(said, [("LT005", "main.stoppedTicker".to_owned())], "{:#?}", report.verdicts);
        let verdict = &report.verdicts[0];
        assert_eq!(verdict.severity, "likely", "{}", verdict.summary);
        assert!(
            verdict.cause.contains("it was stopped, or has fired for the last time"),
            "{}",
            verdict.cause
        );
    });
}

#[test]
fn each_mistake_is_one_incident_with_the_programs_own_line() {
    if !can_probe() {
        return;
    }
    let target = Target::start_program(Program::Lines, Version::NEWEST, Mode::Stripped, "");
    let report = leaktrace(&format!("--pid {} --duration 25s --format json --top 0", target.pid())).report();
    let mut incidents: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for verdict in &report.verdicts {
        assert_eq!(
            (verdict.code.as_str(), verdict.severity.as_str()),
            ("LT005", "likely"),
            "{}",
            verdict.summary
        );
        let own = verdict.own_line.as_ref().unwrap_or_else(|| panic!("{verdict:#?}"));
        incidents.entry(&verdict.incident).or_default().insert(&own.function);
    }
    let incidents: BTreeSet<Vec<&str>> =
        incidents.into_values().map(|own| own.into_iter().collect()).collect();
    let functions = [
        "main.afterFunc.func1",
        "main.contextAfterFunc",
        "main.once.func1",
        "main.pull",
        "main.twoOnOneChannel",
        "main.waitGroup",
    ];
    assert_eq!(incidents, functions.map(|function| vec![function]).into(), "{:#?}", report.verdicts);
    assert_eq!(report.verdicts.len(), functions.len() + 1, "two statements wait for one channel");
}

#[test]
fn who_does_not_want_to_hear_of_it_has_no_passes() {
    if !can_probe() {
        return;
    }
    let target = Target::start_program(Program::Stuck, Version::NEWEST, Mode::Plain, "");
    let report =
        leaktrace(&format!("--pid {} --duration 8s --format json --allow LT005", target.pid())).report();
    assert_eq!(report.completeness.heap.made, 0);
}
