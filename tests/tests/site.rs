//! Ring 2: `--site` probes one `go` statement and nothing else.

use leaktrace_tests::agreement::{assert_same_goroutines, assert_same_lives};
use leaktrace_tests::leaktrace::{Running, WHOLE, leaktrace};
use leaktrace_tests::matrix::each;
use leaktrace_tests::poll::{PATIENCE, poll_until};
use leaktrace_tests::privilege::can_probe;
use leaktrace_tests::report::Report;
use leaktrace_tests::text::{assert_untouched, patched_places};
use leaktrace_tests::{Mode, Target, Version};

/// The builds in which a statement has to be found without symbols, and at another address than the linker's.
const BUILDS: [(Version, Mode); 6] = [
    (Version::OLDEST, Mode::Plain),
    (Version::OLDEST, Mode::Stripped),
    (Version::OLDEST, Mode::Pie),
    (Version::NEWEST, Mode::Stripped),
    (Version::NEWEST, Mode::Pie),
    (Version::NEWEST, Mode::Pgo),
];

/// The line of the `go` statement of the scenario `driven`, by its own account.
#[track_caller]
fn driven_line(target: &mut Target) -> String {
    target.command("spawn 1");
    let site = target.state().site("driven").clone();
    let before = site.creator.first().expect("it has noted its creator");
    format!("lives.go:{}", before.line + 1)
}

#[track_caller]
fn assert_only_the_site(report: &Report, births: u64) {
    let seen = &report.completeness;
    assert_eq!((seen.produced, seen.decoded, report.dropped(), seen.undecodable), (births, births, 0, 0));
    assert_eq!(seen.sites.len(), 1, "{:?}", seen.sites);
    assert_eq!(seen.sites[0].place().function, "main.driven.func1");
}

#[test]
fn only_the_births_of_one_statement_are_hits_however_many_there_are_beside_it() {
    if !can_probe() {
        return;
    }
    each(BUILDS, |version, mode| {
        if !mode.exists_in(version) {
            return;
        }
        let mut target = Target::start(version, mode, "storm=2 driven=3");
        let line = driven_line(&mut target);
        let before = target.state();
        let running = Running::attach_at(target.pid(), &format!("--site {line} {WHOLE}"), 1);
        assert_eq!(patched_places(target.pid()).expect("it runs").len(), 1, "one instruction is probed");
        let storm = target.state().site("storm").spawned;
        for _ in 0..4 {
            target.command("spawn 10");
        }
        poll_until(PATIENCE, "the storm rages", || {
            (target.state().site("storm").spawned >= storm + 50_000).then_some(())
        });
        target.command("calm 0");
        let after = target.command("settle");
        let report = running.stop().report();
        assert_only_the_site(&report, 40);
        assert_same_lives(&report, before.site("driven"), after.site("driven"));
        assert_eq!(report.group("main.driven.func1").before_attach, 4);
        assert_eq!(report.totals.live, after.num_goroutine);
        assert!(report.notices.iter().all(|notice| !notice.contains("probe")), "{:?}", report.notices);
        assert_same_goroutines(&report, &target.goroutines());
        assert_untouched(target.pid());
    });
}

#[test]
fn births_and_ends_add_up_also_of_those_that_no_snapshot_shows() {
    if !can_probe() {
        return;
    }
    for version in [Version::OLDEST, Version::NEWEST] {
        let mut target = Target::start(version, Mode::Plain, "driven=3");
        let line = driven_line(&mut target);
        let running = Running::attach_at(target.pid(), &format!("--site {line} {WHOLE}"), 1);
        for _ in 0..5 {
            target.command("spawn 8");
            target.command("finish 8");
        }
        target.command("spawn 2");
        let after = target.command("settle");
        let report = running.stop().report();
        assert_only_the_site(&report, 42);
        let group = report.group("main.driven.func1");
        assert_eq!((group.live, group.born), (6, 42), "{version}");
        assert_eq!(group.before_attach + group.born - group.ended, group.live, "{version}");
        assert_eq!(after.site("driven").spawned, 3 + 1 + 42);
    }
}

#[test]
fn births_are_said_to_be_seen_only_where_the_probe_was_there_all_the_time() {
    if !can_probe() {
        return;
    }
    let mut target = Target::start(Version::NEWEST, Mode::Plain, "driven=3");
    let line = driven_line(&mut target);
    for is_paused in [false, true] {
        let pid = target.pid();
        let running = Running::attach_at(pid, &format!("--site {line} --min-age 0s"), 1);
        let await_places = |number: usize| {
            let there = || (patched_places(pid).expect("it runs").len() == number).then_some(());
            poll_until(PATIENCE, "the probe comes or goes", there);
        };
        if is_paused {
            running.pause();
            await_places(0);
        }
        target.command("spawn 10");
        if is_paused {
            running.resume();
            await_places(1);
        }
        let all = running.stop().stdout;
        let text = &all[all.rfind("no verdict after ").expect("a report")..];
        assert_eq!(
            text.contains("    probed      each birth was seen at this go statement;"),
            !is_paused,
            "{text}"
        );
        assert_eq!(text.contains("births at this go statement may have been missed;"), is_paused, "{text}");
        let last = text.lines().last().expect("a report");
        assert!(last.starts_with(if is_paused { "with losses: " } else { "complete: " }), "{text}");
    }
    assert_untouched(target.pid());
}

#[test]
fn a_function_names_all_its_statements_and_a_plan_shows_them() {
    if !can_probe() {
        return;
    }
    let mut target = Target::start(Version::NEWEST, Mode::Stripped, "driven=3");
    let line = driven_line(&mut target);
    for named in [line.clone(), format!("scenarios/{line}"), "main.driven.func1".to_owned()] {
        let outcome = leaktrace(&format!("doctor --pid {} --site {named}", target.pid()));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(outcome.stdout.contains("\nsite   main.driven.func1+"), "{}", outcome.stdout);
        assert!(outcome.stdout.contains("  call runtime.newproc  (emulated, cheap;"), "{}", outcome.stdout);
        assert!(!outcome.stdout.contains("\nbirth "), "{}", outcome.stdout);
    }
    assert_untouched(target.pid());
}

#[test]
fn what_is_no_go_statement_is_refused_with_those_near_it() {
    if !can_probe() {
        return;
    }
    let target = Target::start(Version::NEWEST, Mode::Plain, "driven=3");
    let watch = |site: &str| leaktrace(&format!("--pid {} --duration 1s --site {site}", target.pid()));
    let near = watch("lives.go:1");
    near.refused(2, "there is no `go` statement at lives.go:1 in the program");
    assert!(near.stderr.contains("hint: near it: lives.go:"), "{}", near.stderr);
    assert!(near.stderr.contains(" in main.driven"), "{}", near.stderr);
    watch("nowhere.go:7").refused(2, "there is no `go` statement at nowhere.go:7");
    watch("main.drivel").refused(2, "there is no `go` statement at main.drivel");
    let malformed = watch("lives.go");
    assert_eq!(malformed.code, Some(2));
    assert!(malformed.stderr.contains("has no line: for example, use lives.go:67"), "{}", malformed.stderr);
    let both = watch("lives.go:24 --probes birth");
    assert_eq!(both.code, Some(2));
    assert!(both.stderr.contains("cannot be used with"), "{}", both.stderr);
    assert_untouched(target.pid());
}
