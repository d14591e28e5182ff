//! Ring 2: many processes under one engine, of which some are quiet, some end, one makes noise and one blocks whoever reads
//! it: each report is right, and none is touched by another process.

use std::time::{Duration, Instant};

use leaktrace_tests::blocking::Blocking;
use leaktrace_tests::go::Toolchain;
use leaktrace_tests::leaktrace::{Outcome, Running, WHOLE, command};
use leaktrace_tests::poll::poll_until;
use leaktrace_tests::privilege::can_probe;
use leaktrace_tests::report::Report;
use leaktrace_tests::text::{assert_untouched, patched_places};
use leaktrace_tests::{Mode, Target, Version};
use serde::Deserialize;

/// How many processes do nothing but wait.
const QUIET: usize = 24;

/// Attaching to thirty processes takes its time where other tests run as well.
const PATIENCE: Duration = Duration::from_mins(3);

/// What `--format json` says of several processes.
#[derive(Debug, Deserialize)]
struct Round {
    schema_version: u32,
    processes: Vec<Process>,
}

#[derive(Debug, Deserialize)]
struct Process {
    pid: u32,
    exe: Option<String>,
    state: String,
    reason: Option<String>,
    report: Option<Report>,
}

impl Round {
    /// The last one that was written.
    #[track_caller]
    fn of(outcome: &Outcome) -> Self {
        assert_eq!(outcome.code, Some(0), "leaktrace failed: {}", outcome.stderr);
        let last = outcome.stdout.lines().last().unwrap_or_else(|| panic!("nothing: {}", outcome.stderr));
        let round: Self = serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {last}"));
        assert_eq!(round.schema_version, 2);
        round
    }

    /// What is said of `pid` as one that is in this state.
    #[track_caller]
    fn one(&self, pid: u32, state: &str) -> &Process {
        let found = self.processes.iter().find(|process| process.pid == pid && process.state == state);
        found.unwrap_or_else(|| {
            let known = |process: &Process| (process.pid, process.state.clone(), process.reason.clone());
            panic!("{pid} is not {state}: {:?}", self.processes.iter().map(known).collect::<Vec<_>>())
        })
    }

    #[track_caller]
    fn report(&self, pid: u32, state: &str) -> &Report {
        self.one(pid, state).report.as_ref().unwrap_or_else(|| panic!("there is no report on {pid}"))
    }
}

/// The releases and build modes that there are here, one after the other and again.
fn cells() -> impl Iterator<Item = (Version, Mode)> {
    let wanted = std::env::var("LEAKTRACE_CELLS").unwrap_or_default();
    let is_here = |version: &Version| {
        let named: Vec<&str> = wanted.split_whitespace().filter(|word| word.starts_with("1.")).collect();
        let is_wanted = named.is_empty() || named.contains(&version.to_string().as_str());
        is_wanted && Toolchain::get(*version, &mut |what| eprintln!("{what}")).is_ok()
    };
    let versions: Vec<Version> = Version::ALL.into_iter().filter(is_here).collect();
    let modes = [Mode::Plain, Mode::Stripped, Mode::Pie];
    let cells: Vec<_> =
        modes.into_iter().flat_map(|mode| versions.iter().map(move |version| (*version, mode))).collect();
    assert!(!cells.is_empty(), "no release of Go is here");
    cells.into_iter().cycle()
}

fn ending() -> Target {
    Target::start(Version::NEWEST, Mode::Plain, "driven=5 exits=1")
}

/// Waits until the probes of all are in their code.
fn await_probes<'t>(running: &mut Running, targets: impl IntoIterator<Item = &'t Target>) {
    for target in targets {
        poll_until(PATIENCE, "probes in the code of each target", || {
            assert!(running.is_running(), "leaktrace has ended");
            patched_places(target.pid()).is_ok_and(|places| places.len() >= 4).then_some(())
        });
    }
}

/// Compares a report with what the process says of itself: it had 5 driven goroutines, and got `born` more.
#[track_caller]
fn assert_right(report: &Report, target: &mut Target, born: u64) {
    let own = target.state();
    let driven = report.group("main.driven.func1");
    assert_eq!((driven.born, driven.live), (born, own.site("driven").spawned), "{}", target.pid());
    assert_eq!(report.totals.live, own.num_goroutine, "{}", target.pid());
    assert_complete(report);
}

/// Checks that not a single event was lost. What another program did in the same process, after an exec, is left out on
/// purpose.
#[track_caller]
fn assert_complete(report: &Report) {
    let completeness = &report.completeness;
    let left_out = completeness.dropped.get("other_process").copied().unwrap_or_default();
    assert_eq!((report.dropped() - left_out, completeness.undecodable), (0, 0), "{completeness:?}");
    assert_eq!(completeness.produced, completeness.decoded + left_out, "{completeness:?}");
    assert_eq!((completeness.ghosts_removed, completeness.births_recovered), (0, 0), "{completeness:?}");
}

