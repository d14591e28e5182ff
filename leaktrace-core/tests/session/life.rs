//! What happens between the beginning and the end.

use std::time::Duration;

use leaktrace_common::event::Kind;
use leaktrace_core::session::{Options, StopReason, Told};
use leaktrace_core::trace::budget::Kinds;

use crate::world::{MILLI, OPTIONS, SECOND, World, prepared};

#[test]
fn a_whole_life() {
    let mut world = World::new(OPTIONS);
    world.alive = vec![1, 2];
    // Start: too young at first.
    world.pass(0).unwrap();
    world.tell(Told::NotYet).unwrap();
    world.pass(9 * MILLI).unwrap();
    assert_eq!(world.log, ["prepare"]);
    world.pass(MILLI).unwrap();
    assert_eq!(world.log, ["prepare", "prepare"]);
    world.tell(prepared()).unwrap();
    world.pass(20 * MILLI).unwrap();
    assert_eq!(world.log[2..], ["attach", "look now", "keep"]);
    // Loss: an end and a birth are not seen. The next look, two seconds later, repairs both.
    world.event(Kind::Birth, 10, false);
    world.event(Kind::Birth, 11, true);
    world.event(Kind::End, 2, true);
    world.alive = vec![1, 10, 11];
    world.pass(SECOND).unwrap();
    assert_eq!((world.target.registry().live(), world.log.len()), (3, 5));
    world.pass(2 * SECOND).unwrap();
    let counts = world.target.registry().counts();
    assert_eq!((counts.ghosts_removed, counts.births_recovered), (1, 1));
    assert_eq!((world.target.registry().live(), &world.log[5..]), (3, &["look", "keep"][..]));
    // Shed: ten million parks a second at 100 ns each are a core; a twentieth is allowed.
    world.parks_per_second = 10_000_000;
    world.pass(SECOND).unwrap();
    let shed = Kinds::IN_RUNTIME.without(Kind::Park).without(Kind::Ready);
    assert_eq!(world.leased.last().unwrap().kinds, shed);
    // Exec: no look any more, but what is in the ring counts.
    world.parks_per_second = 0;
    world.log.clear();
    world.event(Kind::Birth, 12, false);
    world.tell(Told::Stop(StopReason::Execed)).unwrap();
    assert_eq!((&world.log[..], world.closed), (&["detach", "last report"][..], Some(StopReason::Execed)));
    let report = world.last_report();
    assert_eq!((report.totals.live, report.totals.born, report.totals.ended), (4, 3, 1));
    assert_eq!(report.completeness.dropped.values().sum::<u64>(), 2);
    assert_eq!(report.overhead.shed[0].what, "park and ready");
    assert_eq!(report.notices, ["as built"]);
    assert!(world.target.is_over());
    world.pass(100 * SECOND).unwrap();
    assert_eq!(world.log.len(), 2, "nothing is wanted after the end");
}

#[test]
fn reports_come_with_the_look_that_was_taken_for_them() {
    let options = Options { interval: Some(Duration::from_secs(5)), ..OPTIONS };
    let mut world = World::new(options);
    world.pass(0).unwrap();
    world.tell(prepared()).unwrap();
    world.pass(20 * MILLI).unwrap();
    assert_eq!(
        world.log,
        ["prepare", "attach", "look now", "keep", "report"],
        "the first as soon as it can be"
    );
    world.log.clear();
    world.pass(4 * SECOND + 900 * MILLI).unwrap();
    assert_eq!(world.log, ["look", "keep", "look", "keep"]);
    world.log.clear();
    world.pass(100 * MILLI).unwrap();
    assert_eq!(world.log, ["look now", "keep", "report"]);
}

#[test]
fn probes_that_nobody_says_are_gone_do_not_hold_up_the_end() {
    let mut world = World::watched(OPTIONS, &[1]);
    world.never_detached = true;
    world.tell(Told::Stop(StopReason::TimeUp)).unwrap();
    world.pass(9 * SECOND).unwrap();
    assert_eq!((&world.log[..], world.closed), (&["look now", "keep last", "detach"][..], None));
    world.pass(2 * SECOND).unwrap();
    assert_eq!(world.closed, Some(StopReason::TimeUp));
    let notice = "the probes were not known to be gone in time; they go when leaktrace ends";
    assert_eq!(world.reports[0].notices, ["as built", notice]);
}

#[test]
fn a_look_that_takes_long_is_taken_seldom() {
    let mut world = World::watched(OPTIONS, &[1]);
    world.look_takes = Some(SECOND);
    world.pass(4 * SECOND).unwrap();
    assert_eq!(world.log, ["look", "keep"]);
    world.pass(24 * SECOND).unwrap();
    assert_eq!(world.log.len(), 2, "what it used beyond what was saved is earned first");
    world.pass(4 * SECOND).unwrap();
    assert_eq!(world.log.len(), 4);
    world.tell(Told::Stop(StopReason::TimeUp)).unwrap();
    world.pass(5 * SECOND).unwrap();
    let notice = "snapshots of this program take so long that they are up to 26s apart, to stay within --max-overhead; \
                  reports and verdicts come later";
    assert_eq!(world.reports.last().unwrap().notices, ["as built", notice]);
}

#[test]
fn reports_come_less_often_where_looks_for_them_cannot_be_afforded() {
    let mut world = World::new(Options { interval: Some(Duration::from_secs(5)), ..OPTIONS });
    world.pass(0).unwrap();
    world.tell(prepared()).unwrap();
    world.look_takes = Some(SECOND / 2);
    world.pass(300 * SECOND).unwrap();
    let looks = world.log.iter().filter(|wanted| wanted.starts_with("look")).count();
    // 1.8 % of a core, and what is saved in half a minute.
    assert!((11..=14).contains(&looks), "{looks}");
    assert!(looks.abs_diff(world.reports.len()) <= 1, "{}", world.reports.len());
}

#[test]
fn a_look_is_taken_in_after_the_records_that_it_shows_the_effect_of() {
    let mut world = World::watched(OPTIONS, &[1]);
    world.look_takes = None;
    world.pass(3 * SECOND).unwrap();
    assert_eq!(world.log, ["look"]);
    world.event(Kind::Birth, 7, false);
    world.alive = vec![1, 7];
    let look = world.look();
    world.tell(Told::Walked(Ok(look))).unwrap();
    let counts = world.target.registry().counts();
    assert_eq!((counts.born, counts.births_recovered), (1, 0), "the record was there before the look");
}

#[test]
fn a_program_that_we_have_started_is_compared_with_its_file_before_anything_else() {
    let mut world = World::new(Options { is_launched: true, ..OPTIONS });
    world.pass(0).unwrap();
    world.tell(prepared()).unwrap();
    world.pass(SECOND).unwrap();
    assert_eq!(world.log, ["prepare", "attach", "confirm"]);
    world.tell(Told::Confirmed(Ok(()))).unwrap();
    world.pass(SECOND).unwrap();
    assert_eq!(world.log[3..], ["look now", "keep"]);
}
