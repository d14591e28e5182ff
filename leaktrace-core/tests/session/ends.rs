//! All the ways to end.

use leaktrace_common::event::Kind;
use leaktrace_core::base::memory::ReadError;
use leaktrace_core::base::num::Avma;
use leaktrace_core::go::goroutines::WalkError;
use leaktrace_core::session::{Options, StopReason, Told};

use crate::world::{MILLI, OPTIONS, SECOND, World, event_record, gone, prepared};

#[test]
fn the_last_look_is_begun_after_the_end_was_asked_for() {
    let mut world = World::watched(OPTIONS, &[1]);
    world.pass(2 * SECOND - 5 * MILLI).unwrap();
    assert_eq!(world.log, ["look"], "one is under way");
    world.tell(Told::Stop(StopReason::TimeUp)).unwrap();
    world.pass(SECOND).unwrap();
    assert_eq!(world.log, ["look", "hurry", "keep", "look now", "keep last", "detach", "last report"]);
    assert_eq!((world.closed, world.reports.len()), (Some(StopReason::TimeUp), 1));
}

/// Probes are taken away one after the other: births are seen whose ends are not.
fn births_while_detaching(world: &mut World, after: u64) {
    let at = world.now + after;
    world.while_detaching = (0..449).map(|n| event_record(Kind::Birth, at + n, 100 + n)).collect();
}

#[test]
fn births_whose_ends_are_no_longer_seen_do_not_count() {
    let mut world = World::watched(OPTIONS, &[1, 2]);
    world.event(Kind::Birth, 3, false);
    world.alive.push(3);
    world.tell(Told::Stop(StopReason::TimeUp)).unwrap();
    births_while_detaching(&mut world, 11 * MILLI);
    world.while_detaching.push(event_record(Kind::End, world.now + 9 * MILLI, 2));
    world.pass(SECOND).unwrap();
    let report = world.last_report();
    let totals = &report.totals;
    assert_eq!((totals.live, totals.before_attach, totals.born, totals.ended), (2, 2, 1, 1));
    assert_eq!(report.completeness.decoded, 451, "they are counted as events");
}

#[test]
fn without_a_last_look_nothing_counts_after_the_first_probe_is_taken_away() {
    let mut world = World::watched(OPTIONS, &[1]);
    world.look_takes = None;
    world.tell(Told::Stop(StopReason::Asked)).unwrap();
    world.pass(SECOND).unwrap();
    births_while_detaching(&mut world, 10 * SECOND);
    world.event(Kind::Birth, 2, false);
    world.pass(20 * SECOND).unwrap();
    assert!(world.last_report().notices[1].contains("not ready in time"));
    assert_eq!(world.last_report().totals.live, 2);

    let mut world = World::watched(OPTIONS, &[1]);
    births_while_detaching(&mut world, MILLI);
    world.tell(Told::Blocked("reading does not return".to_owned())).unwrap();
    assert_eq!(world.last_report().totals.live, 1);
}

#[test]
fn a_target_that_exits_during_the_last_look_has_exited() {
    let mut world = World::watched(OPTIONS, &[1]);
    world.look_takes = None;
    world.tell(Told::Stop(StopReason::Asked)).unwrap();
    world.pass(SECOND).unwrap();
    assert_eq!(world.log, ["look now"]);
    world.tell(Told::Stop(StopReason::Exited)).unwrap();
    assert_eq!(world.closed, Some(StopReason::Exited));
    world.tell(gone()).unwrap();
    assert_eq!(world.reports.len(), 1, "nobody waits for the look any more");
}

#[test]
fn a_last_look_that_does_not_come_is_not_waited_for_for_ever() {
    let mut world = World::watched(OPTIONS, &[1]);
    world.look_takes = None;
    world.tell(Told::Stop(StopReason::Asked)).unwrap();
    world.pass(4 * SECOND).unwrap();
    assert_eq!(world.closed, None);
    world.pass(2 * SECOND).unwrap();
    assert_eq!(world.closed, Some(StopReason::Asked));
    assert!(world.last_report().notices[1].contains("not ready in time"));
}

#[test]
fn a_first_look_that_takes_for_ever_is_waited_for_for_seconds() {
    let mut world = World::new(OPTIONS);
    world.look_takes = None;
    world.pass(0).unwrap();
    world.tell(prepared()).unwrap();
    world.tell(Told::Stop(StopReason::TimeUp)).unwrap();
    world.pass(9 * SECOND).unwrap();
    assert_eq!(world.closed, None);
    world.pass(2 * SECOND).unwrap();
    assert_eq!((world.closed, world.reports.len()), (Some(StopReason::TimeUp), 0));
}

#[test]
fn one_that_blocks_reads_is_reported_with_what_is_known() {
    let mut world = World::watched(OPTIONS, &[1, 2, 3]);
    world.event(Kind::Birth, 9, false);
    world.look_takes = None;
    world.pass(2 * SECOND).unwrap();
    world.tell(Told::Blocked("reading does not return".to_owned())).unwrap();
    assert_eq!(world.closed, Some(StopReason::Blocked));
    assert_eq!(world.last_report().totals.live, 4);
    assert_eq!(world.last_report().notices, ["as built", "reading does not return"]);
}