#[test]
fn thirty_processes_of_all_kinds_are_watched_and_none_touches_another() {
    if !can_probe() {
        return;
    }
    let start = |(version, mode)| Target::start(version, mode, "leak_chan_send=3 mutex=2 driven=5");
    let mut quiet: Vec<Target> = cells().take(QUIET).map(start).collect();
    let noisy = Target::start(Version::NEWEST, Mode::Plain, "driven=5 storm=1");
    let mut exits = [ending(), ending(), ending()];
    let mut execs = ending();
    let blocking = Blocking::start();
    // Long enough for a new program to be found after an exec.
    let mut running = Running::start(command(&format!("--all --duration 30s {WHOLE}")));
    await_probes(&mut running, quiet.iter().chain(&exits).chain([&noisy, &execs]));

    for target in &mut quiet {
        target.command("spawn 7");
    }
    for target in exits.iter_mut().chain([&mut execs]) {
        target.command("spawn 3");
    }
    for target in &mut exits {
        target.send("exit 0");
    }
    execs.send("exec 0");
    execs.await_ready();
    execs.command("spawn 4");
    let round = Round::of(&running.finish_within(PATIENCE));

    for target in &mut quiet {
        assert_right(round.report(target.pid(), "watched"), target, 7);
        assert_untouched(target.pid());
    }
    for target in &exits {
        let report = round.report(target.pid(), "exited");
        assert_eq!(report.group("main.driven.func1").born, 3);
        assert_complete(report);
    }
    let before = round.report(execs.pid(), "execed");
    assert_eq!(before.group("main.driven.func1").born, 3);
    assert_complete(before);
    // Whether it has its four more before or after it is attached to is chance; that it has them is not.
    let after = round.report(execs.pid(), "watched");
    let own = execs.state();
    assert_eq!(after.totals.live, own.num_goroutine);
    assert_eq!(after.group("main.driven.func1").live, own.site("driven").spawned);
    assert_named(round.one(blocking.pid(), "blocked"));
    let noise = &round.report(noisy.pid(), "watched").completeness;
    let accounted = noise.decoded + noise.undecodable + noise.dropped.values().sum::<u64>();
    assert!(noise.produced == accounted && noise.produced > 10_000, "{noise:?}");
}

/// Checks that a process that blocks reads is named with the address and the cause.
#[track_caller]
fn assert_named(process: &Process) {
    let reason = process.reason.as_deref().unwrap_or_default();
    let words = [format!("process {} blocks", process.pid), "0x".to_owned(), "userfaultfd".to_owned()];
    for word in &words {
        assert!(reason.contains(word.as_str()), "does not say {word:?}: {reason}");
    }
    assert!(process.exe.as_deref().is_some_and(|exe| exe.contains("blocked")), "{process:?}");
}

#[test]
fn many_that_block_reads_hold_up_nobody() {
    if !can_probe() {
        return;
    }
    let mut healthy = Target::start(Version::NEWEST, Mode::Plain, "driven=5");
    let blocking: [Blocking; 12] = std::array::from_fn(|_| Blocking::start());
    let pids = blocking.iter().map(Blocking::pid).chain([healthy.pid()]);
    let pids: Vec<String> = pids.map(|pid| format!("--pid {pid}")).collect();
    let typed = format!("{} --duration 2s {WHOLE}", pids.join(" "));
    let began = Instant::now();
    let round = Round::of(&Running::start(command(&typed)).finish());
    let took = began.elapsed();
    assert!(took < Duration::from_millis(4_500), "{took:?}");
    for process in &blocking {
        assert_named(round.one(process.pid(), "blocked"));
    }
    let report = round.report(healthy.pid(), "watched");
    assert!(report.completeness.snapshots >= 2, "{:?}", report.completeness);
    assert_right(report, &mut healthy, 0);
}

#[test]
fn several_named_processes_and_one_that_is_not_there() {
    if !can_probe() {
        return;
    }
    let mut targets = [1, 2].map(|leaks| {
        Target::start(Version::NEWEST, Mode::Plain, &format!("leak_chan_send={leaks} driven=5"))
    });
    let [first, second] = targets.each_ref().map(Target::pid);
    let typed = format!("--pid {first} --pid {second} --pid 4194305 --duration 1s {WHOLE}");
    let round = Round::of(&Running::start(command(&typed)).finish_within(PATIENCE));
    for target in &mut targets {
        assert_right(round.report(target.pid(), "watched"), target, 0);
    }
    let refused = round.one(4_194_305, "refused");
    assert_eq!(refused.reason.as_deref(), Some("no process has pid 4194305"));
    assert_eq!(round.processes.len(), 3);
}

#[test]
fn only_what_is_described_is_watched_and_text_has_a_heading_for_each() {
    if !can_probe() {
        return;
    }
    let target = Target::start(Version::NEWEST, Mode::Plain, "driven=5");
    let other = Target::start(Version::NEWEST, Mode::Stripped, "driven=5");
    let outcome = Running::start(command("--exe scenarios-*-plain --probes none --duration 1s --min-age 0s"));
    let outcome = outcome.finish_within(PATIENCE);
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let heading = |target: &Target| format!("== {}  {}", target.pid(), target.binary().display());
    assert!(outcome.stdout.lines().any(|line| line == heading(&target)), "{}", outcome.stdout);
    assert!(!outcome.stdout.contains(&heading(&other)), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("5 goroutines created by main.driven.func1"), "{}", outcome.stdout);
}

#[test]
fn what_is_about_one_process_is_refused_for_several() {
    let outcome = Running::start(command("--all --record x.ltc")).finish();
    outcome.refused(2, "--record keeps the trace of one process");
    let outcome = Running::start(command("--pid 1 --pid 2 --format sarif")).finish();
    outcome.refused(2, "--format sarif is for the report of one process");
}

#[test]
fn nobody_who_is_like_that_is_an_error() {
    let outcome = Running::start(command("--exe /no/such/program --probes none --duration 1ms")).finish();
    outcome.refused(3, "no matching Go process was found");
    // What an earlier run has left is not replaced with nothing.
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("keep.json");
    std::fs::write(&file, "kept").expect("it can be written");
    let typed = "--exe /no/such/program --probes none --duration 1ms --format json";
    for output in [None, Some(&file)] {
        let mut command = command(typed);
        output.map(|output| command.arg("--output").arg(output));
        Running::start(command).finish().refused(3, "no matching Go process was found");
    }
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), "kept");
}
