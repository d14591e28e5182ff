//! Ring 2: a process in a container is seen from the host, and from another container that shares its pid namespace.
//!
//! The target's root is another, and its program is at a path that is not on the host; its pid, mount, network and user
//! namespaces are its own.

use std::path::PathBuf;
use std::process::Command;

use leaktrace_tests::agreement::assert_watched;
use leaktrace_tests::go::build;
use leaktrace_tests::leaktrace::{Outcome, Running, WHOLE, binary, command, leaktrace};
use leaktrace_tests::poll::{PATIENCE, poll_until};
use leaktrace_tests::privilege::can_probe;
use leaktrace_tests::text::patched_places;
use leaktrace_tests::{Mode, Program, Target, Version};
use serde_json::Value;

/// The program is the first process of its container.
const INSIDE: &str = "mount -t tmpfs none /mnt && cp \"$0\" /mnt/inner && mkdir /mnt/old && cd /mnt \
&& pivot_root . old && exec /inner \"$@\"";

const NAMESPACES: [&str; 5] = ["--mount", "--pid", "--net", "--fork", "--kill-child"];

fn contained(more: &[&str]) -> Target {
    let built = scenarios(Mode::Stripped);
    let mut unshare = Command::new("unshare");
    unshare.args(NAMESPACES).args(more).args(["sh", "-c", INSIDE]).arg(&built);
    unshare.args(["leak_chan_send=4", "io_wait=2", "driven=2"]);
    let mut target = Target::spawn(unshare, &built);
    assert_eq!(target.state().pid, 1, "in a pid namespace of its own");
    target.follow_child();
    target
}

/// leaktrace with `arguments` in a container with a root of its own, where the target has pid 1.
fn beside(target: &Target, arguments: &str) -> Command {
    let mut inside = Command::new("nsenter");
    inside.args(["--pid", "--target", &target.pid().to_string(), "unshare", "--mount", "sh", "-c"]);
    inside.arg("mount -t proc none /proc && exec \"$0\" \"$@\"").arg(binary());
    inside.args(arguments.split_whitespace());
    inside
}

#[track_caller]
fn assert_dumped(outcome: &Outcome) {
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let dump: Value = serde_json::from_str(&outcome.stdout).expect("it is JSON");
    let senders = dump["totals"]["doing"]["chan send"].as_u64();
    assert_eq!((senders, dump["target"]["exe"].as_str()), (Some(4), Some("/inner")));
    assert_eq!(dump["completeness"]["unknown_places"].as_u64(), Some(0));
    let described = |one: &&Value| one["blocked_on"]["description"].is_string();
    let goroutines = dump["goroutines"].as_array().expect("there are goroutines");
    assert!(goroutines.iter().filter(described).count() >= 2, "{dump}");
}

#[track_caller]
fn assert_examined(outcome: &Outcome) {
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    for words in
        [": /inner", "in another mount namespace", &format!("go{}", Version::NEWEST), "runtime.newproc"]
    {
        assert!(outcome.stdout.contains(words), "{words}: {}", outcome.stdout);
    }
}

#[test]
fn the_host_sees_into_a_container() {
    if !can_probe() {
        return;
    }
    for user in [&[][..], &["--user", "--map-root-user"]] {
        let mut target = contained(user);
        let pid = target.pid();
        assert_dumped(&leaktrace(&format!("dump --format json --pid {pid}")));
        let examined = leaktrace(&format!("doctor --pid {pid}"));
        assert_examined(&examined);
        assert!(examined.stdout.contains("where it is pid 1"), "{}", examined.stdout);

        assert_watched(&mut target);
    }
}

/// The scenarios of the newest release, to be started in a way of a test's own.
fn scenarios(mode: Mode) -> PathBuf {
    build(Program::Scenarios, Version::NEWEST, mode, &mut |_| ()).expect("it can be built")
}

/// The program runs from an overlay.
const OVERLAID: &str = "mount -t tmpfs none /mnt && cd /mnt && mkdir low up work all && cp \"$0\" low/inner \
&& mount -t overlay none -o lowerdir=low,upperdir=up,workdir=work all && exec all/inner \"$@\"";

/// What is copied up is another file than the one that runs, which is not to be had any more: probes are attached to the
/// copy without an error, and never hit.
#[test]
fn a_program_whose_file_was_copied_up_is_told_by_memory_and_that_is_said() {
    if !can_probe() {
        return;
    }
    let built = scenarios(Mode::Stripped);
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "sh", "-c", OVERLAID]).arg(&built).arg("leak_chan_send=4");
    let mut target = Target::spawn(unshare, &built);
    let pid = target.pid();
    let mut chmod = Command::new("nsenter");
    chmod.args(["--mount", "--target", &pid.to_string(), "chmod", "700", "/mnt/all/inner"]);
    assert!(chmod.status().is_ok_and(|status| status.success()), "its file is copied up");

    assert_told_by_memory(&mut target);
}

