//! Ring 2: in every build, leaktrace says of a process what the process knows of itself.

use leaktrace_tests::agreement::{assert_same_goroutines, assert_same_lives};
use leaktrace_tests::leaktrace::{Running, WHOLE};
use leaktrace_tests::matrix::{each_build, each_version};
use leaktrace_tests::poll::{PATIENCE, poll_until};
use leaktrace_tests::privilege::can_probe;
use leaktrace_tests::scenarios::{still, with_count};
use leaktrace_tests::text::assert_untouched;
use leaktrace_tests::{Mode, Target};

#[test]
fn a_report_says_what_the_runtime_says() {
    if !can_probe() {
        return;
    }
    each_build(|version, mode| {
        let scenarios = still(version, mode);
        let mut target = Target::start(version, mode, &with_count(&scenarios, 3));
        let before = target.state();
        let running = Running::attach(target.pid(), WHOLE);
        target.command(&format!("start {}", with_count(&scenarios, 2)));
        let after = target.command("settle");
        let report = running.stop().report();

        assert_same_goroutines(&report, &target.goroutines());
        assert_eq!(report.totals.live, after.num_goroutine);
        assert_eq!(report.target.go_version, Some(format!("go{version}")));
        for site in after.sites.iter().flatten().filter(|site| !shares_its_statement(&site.name)) {
            assert_same_lives(&report, before.site(&site.name), site);
        }
        assert_eq!(report.completeness.undecodable, 0);
        assert_untouched(target.pid());
    });
}

/// Two scenarios start goroutines with one `go` statement, so the report has one group for both.
fn shares_its_statement(site: &str) -> bool {
    ["inlined_creator", "deep_creator", "storm_left"].contains(&site)
}

#[test]
fn births_and_ends_are_counted_one_by_one() {
    if !can_probe() {
        return;
    }
    each_version(|version| {
        let mut target = Target::start(version, Mode::Stripped, "driven=5");
        let before = target.state();
        let running = Running::attach(target.pid(), WHOLE);
        target.command("spawn 40");
        target.command("finish 23");
        poll_until(PATIENCE, "the goroutines end", || {
            (target.state().site("driven").finished == 23).then_some(())
        });
        let after = target.command("settle");
        let report = running.stop().report();
        assert_same_lives(&report, before.site("driven"), after.site("driven"));
        assert_eq!(report.completeness.produced, report.completeness.decoded + report.dropped());
    });
}

#[test]
fn memory_alone_still_reports() {
    if !can_probe() {
        return;
    }
    each_version(|version| {
        let mut target = Target::start(version, Mode::Stripped, "leak_chan_send=7 mutex=3 select_forever=2");
        let options = format!("--pid {} --probes none --duration 1s {WHOLE}", target.pid());
        let report = leaktrace_tests::leaktrace::leaktrace(&options).report();
        assert_same_goroutines(&report, &target.goroutines());
        assert_eq!((report.totals.born, report.completeness.produced), (0, 0));
    });
}