#[test]
fn of_one_that_blocks_the_first_look_there_is_no_report() {
    let mut world = World::new(OPTIONS);
    world.look_takes = None;
    world.pass(0).unwrap();
    world.tell(prepared()).unwrap();
    world.tell(Told::Blocked("reading does not return".to_owned())).unwrap();
    assert_eq!((world.closed, world.reports.len()), (Some(StopReason::Blocked), 0));
    assert_eq!(world.log, ["prepare", "attach", "look now", "detach"], "its probes are taken away");
}

#[test]
fn of_one_that_ends_before_the_first_look_there_is_no_report_unless_we_have_started_it() {
    let ended = |options: Options, reason| {
        let mut world = World::new(options);
        world.look_takes = None;
        world.pass(0).unwrap();
        world.tell(prepared()).unwrap();
        world.event(Kind::Birth, 9, false);
        world.pass(MILLI).unwrap();
        world.tell(Told::Stop(reason)).unwrap();
        assert_eq!(world.closed, Some(reason));
        world.reports.iter().map(|report| report.totals.live).collect::<Vec<_>>()
    };
    for reason in [StopReason::Exited, StopReason::Execed] {
        assert_eq!(ended(OPTIONS, reason), [0; 0], "{reason:?}");
        assert_eq!(ended(Options { is_launched: true, ..OPTIONS }, reason), [1], "{reason:?}");
    }
}

#[test]
fn one_that_is_never_understood_does_not_hold_up_the_end() {
    let mut world = World::new(OPTIONS);
    world.pass(0).unwrap();
    world.tell(Told::Stop(StopReason::Asked)).unwrap();
    world.pass(SECOND).unwrap();
    assert_eq!(world.closed, None);
    world.pass(SECOND).unwrap();
    assert_eq!((world.closed, &world.log[..]), (Some(StopReason::Asked), &["prepare"][..]));
}

#[test]
fn one_that_is_understood_just_in_time_is_reported() {
    let mut world = World::new(OPTIONS);
    world.alive = vec![1];
    world.pass(0).unwrap();
    world.tell(Told::Stop(StopReason::TimeUp)).unwrap();
    world.pass(SECOND).unwrap();
    world.tell(prepared()).unwrap();
    world.pass(SECOND).unwrap();
    assert_eq!(world.log, ["prepare", "attach", "look now", "keep last", "detach", "last report"]);
    assert_eq!(world.last_report().totals.live, 1);
}

#[test]
fn one_that_exits_before_it_is_understood_is_closed_at_once() {
    let mut world = World::new(OPTIONS);
    world.pass(0).unwrap();
    world.tell(Told::Stop(StopReason::Asked)).unwrap();
    world.tell(Told::Stop(StopReason::Exited)).unwrap();
    assert_eq!(world.closed, Some(StopReason::Exited));
}

#[test]
fn looks_may_fail_a_few_times_but_not_all_from_the_first() {
    let unreadable = || Told::Walked(Err(WalkError::List(ReadError::Unmapped { at: Avma(1), len: 8 })));
    let mut world = World::watched(OPTIONS, &[1]);
    world.look_takes = None;
    for _ in 0..4 {
        world.pass(3 * SECOND).unwrap();
        world.tell(unreadable()).unwrap();
    }
    world.pass(3 * SECOND).unwrap();
    world.tell(unreadable()).unwrap_err();
    assert!(world.target.is_over());

    let mut world = World::new(OPTIONS);
    world.look_takes = None;
    world.pass(0).unwrap();
    world.tell(prepared()).unwrap();
    world.tell(unreadable()).unwrap_err();
}

#[test]
fn probes_that_do_not_reach_the_running_code_are_a_loss_and_memory_answers() {
    let world = World::watched_with(12, false);
    let report = world.last_report();
    assert!(report.notices[1].starts_with("no probe reaches the running code"), "{:?}", report.notices);
    assert!(report.notices[1].contains("12 probed places"), "{:?}", report.notices);
    assert!(report.completeness.unreached);
    assert_eq!((report.totals.live, report.totals.born), (3, 2));

    let world = World::watched_with(12, true);
    assert_eq!(
        world.last_report().notices,
        ["as built"],
        "one was hit, so they are taken away for a while only"
    );
    assert!(!world.last_report().completeness.unreached);
}

#[test]
fn births_without_any_event_are_a_loss() {
    let world = World::watched_with(0, false);
    let report = world.last_report();
    assert!(report.notices[1].contains("ever hit although snapshots show 2 births"), "{:?}", report.notices);
    assert!(report.completeness.unreached);
    let mut idle = World::watched(OPTIONS, &[1]);
    idle.tell(Told::Stop(StopReason::TimeUp)).unwrap();
    idle.pass(SECOND).unwrap();
    assert!(!idle.last_report().completeness.unreached, "nothing happened");
}

#[test]
fn a_program_that_was_too_short_to_be_compared_says_so() {
    let mut world = World::new(Options { is_launched: true, ..OPTIONS });
    world.pass(0).unwrap();
    world.tell(prepared()).unwrap();
    world.pass(MILLI).unwrap();
    world.tell(Told::Stop(StopReason::Exited)).unwrap();
    assert!(world.last_report().notices[1].contains("the program exited before"));
}
