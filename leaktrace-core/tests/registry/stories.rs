//! What the registry makes of events and snapshots, told event by event.

use crate::support::{SITE, Watch, birth_record, goroutine, snapshot};
use leaktrace_core::base::num::{Goid, Ktime, ReturnPc};
use leaktrace_core::go::names::Status::{Runnable, Running, Waiting};
use leaktrace_core::trace::registry::{Limits, Origin, Registry};

const SECOND: u64 = 1_000_000_000;
const SELECT: u8 = 9;
const SEND: u8 = 15;

#[test]
fn a_life_from_birth_to_end() {
    let mut watch = Watch::attached_at(0);
    watch.at(10).birth(17).at(20).park(17, SELECT);
    watch.expect(17).born_at(10).origin(Origin::Seen).waits(SELECT, Some(20));
    watch.at(30).ready(17);
    watch.expect(17).is(Runnable);
    watch.at(40).end(17);
    let counts = watch.expect_gone(17).counts();
    assert_eq!((counts.born, counts.ended, counts.ends_unmatched), (1, 1, 0));
}

#[test]
fn an_end_that_overtakes_its_birth_is_one_life() {
    let mut watch = Watch::attached_at(0);
    watch.at(5).snapshot(vec![]);
    watch.at(40).end(17);
    assert_eq!(watch.counts().ends_unmatched, 1);
    watch.at(10).birth(17);
    let counts = watch.expect_gone(17).counts();
    assert_eq!((counts.born, counts.ended, counts.ends_unmatched), (1, 1, 0));
    watch.at(10).birth(17).at(40).end(17);
    let counts = watch.counts();
    assert_eq!((counts.born, counts.ended, counts.births_repeated, counts.ends_unmatched), (1, 1, 1, 0));
}

#[test]
fn what_was_there_before_is_at_least_as_old_as_the_attachment() {
    let mut watch = Watch::attached_at(100);
    let result = watch.at(200).snapshot(vec![goroutine(1, Waiting, SELECT), goroutine(2, Running, 0)]);
    assert_eq!((result.before_attach, result.births_recovered), (2, 0));
    watch.expect(1).born_at_or_before(100).origin(Origin::BeforeAttach).waits(SELECT, None);
    watch.expect(2).is(Running);
    watch.at(300).end(2);
    assert_eq!((watch.counts().before_attach, watch.counts().ended), (2, 1));
}

#[test]
fn what_ended_before_the_first_snapshot_was_there_before() {
    let mut watch = Watch::attached_at(100);
    watch.at(110).end(1).at(120).birth(20).at(130).end(2);
    let counts = watch.counts();
    assert_eq!((counts.before_attach, counts.born, counts.ended, counts.ends_unmatched), (2, 1, 2, 0));
    watch.at(200).snapshot(vec![goroutine(3, Waiting, SELECT), goroutine(20, Waiting, SELECT)]);
    watch.at(300).end(3);
    let counts = watch.counts();
    assert_eq!((counts.before_attach, counts.born, counts.ended, counts.ends_unmatched), (3, 1, 3, 0));
    watch.at(310).end(99);
    assert_eq!(watch.counts().ends_unmatched, 1, "the snapshot would have shown one from before");
}

#[test]
fn the_first_snapshot_says_of_which_site_those_were_that_it_still_shows() {
    let mut watch = Watch::attached_at(100);
    watch.at(110).end(1).at(120).end(2);
    watch.at(200).snapshot(vec![goroutine(1, Waiting, SELECT)]);
    watch.expect_gone(1);
    let sites = watch.registry.sites().map(|(_, site)| (site.before_attach, site.ended, site.live_at_first));
    assert_eq!(
        sites.collect::<Vec<_>>(),
        [(1, 1, 0), (1, 1, 0)],
        "nobody knows where 2 was, and 1 is counted once"
    );
    let counts = watch.counts();
    assert_eq!((counts.before_attach, counts.born, counts.ended, counts.ends_unmatched), (2, 0, 2, 0));
    watch.at(210).end(1);
    assert_eq!(watch.counts().ended, 2);
}

#[test]
fn a_birth_that_its_end_overtook_before_the_first_snapshot_was_not_there_before() {
    let mut watch = Watch::attached_at(0);
    watch.at(40).end(17);
    assert_eq!(watch.counts().before_attach, 1);
    watch.at(10).birth(17).at(10).birth(17);
    let counts = watch.expect_gone(17).counts();
    assert_eq!((counts.before_attach, counts.born, counts.ended), (0, 1, 1));
    assert_eq!((counts.births_repeated, counts.ends_unmatched), (1, 0));
}

