//! What is said of goroutines that are left at the end of a program.

use leaktrace_core::judge::detect::{Ignore, Level, Policy};
use leaktrace_core::judge::left;
use leaktrace_core::judge::owners::{Owners, UNKNOWN_TEST};
use leaktrace_core::schema::{Group, Report};
use leaktrace_core::schema::{Severity, Verdict};
use serde_json::json;

use crate::sample;

/// A report on these groups, with no verdicts.
fn report(groups: Vec<Group>) -> Report {
    let mut report = sample::report();
    report.incidents.clear();
    report.groups = groups;
    report
}

/// What is said of `group` if `tests`, of which some are running, created each of its goroutines.
fn judged(group: Group, tests: &[(&str, bool)]) -> Option<Verdict> {
    let mut owners = Owners::default();
    for (test, runs) in tests {
        owners.add(&group.created_by, test, *runs);
    }
    let mut report = report(vec![group]);
    left::add_verdicts(&mut report, &owners, &Policy::default());
    report.incidents.pop()?.verdicts.pop()
}

fn severity(group: Group, tests: &[(&str, bool)]) -> Option<Severity> {
    judged(group, tests).map(|verdict| verdict.severity)
}

fn ask(live: u64) -> Group {
    sample::group("order.Ask", "order.Ask.func1", live)
}

#[test]
fn what_waits_after_its_test_is_a_likely_leak() {
    let verdict = judged(ask(2), &[("order.TestB.func1", false), ("order.TestA", false)]).unwrap();
    assert_eq!(verdict.severity, Severity::Likely);
    assert_eq!(
        verdict.summary,
        "2 goroutines left at the end, created by order.Ask (worker.go:88), chan send; created in TestA and TestB"
    );
    assert_eq!(verdict.evidence["tests"], json!({ "order.TestA": 1, "order.TestB": 1 }));
}

#[test]
fn what_belongs_to_no_test_or_to_one_that_runs_is_worth_a_look() {
    assert_eq!(severity(ask(1), &[]), Some(Severity::Watch));
    assert_eq!(severity(ask(1), &[("order.TestA", true)]), Some(Severity::Watch));
}

#[test]
fn what_ends_by_itself_is_worth_a_look() {
    for state in ["sleep", "running", "runnable"] {
        let wait_reasons = [(state.to_owned(), 1)].into();
        let group = Group { wait_reasons, oldest_age_ns: Some(1_000_000_000), ..ask(1) };
        assert_eq!(severity(group, &[("order.TestA", false)]), Some(Severity::Watch), "{state}");
    }
}

#[test]
fn what_had_no_time_to_end_is_not_left() {
    let one = |state: &str, age| {
        let wait_reasons = [(state.to_owned(), 2)].into();
        Group { wait_reasons, oldest_age_ns: age, ..ask(2) }
    };
    let (young, old) = (Some(999_999_999), Some(1_000_000_000));
    for state in ["running", "runnable", "preempted", "copystack"] {
        assert_eq!(severity(one(state, young), &[("order.TestA", false)]), None, "{state}");
        assert_eq!(severity(one(state, old), &[]), Some(Severity::Watch), "{state}");
        assert_eq!(severity(one(state, None), &[]), Some(Severity::Watch), "{state}");
    }
    assert_eq!(severity(one("syscall", young), &[]), Some(Severity::Watch));
    let mut mixed = one("running", young);
    mixed.live = 3;
    assert_eq!(severity(mixed, &[]), Some(Severity::Watch), "another one waits");

    let mut report = report(vec![one("running", young), one("running", old)]);
    left::add_verdicts(&mut report, &Owners::default(), &Policy::default());
    let [notice] = &report.notices[..] else { panic!("{:?}", report.notices) };
    let words = "2 goroutines younger than a second did not wait for anything when the program ended";
    assert!(notice.starts_with(words), "{notice}");
}

#[test]
fn a_test_that_creates_it_itself_is_known_without_its_birth() {
    let group = sample::group("order.TestA", "order.TestA.func1", 1);
    assert_eq!(judged(group, &[]).unwrap().evidence["tests"], json!({ "order.TestA": 1 }));
    let unknown = judged(ask(1), &[(UNKNOWN_TEST, false)]).unwrap();
    assert!(unknown.summary.ends_with("; created in a test"), "{}", unknown.summary);
    assert_eq!(unknown.severity, Severity::Likely);
}

#[test]
fn while_a_test_runs_nothing_unseen_is_a_leak() {
    let running = sample::group("testing.(*T).Run", "testing.tRunner", 1);
    let mut owners = Owners::default();
    owners.add(&ask(1).created_by, UNKNOWN_TEST, false);
    let mut report = report(vec![running, ask(1)]);
    left::add_verdicts(&mut report, &owners, &Policy::default());
    assert_eq!(report.incidents.len(), 1, "the test's own goroutine is none");
    assert_eq!(report.incidents[0].severity, Severity::Watch);
}

