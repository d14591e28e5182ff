//! Limits that users set.

use leaktrace_core::base::num::Ktime;
use leaktrace_core::judge::thresholds::{Limit, Thresholds};
use leaktrace_core::schema::Report;

use crate::sample;

const MINUTE: u64 = 60_000_000_000;

/// A process with so many goroutines that `main.worker` runs, and 50 others.
fn report(workers: u64) -> Report {
    let mut report = sample::report();
    report.incidents.clear();
    report.groups = vec![sample::group("main.start", "example.com/shop/main.worker", workers)];
    report.totals.live = workers + 50;
    report
}

fn limit(of: &str, most: u64, minutes: Option<u64>) -> Limit {
    Limit {
        of: Some(of.to_owned()).filter(|of| !of.is_empty()),
        most,
        within: minutes.map(|minutes| minutes * MINUTE),
    }
}

/// What is said after looks, a minute apart, that saw so many.
fn summaries(limit: Limit, workers: &[u64]) -> Vec<String> {
    let mut thresholds = Thresholds::new([limit]);
    for (minute, workers) in (1..).zip(workers) {
        thresholds.observe(Ktime(minute * MINUTE), &report(*workers));
    }
    let mut last = report(*workers.last().unwrap());
    thresholds.add_verdicts(&mut last);
    last.verdicts().map(|verdict| format!("{} {}", verdict.code, verdict.summary)).collect()
}

#[test]
fn a_maximum_holds_at_every_look() {
    assert_eq!(summaries(limit("main.worker", 100, None), &[10, 100, 20]), [""; 0]);
    let over = "LT021 101 goroutines of main.worker (limit 100): the check fails";
    assert_eq!(summaries(limit("main.worker", 100, None), &[10, 101, 20]), [over]);
}

#[test]
fn a_function_is_meant_by_what_it_creates_too_and_with_its_path() {
    for of in ["main.start", "example.com/shop/main.worker"] {
        assert_eq!(summaries(limit(of, 1, None), &[2]).len(), 1, "{of}");
    }
    assert_eq!(summaries(limit("worker", 1, None), &[2]), [""; 0]);
}

#[test]
fn the_whole_process_has_limits_too() {
    let over = "LT021 61 goroutines in the process (limit 60): the check fails";
    assert_eq!(summaries(limit("", 60, None), &[10, 11]), [over]);
}

#[test]
fn growth_counts_within_its_time_only() {
    let slow: Vec<u64> = (0..30).map(|minute| minute * 40).collect();
    assert_eq!(summaries(limit("main.worker", 200, Some(5)), &slow), [""; 0]);
    let over = "LT022 205 more goroutines of main.worker within 5m (limit 200): the check fails";
    let fast: Vec<u64> = (0..30).map(|minute| minute * 41).collect();
    assert_eq!(summaries(limit("main.worker", 200, Some(5)), &fast), [over]);
}

#[test]
fn a_limit_on_nothing_is_told() {
    let notices = |of: &str| {
        let mut thresholds = Thresholds::new([limit(of, 1, None)]);
        let mut last = report(2);
        thresholds.observe(Ktime(MINUTE), &last);
        thresholds.add_verdicts(&mut last);
        last.notices
    };
    assert_eq!(notices("main.worker"), [""; 0]);
    assert_eq!(
        notices("main.wrker"),
        ["the limit for main.wrker had no effect: no goroutine of it was seen"]
    );
}

#[test]
fn growth_is_told_before_its_time_is_over_and_after_it_has_gone() {
    let over = "LT022 300 more goroutines of main.worker within 5m (limit 200): the check fails";
    assert_eq!(summaries(limit("main.worker", 200, Some(5)), &[0, 300, 0]), [over]);
}
