//! Ring 2: nothing is lost in silence, whatever the ring buffer and the budget can take.

use leaktrace_tests::agreement::assert_same_goroutines;
use leaktrace_tests::leaktrace::{Running, WHOLE, command, leaktrace};
use leaktrace_tests::matrix::each_version;
use leaktrace_tests::poll::{PATIENCE, poll_until};
use leaktrace_tests::privilege::can_probe;
use leaktrace_tests::process::State;
use leaktrace_tests::report::Report;
use leaktrace_tests::text::patched_places;
use leaktrace_tests::{Mode, Target, Version};

/// Watches a spawn storm of at least `lives` goroutines that ends before leaktrace does.
fn watch_storm(target: &mut Target, options: &str, lives: u64) -> (State, Report) {
    let running = Running::attach(target.pid(), options);
    let start = target.state().site("storm").spawned;
    poll_until(PATIENCE, "the storm rages", || {
        (target.state().site("storm").spawned >= start + lives).then_some(())
    });
    target.command("calm 0");
    let after = target.command("settle");
    (after, running.stop().report())
}

#[track_caller]
fn assert_conserved(report: &Report) {
    let seen = &report.completeness;
    assert_eq!(seen.produced, seen.decoded + report.dropped() + seen.undecodable, "{seen:?}");
    assert_eq!(seen.undecodable, 0);
}

#[test]
fn a_tiny_ring_loses_nothing_in_silence() {
    if !can_probe() {
        return;
    }
    each_version(|version| {
        let mut target = Target::start(version, Mode::Stripped, "storm=2");
        let (after, report) = watch_storm(&mut target, &format!("{WHOLE} --ring-size 4KiB"), 50_000);
        assert_conserved(&report);
        assert!(report.completeness.dropped["ring_full"] > 0, "4 KiB were enough: {:?}", report.completeness);
        // The snapshot at the end repairs what the ring lost.
        assert_eq!(report.totals.live, after.num_goroutine);
        let left = after.site("storm_left").spawned;
        assert_eq!(report.group("main.leaveBehind").live, left);
        assert_same_goroutines(&report, &target.goroutines());
    });
}

#[test]
fn a_large_ring_loses_nothing() {
    if !can_probe() {
        return;
    }
    let mut target = Target::start(Version::NEWEST, Mode::Plain, "storm=1");
    let (after, report) = watch_storm(&mut target, &format!("{WHOLE} --ring-size 256MiB"), 20_000);
    assert_conserved(&report);
    assert_eq!(report.dropped(), 0, "{:?}", report.completeness);
    let storm = report.group("main.stormRound");
    assert!(storm.born >= 20_000 && storm.born <= after.site("storm").spawned, "{} births", storm.born);
    assert_eq!(storm.live, 0);
    assert_eq!(report.totals.live, after.num_goroutine);
}

#[test]
fn over_its_budget_leaktrace_sheds_and_says_so() {
    if !can_probe() {
        return;
    }
    let mut target = Target::start(Version::NEWEST, Mode::Plain, "storm=2 leak_chan_send=3");
    let options = "--format json --top 0 --min-age 0s --max-overhead 1%";
    let running = Running::start(command(&format!("--pid {} {options}", target.pid())));
    // They come and go, and at so small a limit they are there for some milliseconds in many seconds.
    poll_until(PATIENCE * 4, "a probe in the target's code", || {
        patched_places(target.pid()).is_ok_and(|places| !places.is_empty()).then_some(())
    });
    let start = target.state().site("storm").spawned;
    poll_until(PATIENCE, "the storm rages", || {
        (target.state().site("storm").spawned >= start + 300_000).then_some(())
    });
    target.command("calm 0");
    let after = target.command("settle");
    let report = running.stop().report();
    assert_conserved(&report);
    assert!(
        !report.overhead.shed.is_empty(),
        "nothing was shed at {} events/s",
        report.overhead.events_per_second
    );
    assert_eq!(report.totals.live, after.num_goroutine);
    assert_same_goroutines(&report, &target.goroutines());
}

/// The first two looks at so many goroutines use more of the processor than such a limit leaves them in minutes.
#[test]
fn what_looks_use_is_within_the_limit_and_the_report_says_that_they_are_rare() {
    if !can_probe() {
        return;
    }
    let target = Target::start(Version::NEWEST, Mode::Plain, "parked=20000");
    let options = "--duration 7s --format json --max-overhead 0.1%";
    let report = leaktrace(&format!("--pid {} {options}", target.pid())).report();
    let says = |notice: &String| notice.contains("apart, to stay within --max-overhead");
    assert!(report.notices.iter().any(says), "{:?}", report.notices);
}