#[test]
fn what_replaces_goroutines_that_nobody_knew_is_no_growth() {
    let mut watch = Watch::attached_at(0);
    for goid in 1..=1_000 {
        watch.at(goid).end(goid).birth(10_000 + goid);
    }
    let shown = (10_001..=11_000).chain(5_000..6_000);
    watch.at(SECOND).snapshot(shown.map(|goid| goroutine(goid, Waiting, SELECT)).collect());
    let rate = |watch: &Watch, now| {
        let site = watch.registry.get(Goid(11_000)).map(|known| watch.registry.site(known.site)).unwrap();
        watch.registry.net_per_minute(site.live(), site.live_at_first, Ktime(now))
    };
    assert_eq!(rate(&watch, 5 * SECOND), None, "too short to tell");
    assert_eq!(rate(&watch, 61 * SECOND), Some(0.0));
    for goid in 1..=30 {
        watch.at(62 * SECOND).birth(20_000 + goid);
    }
    assert_eq!(rate(&watch, 121 * SECOND), Some(15.0));
    let counts = watch.counts();
    assert_eq!((counts.before_attach, counts.born, counts.ended), (2_000, 1_030, 1_000));
}

#[test]
fn the_garbage_collectors_times_make_the_bound_better() {
    let mut watch = Watch::attached_at(1_000);
    let mut old = goroutine(1, Waiting, SELECT);
    old.wait_since = Some(Ktime(300));
    let mut newer = goroutine(2, Waiting, SELECT);
    newer.wait_since = Some(Ktime(700));
    watch.at(2_000).snapshot(vec![old, newer]);
    watch.expect(1).born_at_or_before(700).waits(SELECT, Some(700));
    watch.expect(2).born_at_or_before(1_000).waits(SELECT, None);
}

#[test]
fn a_lost_birth_is_recovered_and_a_late_one_takes_that_back() {
    let mut watch = Watch::attached_at(0);
    watch.at(10).snapshot(vec![]);
    assert_eq!(watch.at(50).snapshot(vec![goroutine(17, Waiting, SEND)]).births_recovered, 1);
    watch.expect(17).born_at_or_before(50).origin(Origin::Recovered);
    assert_eq!(watch.counts().born, 1);
    watch.at(30).birth(17);
    watch.expect(17).born_at(30).waits(SEND, None);
    assert_eq!((watch.counts().born, watch.counts().births_recovered), (1, 0));
}

#[test]
fn a_birth_while_attaching_that_the_first_snapshot_overtook() {
    let mut watch = Watch::attached_at(0);
    watch.at(50).snapshot(vec![goroutine(17, Waiting, SEND)]);
    watch.at(30).birth(17);
    let counts = watch.counts();
    assert_eq!((counts.before_attach, counts.born), (0, 1));
}

#[test]
fn a_lost_end_is_a_ghost_and_a_late_one_is_not_counted_again() {
    let mut watch = Watch::attached_at(0);
    watch.at(10).birth(17).birth(18);
    assert_eq!(watch.at(50).snapshot(vec![goroutine(18, Running, 0)]).ghosts_removed, 1);
    watch.expect_gone(17).expect(18);
    watch.at(40).end(17);
    let counts = watch.counts();
    assert_eq!((counts.ended, counts.ghosts_removed, counts.ends_unmatched), (1, 1, 0));
}

#[test]
fn a_snapshot_says_nothing_about_what_was_born_or_ended_meanwhile() {
    let mut watch = Watch::attached_at(0);
    watch.at(10).birth(1).birth(2);
    watch.registry.expect_snapshot();
    watch.at(60).end(1).at(70).birth(3).at(80).park(2, SEND);
    let shown = vec![goroutine(1, Running, 0), goroutine(2, Running, 0)];
    let result = watch.registry.reconcile(&snapshot(50, 90, shown));
    assert_eq!((result.ghosts_removed, result.births_recovered, result.undecided), (0, 0, 0));
    watch.expect_gone(1).expect(3);
    watch.expect(2).waits(SEND, Some(80));
    watch.counts();
}