#[test]
fn a_program_that_has_moved_its_code_is_told_by_memory_and_that_is_said() {
    if !can_probe() {
        return;
    }
    let built = scenarios(Mode::Cgo);
    let mut moving = Command::new(&built);
    moving.env("MOVE_CODE", "1").arg("leak_chan_send=4");
    let mut target = Target::spawn(moving, &built);
    assert_told_by_memory(&mut target);
    let examined = leaktrace(&format!("doctor --pid {}", target.pid()));
    assert!(examined.stdout.contains("it has moved its code"), "{}", examined.stdout);
}

/// Goroutines are born all the time, and no event tells of any.
#[track_caller]
fn assert_told_by_memory(target: &mut Target) {
    let pid = target.pid();
    let mut running =
        Running::start(command(&format!("--pid {pid} --duration 4s --format json --min-age 0s")));
    poll_until(PATIENCE, "leaktrace ends", || {
        target.command("start leak_chan_send=1");
        (!running.is_running()).then_some(())
    });
    let outcome = running.finish();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("no probe was ever hit"), "{}", outcome.stderr);
    let report = outcome.report();
    let is_said = |notice: &String| notice.starts_with("no probe reaches the running code: ");
    assert!(report.notices.iter().any(is_said), "{:?}", report.notices);
    assert!(report.completeness.births_recovered > 0, "{:?}", report.completeness);
    assert!(report.group("main.leakChanSend").live >= 4);
    let report: Value = serde_json::from_str(&outcome.stdout).expect("it is JSON");
    assert_eq!(report["completeness"]["unreached"], true);
}

/// Starts what follows with clocks that are fifty minutes ahead.
fn ahead() -> Command {
    let mut unshare = Command::new("unshare");
    unshare.args(["--time", "--monotonic", "3000", "--boottime", "3000", "--"]);
    unshare
}

/// No time that is told of the target is longer than it can have lived, nor has a sleeper more left than its hour.
#[track_caller]
fn assert_timed(target: &mut Target, leaktrace: impl Fn(&str) -> Command) {
    const LIVED: u64 = 600_000_000_000;
    let pid = target.pid();
    let run = |arguments: &str| Running::start(leaktrace(&format!("{arguments} --pid {pid}"))).finish();
    // The collector notes that a goroutine waits, with the time of the cycle before.
    (0..2).for_each(|_| drop(target.command("gc")));
    let dump = run("dump --format json");
    let dump: Value = serde_json::from_str(&dump.stdout).expect("it is JSON");
    let goroutines = dump["goroutines"].as_array().expect("there are goroutines");
    let waits: Vec<u64> = goroutines.iter().filter_map(|one| one["waiting_ns"].as_u64()).collect();
    assert!(!waits.is_empty() && waits.iter().all(|wait| (1..LIVED).contains(wait)), "{waits:?}");
    let left: Vec<i64> =
        goroutines.iter().filter_map(|one| one["blocked_on"]["remaining_ns"].as_i64()).collect();
    assert_eq!(left.len(), 2, "{dump}");
    assert!(left.iter().all(|left| (3_000_000_000_000..=3_600_000_000_000).contains(left)), "{left:?}");

    let report = run("--duration 1s --format json --min-age 0s");
    let sleepers = report.report().group("main.sleep").live;
    assert_eq!(sleepers, 2);
    let report: Value = serde_json::from_str(&report.stdout).expect("it is JSON");
    let ages = report["groups"].as_array().expect("there are groups").iter();
    let ages: Vec<u64> = ages.filter_map(|group| group["oldest_age_ns"].as_u64()).collect();
    assert!(ages.len() > 1 && ages.iter().all(|age| *age < LIVED), "{ages:?}");
}

#[test]
fn a_time_namespace_makes_nobody_older() {
    if !can_probe() {
        return;
    }
    let built = scenarios(Mode::Stripped);
    let mut shifted = ahead();
    shifted.arg(&built).args(["sleep=2", "leak_chan_send=4"]);
    let mut target = Target::spawn(shifted, &built);
    assert_timed(&mut target, command);

    let mut target = Target::start(Version::NEWEST, Mode::Stripped, "sleep=2 leak_chan_send=4");
    assert_timed(&mut target, |arguments| {
        let mut shifted = ahead();
        shifted.arg(binary()).args(arguments.split_whitespace());
        shifted
    });
}

#[test]
fn a_container_sees_into_another_whose_pids_it_shares() {
    if !can_probe() {
        return;
    }
    let mut target = contained(&[]);
    let seen = |arguments: &str| Running::start(beside(&target, arguments)).finish();
    assert_dumped(&seen("dump --format json --pid 1"));
    assert_examined(&seen("doctor --pid 1"));

    let mut running = Running::start(beside(&target, &format!("--pid 1 --duration 2s {WHOLE}")));
    poll_until(PATIENCE, "probes in the target's code", || {
        assert!(running.is_running(), "it ended before it attached");
        (!patched_places(target.pid()).ok()?.is_empty()).then_some(())
    });
    while running.is_running() {
        target.command("spawn 1");
    }
    let report = running.finish().report();
    let group = report.group("main.driven.func1");
    assert!(group.born > 0 && group.live >= group.born + 2, "{group:?}");
}
