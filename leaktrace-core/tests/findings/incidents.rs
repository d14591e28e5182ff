//! Which verdicts are one incident, and in which order incidents come.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use leaktrace_common::event::StackState;
use leaktrace_core::base::num::{GPtr, Goid, Ktime, Pc, ReturnPc};
use leaktrace_core::judge::detect::Tie;
use leaktrace_core::judge::incidents::{Kin, incidents};
use leaktrace_core::schema::{Incident, OwnLine, Route, Severity, Shared, Verdict};
use leaktrace_core::trace::decode::{About, BirthEvent, Event, Stack};
use leaktrace_core::trace::registry::{LineageId, Registry};
use proptest::prelude::*;
use serde_json::json;

use crate::sample;

fn verdict(function: &str, severity: Severity, live: u64, net_per_minute: Option<f64>) -> Verdict {
    static VERDICT: LazyLock<Verdict> =
        LazyLock::new(|| sample::report().incidents.remove(0).verdicts.remove(0));
    let mut verdict = VERDICT.clone();
    verdict.created_by.function = Some(function.to_owned());
    Verdict { code: "LT001".to_owned(), severity, live, net_per_minute, ..verdict }
}

fn likely(function: &str) -> Verdict {
    verdict(function, Severity::Likely, 20, Some(30.0))
}

fn waits_for(object: u64) -> Kin {
    Kin { ties: vec![Tie::Object(object)], ..Kin::default() }
}

fn from_line(line: u32) -> Kin {
    let file = Some("/src/main.go".to_owned());
    let line = OwnLine { function: "main.fetch".to_owned(), file, line: Some(line), by: Route::Caller };
    Kin { line: Some(line), ..Kin::default() }
}

/// So many lineages, all different.
fn lineages(count: u64) -> Vec<LineageId> {
    let mut registry = Registry::new(Ktime(1));
    for number in 1..=count {
        registry.apply(&Event::Birth(BirthEvent {
            about: About { target: 0, ktime: Ktime(number), goid: Goid(number), g: GPtr(number << 9) },
            parent: None,
            creation_pc: ReturnPc(number),
            start_pc: Pc(number),
            stack: Stack::from_bytes(&[]),
            stack_state: StackState::NotSampled,
        }));
    }
    (1..=count).filter_map(|goid| Some(registry.get(Goid(goid))?.lineage)).collect()
}

fn functions(incident: &Incident) -> Vec<&str> {
    incident.verdicts.iter().filter_map(|verdict| verdict.created_by.function.as_deref()).collect()
}

#[test]
fn four_hundred_statements_on_one_channel_are_one_incident() {
    let found = (0..400).map(|n| (likely(&format!("main.handler{n:03}")), waits_for(7))).collect();
    let all = incidents(found);
    assert_eq!((all.len(), all[0].verdicts.len(), all[0].live), (1, 400, 8_000));
    assert_eq!((functions(&all[0])[0], &all[0].shared[..]), ("main.handler000", &[Shared::Object][..]));
    assert_eq!(all[0].net_per_minute, Some(12_000.0));
}

#[test]
fn nine_leaks_at_one_rate_are_nine() {
    let found = (0..9).map(|n| (likely(&format!("main.leak{n}")), waits_for(n))).collect();
    assert_eq!(incidents(found).len(), 9);
    let found = (0..9).map(|n| (likely(&format!("main.leak{n}")), from_line(n))).collect();
    assert_eq!(incidents(found).len(), 9);
}

#[test]
fn whoever_holds_what_others_wait_for_is_of_their_incident() {
    let holder = Kin { ties: vec![Tie::Goroutine(Goid(7)), Tie::Object(1)], ..Kin::default() };
    let waits = Kin { ties: vec![Tie::Object(2), Tie::Goroutine(Goid(7))], ..Kin::default() };
    let all = incidents(vec![(likely("a"), holder), (likely("b"), waits), (likely("c"), waits_for(3))]);
    assert_eq!(all.iter().map(functions).collect::<Vec<_>>(), [vec!["a", "b"], vec!["c"]]);
}

#[test]
fn the_best_evidence_leads_and_a_line_of_the_users_is_shown() {
    let dial = Verdict { own_line: from_line(21).line, ..likely("net/http.(*Transport).dialConn") };
    let mut signature = likely("net/http.dial");
    "LT010".clone_into(&mut signature.code);
    let watch = verdict("a.A", Severity::Watch, 9_000, None);
    let kin = || from_line(21);
    let all = incidents(vec![(watch, kin()), (dial, kin()), (signature, kin())]);
    assert_eq!(functions(&all[0]), ["net/http.dial", "a.A", "net/http.(*Transport).dialConn"]);
    assert_eq!(all[0].own_line.as_ref().and_then(|line| line.line), Some(21));
    assert_eq!(all[0].severity, Severity::Likely);
}