#[test]
fn what_the_standard_library_keeps_is_left_alone() {
    for (by, started) in [
        ("runtime.rt0_go", "runtime.main"),
        ("os/signal.Notify.func1.1", "os/signal.loop"),
        ("testing.(*F).Fuzz.func1", "testing.tRunner"),
        ("testing.runFuzzTests", "testing.fRunner"),
    ] {
        assert_eq!(severity(sample::group(by, started, 1), &[]), None, "{by}");
    }
    assert_eq!(severity(ask(0), &[]), None, "none is left");
}

#[test]
fn a_verdict_that_is_there_is_told_and_not_doubled() {
    let group = ask(3_104);
    let mut report = sample::report();
    report.incidents[0].verdicts[0].created_by = group.created_by.clone();
    report.groups = vec![group];
    let before = report.incidents.len();
    left::add_verdicts(&mut report, &Owners::default(), &Policy::default());
    assert_eq!(report.incidents.len(), before);
    assert_eq!(report.incidents[0].verdicts[0].evidence["left_at_exit"], json!(3_104));
}

#[test]
fn what_the_user_does_not_want_to_hear_is_not_said() {
    let heard = |policy: &Policy| {
        let mut report = report(vec![ask(1)]);
        left::add_verdicts(&mut report, &Owners::default(), policy);
        !report.incidents.is_empty()
    };
    assert!(heard(&Policy::default()));
    let mut allowed = Policy::default();
    allowed.levels.set("left-at-exit", Level::Allow).unwrap();
    assert!(!heard(&allowed));
    let ignore = Ignore { created_by: vec!["order.Ask".to_owned()], ..Ignore::default() };
    assert!(!heard(&Policy { ignore, ..Policy::default() }));
}

#[test]
fn what_the_user_does_not_want_to_hear_is_not_counted_as_unknown() {
    let wait_reasons = [("running".to_owned(), 2)].into();
    let ending = Group { wait_reasons, oldest_age_ns: Some(1), ..ask(2) };
    let notices = |policy: &Policy| {
        let mut report = report(vec![ending.clone()]);
        left::add_verdicts(&mut report, &Owners::default(), policy);
        report.notices
    };
    assert_eq!(notices(&Policy::default()).len(), 1);
    let mut allowed = Policy::default();
    allowed.levels.set("left-at-exit", Level::Allow).unwrap();
    assert_eq!(notices(&allowed), [""; 0]);
    let ignore = Ignore { created_by: vec!["order.Ask".to_owned()], ..Ignore::default() };
    assert_eq!(notices(&Policy { ignore, ..Policy::default() }), [""; 0]);
}

#[test]
fn a_verdict_that_is_less_sure_gives_way() {
    let group = ask(2);
    let mut owners = Owners::default();
    owners.add(&group.created_by, "order.TestA", false);
    owners.add(&group.created_by, "order.TestA", false);
    let mut report = sample::report();
    report.incidents.drain(..2);
    report.incidents[0].verdicts[0].created_by = group.created_by.clone();
    report.groups = vec![group];
    left::add_verdicts(&mut report, &owners, &Policy::default());
    let verdict = &report.incidents[0].verdicts[0];
    assert_eq!((verdict.code.as_str(), verdict.severity), ("LT020", Severity::Likely));
    assert_eq!(verdict.evidence["also"], json!(["LT001"]));
}

#[test]
fn what_is_hidden_is_counted() {
    let left = |policy: &Policy| {
        let mut report = report(vec![ask(2)]);
        left::add_verdicts(&mut report, &Owners::default(), policy);
        (report.incidents.len(), report.notices)
    };
    let mut policy = Policy::default();
    policy.levels.set("left-at-exit", Level::Allow).unwrap();
    assert_eq!(left(&policy), (0, vec!["1 verdict hidden by --allow".to_owned()]));
}

#[test]
fn one_is_spoken_of_as_one_and_several_as_several() {
    let words = |live, tests: &[(&str, bool)]| {
        let verdict = judged(ask(live), tests).unwrap();
        format!("{} {}", verdict.cause, verdict.remedy)
    };
    let test = [("order.TestA", false)];
    assert!(
        words(1, &[]).contains("without waiting for it. ") && words(1, &[]).contains("what it waits for")
    );
    assert!(
        words(9, &[]).contains("without waiting for them. ") && words(9, &[]).contains("what they wait for")
    );
    assert!(words(1, &test).contains("End it before") && words(1, &test).contains("until it is done"));
    let several = [("order.TestA", false); 2];
    assert!(
        words(2, &several).contains("End them before") && words(2, &several).contains("until they are done")
    );
}