#[test]
fn without_the_ends_since_it_began_a_snapshot_adds_nothing() {
    let mut watch = Watch::attached_at(0);
    watch.at(1).snapshot(vec![]);
    for n in 1..8 {
        watch.at(n * SECOND).birth(n).end(n);
    }
    let late = snapshot(SECOND / 2, 8 * SECOND, vec![goroutine(1, Running, 0), goroutine(99, Running, 0)]);
    let result = watch.registry.reconcile(&late);
    assert_eq!((result.undecided, watch.registry.live()), (2, 0));
    assert_eq!(watch.at(9 * SECOND).snapshot(vec![goroutine(99, Running, 0)]).births_recovered, 1);
}

#[test]
fn an_incomplete_snapshot_needs_a_second_one_to_remove() {
    let mut watch = Watch::attached_at(0);
    watch.at(10).birth(1).birth(2);
    for (at, ghosts) in [(20, 0), (30, 1)] {
        let mut partial = snapshot(at, at, vec![goroutine(2, Running, 0)]);
        partial.unreadable = 1;
        assert_eq!(watch.registry.reconcile(&partial).ghosts_removed, ghosts);
    }
    watch.expect_gone(1);
}

#[test]
fn threads_of_c_come_and_go_without_being_lost_or_found() {
    let mut watch = Watch::attached_at(0);
    watch.at(10).snapshot(vec![]);
    let mut callback = goroutine(5, Running, 0);
    callback.gopc = ReturnPc(0);
    assert_eq!(watch.at(20).snapshot(vec![callback]).births_recovered, 0);
    watch.expect(5).origin(Origin::Foreign);
    assert_eq!(watch.at(30).snapshot(vec![]).ghosts_removed, 0);
    let counts = watch.counts();
    assert_eq!((counts.born, counts.ended), (1, 1));
}

#[test]
fn creator_stacks_begin_at_the_go_statement() {
    let mut watch = Watch::attached_at(0);
    watch.feed(&birth_record(1, 17, SITE, &[0x10, 0x20, SITE, 0x5000, 0x6000]));
    let site = watch.registry.site(watch.registry.get(Goid(17)).unwrap().site);
    assert_eq!(site.creators()[0].pcs, [SITE, 0x5000, 0x6000].map(ReturnPc));
    watch.feed(&birth_record(1, 18, SITE + 1, &[0x10, 0x20, 0x5000]));
    let site = watch.registry.site(watch.registry.get(Goid(18)).unwrap().site);
    assert!(site.creators().is_empty(), "a stack without the go statement is not its creator's");
}

#[test]
fn limits_are_kept_and_what_they_leave_out_is_counted() {
    let limits = Limits { goroutines: 2, sites: 2, ends: 16 };
    let mut watch = Watch::attached_at(0);
    watch.registry = Registry::with_limits(Ktime(0), limits);
    for goid in 1..=5 {
        watch.at(goid).birth_from(goid, SITE + goid);
    }
    assert_eq!((watch.registry.live(), watch.counts().untracked, watch.counts().born), (2, 3, 2));
    let shown = (1..=5).map(|goid| goroutine(goid, Running, 0)).collect();
    watch.at(50).snapshot(shown);
    assert_eq!((watch.registry.live(), watch.counts().untracked), (2, 6));
    assert_eq!(watch.registry.sites().len(), 2);
}

#[test]
fn a_week_of_requests_leaves_only_what_leaked() {
    let mut watch = Watch::attached_at(0);
    let (mut goid, mut leaked) = (0, Vec::new());
    for minute in 0..7 * 24 * 60_u64 {
        for request in 0..5 {
            goid += 1;
            let at = minute * 60 * SECOND + request * SECOND;
            watch.at(at).birth(goid).at(at + 1_000).park(goid, SEND);
            if goid % 1_000 == 0 {
                leaked.push(goid);
            } else {
                watch.at(at + SECOND / 2).ready(goid).end(goid);
            }
        }
        if minute % 60 == 59 {
            let shown = leaked.iter().map(|&goid| goroutine(goid, Waiting, SEND)).collect();
            watch.at(minute * 60 * SECOND + 30 * SECOND).snapshot(shown);
        }
    }
    let counts = watch.counts();
    assert_eq!((counts.born, counts.ended), (50_400, 50_350));
    assert_eq!((counts.ghosts_removed, counts.births_recovered, counts.ends_unmatched), (0, 0, 0));
    assert_eq!(watch.registry.live(), leaked.len());
    watch
        .expect(1_000)
        .born_at(199 * 60 * SECOND + 4 * SECOND)
        .waits(SEND, Some(199 * 60 * SECOND + 4 * SECOND + 1_000));
}
