//! Grouping and filtering.

use leaktrace_core::base::num::Avma;
use leaktrace_core::dump::filter::{Filter, Pattern};
use leaktrace_core::dump::group::{By, group};
use leaktrace_core::go::names::Status;
use leaktrace_core::goroutines::Dump;
use leaktrace_core::goroutines::model::{BlockedOn, DumpGoroutine, LockKind};

use crate::sample::{SECOND, Sample, sample};

fn goids(filter: &Filter) -> Vec<u64> {
    let mut dump = sample();
    let shown = |dump: &Dump| dump.listed(false).count();
    let before = shown(&dump);
    filter.apply(&mut dump, false);
    assert_eq!(dump.completeness.filtered_out, (before - shown(&dump)) as u64);
    dump.goroutines.iter().map(|goroutine| goroutine.goid.0).collect()
}

fn pattern(text: &str) -> Vec<Pattern> {
    vec![Pattern::parse(text).unwrap()]
}

#[test]
fn an_empty_filter_keeps_everything() {
    assert_eq!(goids(&Filter::default()).len(), sample().goroutines.len());
}

#[test]
fn what_would_not_be_shown_anyway_is_not_counted_as_filtered_out() {
    let none = Filter { matching: pattern("^nothing$"), ..Filter::default() };
    let filtered_out = |include_runtime| {
        let mut dump = sample();
        none.apply(&mut dump, include_runtime);
        assert_eq!(dump.goroutines, []);
        dump.completeness.filtered_out
    };
    assert_eq!(filtered_out(true) - filtered_out(false), 1, "the sweeper");
}

#[test]
fn filters_look_at_state_reason_and_age() {
    let running = Filter { states: vec![Status::Running, Status::Syscall], ..Filter::default() };
    assert_eq!(goids(&running), [50, 53]);
    let channels = Filter { waits: vec!["chan".to_owned()], ..Filter::default() };
    assert_eq!(goids(&channels), [18, 19, 20, 23, 52]);
    let old = Filter { older_ns: Some(3_600 * SECOND), ..Filter::default() };
    assert_eq!(goids(&old), [19, 20]);
}

#[test]
fn patterns_look_at_frames_creators_and_labels() {
    let matching = |text| goids(&Filter { matching: pattern(text), ..Filter::default() });
    assert_eq!(matching(r"Worker.*\.emit"), [18, 19, 20]);
    assert_eq!(matching(r"main\.go:9\d"), [50]);
    assert_eq!(matching("^path=/api"), [18, 19, 20]);
    let not = Filter { matching: pattern("main"), not: pattern("^main.start$"), ..Filter::default() };
    assert_eq!(goids(&not), [1, 22, 23, 52, 53, 54]);
}

#[test]
fn groups_are_ordered_by_size_then_title() {
    let dump = sample();
    let text: String = By::ALL
        .into_iter()
        .flat_map(|by| {
            let groups = group(&dump, by, false);
            let lines = groups.into_iter().map(|group| {
                format!("{:>3} {:?} {} {}\n", group.len(), group.oldest_ns, group.stack_bytes, group.title)
            });
            std::iter::once(format!("by {}\n", by.as_str())).chain(lines).collect::<Vec<_>>()
        })
        .collect();
    insta::assert_snapshot!(text);
}

/// What groups by what they are blocked on say of goroutines that wait at one place for mutexes at `addresses`.
fn told(addresses: &[u64]) -> Vec<String> {
    let mut sample = Sample::new();
    for (goid, &address) in (1..).zip(addresses) {
        let goroutine = sample.waiting(goid, "sync.Mutex.Lock", &["order.(*Book).Add /src/order/book.go:55"]);
        let lock = BlockedOn::Lock { kind: LockKind::Mutex, address: Avma(address), waiters: None };
        let blocked_on = Some(sample.builder.blocked_on(lock));
        sample.builder.goroutine(DumpGoroutine { blocked_on, ..goroutine });
    }
    let dump = sample.builder.finish();
    group(&dump, By::BlockedOn, false).iter().map(|group| dump.sentence(group, By::BlockedOn)).collect()
}

#[test]
fn goroutines_that_each_wait_for_their_own_are_one_group() {
    assert_eq!(told(&[8, 16, 24]), ["3 goroutines each wait for a sync.Mutex of their own"]);
    assert_eq!(
        told(&[8, 8, 24]),
        ["2 goroutines wait for one sync.Mutex", "1 goroutine waits for a sync.Mutex"]
    );
}
