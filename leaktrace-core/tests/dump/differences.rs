//! What changed between two dumps.

use leaktrace_core::base::num::{Goid, Tgid};
use leaktrace_core::dump::diff::{ChangeKind, Diff, FORMATS, diff};
use leaktrace_core::dump::group::By;
use leaktrace_core::goroutines::Dump;
use leaktrace_core::goroutines::model::UnixTime;

use crate::made_up::dumps;
use crate::sample::{SECOND, Sample, TAKEN_AT, sample};
use proptest::prelude::*;

fn text(diff: &Diff, top: usize) -> String {
    let mut out = Vec::new();
    (FORMATS.named("text").unwrap().writer)(diff, top, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// `counts` goroutines of some kinds, of a build whose lines and addresses are `shift` further on.
fn service(counts: &[(&str, u64)], shift: u32, minutes: u64) -> Dump {
    let mut sample = Sample::new();
    for (kind, count) in counts {
        for goid in 0..*count {
            let leaf = format!("main.{kind} /src/{kind}.go:{}", 10 + shift);
            let mut goroutine = sample.waiting(goid, "chan receive", &["runtime.gopark a.go:1", &leaf]);
            goroutine.created_by = Some(sample.frame(&format!("main.start /src/main.go:{}", 20 + shift)));
            goroutine.parent = Some(Goid(1));
            sample.builder.goroutine(goroutine);
        }
    }
    let mut dump = sample.builder.finish();
    dump.taken_at = UnixTime(TAKEN_AT.0 + minutes * 60 * SECOND);
    dump
}

#[test]
fn groups_are_matched_by_function_across_builds_and_restarts() {
    let before = service(&[("leak", 4), ("pool", 10), ("old", 2), ("busy", 9)], 0, 0);
    let mut after = service(&[("leak", 104), ("pool", 10), ("new", 1), ("busy", 3)], 700, 5);
    after.target.pid = Tgid(99);
    after.target.build_id = Some("beef".to_owned());
    let diff = diff(&before, &after, By::CreatedBy, false);
    let kinds: Vec<_> = diff.changes.iter().map(|change| (change.kind(), change.delta())).collect();
    assert_eq!(
        kinds,
        [
            (ChangeKind::Grew, 100),
            (ChangeKind::Appeared, 1),
            (ChangeKind::Vanished, -2),
            (ChangeKind::Shrank, -6)
        ]
    );
    assert_eq!((diff.unchanged, diff.same_process), (1, false));
    assert_eq!(diff.changes[0].per_minute, Some(20.0));
    insta::assert_snapshot!(text(&diff, 3));
    let mut json = Vec::new();
    (FORMATS.named("json").unwrap().writer)(&diff, 0, &mut json).unwrap();
    insta::assert_snapshot!("differences_json", String::from_utf8(json).unwrap());
}

#[test]
fn growth_fails_from_the_given_number_on() {
    let grown = diff(&service(&[("leak", 4)], 0, 0), &service(&[("leak", 9)], 0, 1), By::Stack, false);
    let why = grown.grown_too_much(5).unwrap();
    assert!(why.starts_with("1 group grew by 5 goroutines or more, the most by 5: "), "{why}");
    assert_eq!(grown.grown_too_much(6), None);
    assert!(grown.grown_too_much(0).is_some(), "no growth at all is asked for, and there is some");
    let same = diff(&sample(), &sample(), By::Stack, false);
    assert!(same.grown_too_much(0).is_none() && same.same_process);
}

#[test]
fn every_grouping_has_names_that_others_have_too() {
    let mut empty = sample();
    empty.goroutines.clear();
    empty.taken_at = UnixTime(0);
    let text: String = By::ALL.into_iter().map(|by| text(&diff(&empty, &sample(), by, false), 100)).collect();
    assert!(!text.contains("0xc0"), "an address means nothing elsewhere: {text}");
    insta::assert_snapshot!(text);
}

#[test]
fn dumps_the_wrong_way_round_are_noticed() {
    let diff = diff(&service(&[], 0, 5), &service(&[("leak", 4)], 0, 0), By::Wait, false);
    assert_eq!(diff.changes[0].per_minute, None);
    assert!(text(&diff, 9).contains("in the wrong order"), "{}", text(&diff, 9));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn differences_add_up(a in dumps(), b in dumps()) {
        for by in By::ALL {
            let forth = diff(&a, &b, by, true);
            let sum: i64 = forth.changes.iter().map(leaktrace_core::dump::diff::Change::delta).sum();
            prop_assert_eq!(sum, b.goroutines.len().cast_signed() as i64 - a.goroutines.len().cast_signed() as i64);
            let back = diff(&b, &a, by, true);
            prop_assert_eq!(forth.changes.len(), back.changes.len());
            prop_assert!(diff(&a, &a, by, true).changes.is_empty());
        }
    }
}