#[test]
fn descendants_belong_to_those_that_started_them_if_they_are_in_step() {
    let ids = lineages(2);
    let parent = Kin { lineages: BTreeSet::from([ids[0]]), ..Kin::default() };
    let child =
        Kin { lineages: BTreeSet::from([ids[1]]), ancestors: BTreeSet::from([ids[0]]), ..Kin::default() };
    let count = |live, net| {
        let found = vec![
            (likely("main.fetch"), parent.clone()),
            (verdict("http.dial", Severity::Watch, live, net), child.clone()),
        ];
        incidents(found).len()
    };
    assert_eq!(count(20, Some(30.0)), 1);
    assert_eq!(count(40, Some(61.0)), 1, "two for each");
    assert_eq!(count(20, None), 2, "they do not grow");
    assert_eq!(count(20, Some(300.0)), 2, "they grow ten times as fast");
    assert_eq!(count(2_000, Some(3_000.0)), 2, "a server that many things happen in");
    assert_eq!(count(3, Some(4.5)), 2, "most have none");
}

#[test]
fn an_incident_is_the_same_whoever_leads_it_and_wherever_the_line_has_moved() {
    let id = |first: Severity, line| {
        let mut one = verdict("main.a", first, 20, None);
        one.created_by.line = Some(line);
        let all = incidents(vec![(one, waits_for(7)), (likely("main.b"), waits_for(7))]);
        all[0].id.clone()
    };
    let ids = BTreeSet::from([id(Severity::Watch, 10), id(Severity::Certain, 10), id(Severity::Likely, 99)]);
    assert_eq!(ids.len(), 1, "{ids:?}");
    let twice = |line| {
        let mut verdict = likely("main.a");
        verdict.created_by.line = Some(line);
        (verdict, waits_for(line.into()))
    };
    let all = incidents(vec![twice(1), twice(2)]);
    assert_ne!(all[0].id, all[1].id, "two statements in one function");
}

#[test]
fn what_is_left_out_is_counted_and_known_to_a_baseline() {
    let mut report = sample::together();
    let all = report.verdicts().count();
    report.keep_first(2);
    assert_eq!((report.incidents.len(), report.not_listed.further_incidents), (2, 2));
    assert_eq!(report.verdicts().count() + report.not_listed.further_verdicts.len(), all);
    let further = serde_json::to_value(&report.not_listed.further_verdicts).unwrap();
    assert_eq!(further[0]["code"], json!("LT001"));
    report.keep_first(0);
    assert_eq!(report.incidents.len(), 2, "0 is all");
}

fn found() -> impl Strategy<Value = Vec<(Verdict, Kin)>> {
    let ids = lineages(6);
    let severity = proptest::sample::select(Severity::ALL.to_vec());
    let rate = proptest::option::of(0.0..50.0);
    let id = || proptest::collection::btree_set(proptest::sample::select(ids.clone()), 0..3);
    let ties = proptest::collection::vec((0_u64..8).prop_map(Tie::Object), 0..3);
    let line = proptest::option::of((0_u32..6).prop_filter_map("a line", |line| from_line(line).line));
    let kin = (ties, line, id(), id()).prop_map(|(ties, line, lineages, ancestors)| Kin {
        ties,
        line,
        lineages,
        ancestors,
    });
    let one = (severity, 1_u64..60, rate, kin);
    proptest::collection::vec(one, 0..24).prop_map(|all| {
        let named = |(index, (severity, live, rate, kin))| {
            (verdict(&format!("main.f{index}"), severity, live, rate), kin)
        };
        all.into_iter().enumerate().map(named).collect()
    })
}

proptest! {
    #[test]
    fn every_verdict_is_in_exactly_one_incident(found in found()) {
        let all = incidents(found.clone());
        let mut names: Vec<_> = all.iter().flat_map(functions).collect();
        names.sort_unstable();
        let mut expected: Vec<_> =
            found.iter().filter_map(|(verdict, _)| verdict.created_by.function.as_deref()).collect();
        expected.sort_unstable();
        prop_assert_eq!(names, expected);
        let ids: BTreeSet<_> = all.iter().map(|incident| incident.id.as_str()).collect();
        prop_assert_eq!(ids.len(), all.len());
        prop_assert!(all.is_sorted_by_key(|incident| (incident.severity, std::cmp::Reverse(incident.live))));
    }

    #[test]
    fn neither_groups_nor_order_depend_on_the_order_of_what_was_found(
        (found, shuffled) in found().prop_flat_map(|found| (Just(found.clone()), Just(found).prop_shuffle()))
    ) {
        prop_assert_eq!(incidents(found), incidents(shuffled));
    }
}
