//! Ring 2: a recording shows what the trace showed, without the process, its binary or a happy end.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use leaktrace_tests::leaktrace::{Outcome, Running, WHOLE, binary, command, leaktrace};
use leaktrace_tests::matrix::each_version;
use leaktrace_tests::poll::{PATIENCE, poll_until};
use leaktrace_tests::privilege::can_probe;
use leaktrace_tests::report::Report;
use leaktrace_tests::traceback::parse;
use leaktrace_tests::{Mode, Target, Version};
use rustix::pipe::fcntl_setpipe_size;
use serde_json::Value;
use tempfile::TempDir;

/// Where a recording goes, and the options that make one of everything.
fn recording() -> (TempDir, PathBuf, String) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("run.ltc");
    let options = format!("{WHOLE} --record {}", file.display());
    (folder, file, options)
}

/// `leaktrace report` where neither the process nor its binary is to be had.
fn replay(file: &Path, options: &str) -> String {
    let replayed = leaktrace(&format!("report {} {options}", file.display()));
    assert_eq!(replayed.code, Some(0), "{}", replayed.stderr);
    replayed.stdout
}

fn replayed_report(file: &Path) -> (Report, Value) {
    let json = replay(file, "--format json --top 0 --min-age 0s");
    let value = serde_json::from_str(&json).expect("it is JSON");
    (serde_json::from_str(&json).expect("it is a report"), value)
}

/// What must be the same in both: not the times, since the two reports were not made in the same millisecond.
fn facts(report: &Value) -> Value {
    let mut facts = report.clone();
    for group in facts["groups"].as_array_mut().expect("it has groups") {
        let group = group.as_object_mut().expect("it is a group");
        group.retain(|key, _| !key.ends_with("_ns") && key != "net_per_minute");
    }
    // Ages decide among groups of the same size.
    let groups = facts["groups"].as_array_mut().expect("it has groups");
    groups.sort_by_cached_key(|group| group["created_by"].to_string());
    Value::Array(
        ["target", "groups", "not_listed", "completeness", "notices"].map(|key| facts[key].clone()).to_vec(),
    )
}

#[test]
fn a_replay_reports_what_the_trace_reported() {
    if !can_probe() {
        return;
    }
    each_version(|version| {
        let mut target = Target::start(version, Mode::Stripped, "leak_chan_send=20 mutex=3 storm=1");
        let (_folder, file, options) = recording();
        let running = Running::attach(target.pid(), &options);
        let start = target.state().site("storm").spawned;
        poll_until(PATIENCE, "the storm rages", || {
            (target.state().site("storm").spawned >= start + 20_000).then_some(())
        });
        target.command("calm 0");
        target.command("settle");
        let own = target.goroutines();
        let live = running.stop();
        drop(target);
        let last: Value =
            serde_json::from_str(live.stdout.lines().last().expect("it reports")).expect("it is JSON");
        let (report, mut replayed) = replayed_report(&file);
        let note = replayed["notices"].as_array_mut().expect("it has notices").pop();
        let note = note.expect("it has one").to_string();
        assert!(note.contains("LT005, LT006 and cancelled contexts were not checked"), "{note}");
        assert_eq!(facts(&replayed), facts(&last));
        assert_eq!(report.totals.live, live.report().totals.live);
        assert_eq!(report.group("main.leakChanSend").live, 20);
        let refused = |options: &str, words: &str, hint: &str| {
            let outcome = leaktrace(&format!("report {} {options}", file.display()));
            assert!(outcome.stderr.contains(hint), "{}", outcome.stderr);
            outcome.refused(2, words);
        };
        refused("--match main", "--match applies to a snapshot", "hint: add --snapshot");
        refused("--at 1h", "this recording is ", "hint: use an earlier --at");

        let text = replay(&file, "--format debug2");
        let mut shown: Vec<_> = parse(&text).iter().map(|goroutine| goroutine.id).collect();
        let mut expected: Vec<_> = own.iter().map(|goroutine| goroutine.id).collect();
        shown.sort_unstable();
        expected.sort_unstable();
        assert_eq!(shown, expected);
        assert!(text.contains("main.leakChanSend.func1(...)"), "{text}");
    });
}

#[test]
fn a_recording_survives_whoever_kills_its_writer() {
    if !can_probe() {
        return;
    }
    let mut target = Target::start(Version::NEWEST, Mode::Plain, "leak_chan_send=20 storm=1");
    let (_folder, file, options) = recording();
    let mut running = Running::attach(target.pid(), &format!("{options} --interval 500ms"));
    let start = target.state().site("storm").spawned;
    poll_until(PATIENCE, "snapshots of a storm are in the file", || {
        let raged = target.state().site("storm").spawned >= start + 20_000;
        let whole = leaktrace(&format!("report {} --format json", file.display()));
        (raged && whole.code == Some(0) && whole.report().completeness.snapshots >= 2).then_some(())
    });
    running.kill();
    target.command("calm 0");
    let (report, _) = replayed_report(&file);
    assert!(
        report.notices.iter().any(|notice| notice.contains("its writer was stopped")),
        "{:?}",
        report.notices
    );
    assert_eq!(report.group("main.leakChanSend").live, 20);
    let storm = report.group("main.stormRound");
    assert!(storm.born > 0 && storm.creation_stack.len() >= 2, "{storm:?}");
    assert!(replay(&file, "--snapshot").contains("main.leakChanSend.func1(...)"));
}

#[test]
fn a_recording_keeps_within_its_size_and_says_what_it_left_out() {
    if !can_probe() {
        return;
    }
    let mut target = Target::start(Version::NEWEST, Mode::Plain, "leak_chan_send=20 storm=2");
    let (_folder, file, options) = recording();
    let running = Running::attach(target.pid(), &format!("{options} --record-max-size 1MiB"));
    let start = target.state().site("storm").spawned;
    poll_until(PATIENCE, "the storm rages", || {
        (target.state().site("storm").spawned >= start + 200_000).then_some(())
    });
    target.command("calm 0");
    let after = target.command("settle");
    let live = running.stop().report();
    let size = file.metadata().expect("it is there").len();
    assert!(size <= 1 << 20, "{size} bytes");
    let (report, _) = replayed_report(&file);
    assert!(report.notices.iter().any(|notice| notice.contains("did not fit")), "{:?}", report.notices);
    assert!(report.completeness.decoded < live.completeness.decoded);
    // What no event told, the last snapshot does.
    assert_eq!(report.totals.live, after.num_goroutine);
}

#[test]
fn a_full_disk_is_told_with_the_file_and_what_is_there() {
    if !can_probe() {
        return;
    }
    let target = Target::start(Version::NEWEST, Mode::Plain, "driven=1");
    let watch = |options: &str| leaktrace(&format!("--pid {} --duration 1s {options}", target.pid()));
    let recording = watch("--record /dev/full --output /dev/null");
    recording.refused(2, "leaktrace: cannot write to /dev/full: No space left on device");
    assert!(recording.stderr.contains("hint: nothing was recorded"), "{}", recording.stderr);
    let report = watch("--probes none --output /dev/full");
    assert_eq!(report.code, Some(2), "{report:?}");
    let message = "leaktrace: cannot write to /dev/full: No space left on device";
    assert!(report.stderr.starts_with(message), "{}", report.stderr);
}

/// leaktrace where no file may have more than 512 bytes.
fn limited(arguments: &str) -> Outcome {
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -f 1; exec \"$0\" \"$@\""]).arg(binary()).args(arguments.split_whitespace());
    Running::start(shell).finish()
}

#[test]
fn a_file_that_may_not_grow_is_told_and_what_was_there_stays() {
    let target = Target::start(Version::NEWEST, Mode::Plain, "driven=5");
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("file");
    let message = format!("leaktrace: cannot write to {}: File too large", file.display());
    for old in ["", "what was there before\n", &"long before\n".repeat(10_000)] {
        for options in ["--duration 1s --probes none --format json --output", "dump --format json --output"] {
            let options = match options.strip_prefix("dump") {
                Some(options) => format!("dump --pid {}{options}", target.pid()),
                None => format!("--pid {} {options}", target.pid()),
            };
            std::fs::write(&file, old).expect("it can be written");
            let outcome = limited(&format!("{options} {}", file.display()));
            assert_eq!(outcome.code, Some(2), "{options}: {outcome:?}");
            assert!(outcome.stderr.starts_with(&message), "{}", outcome.stderr);
            assert_eq!(std::fs::read_to_string(&file).expect("it is there"), old, "{options}");
        }
    }
    if can_probe() {
        let recording = limited(&format!("--pid {} --duration 1s --record {}", target.pid(), file.display()));
        assert_eq!(recording.code, Some(2), "{recording:?}");
        assert!(recording.stderr.contains(&message), "{}", recording.stderr);
    }
}

#[test]
fn that_nothing_more_is_recorded_is_told_when_it_happens() {
    if !can_probe() {
        return;
    }
    let target = Target::start(Version::NEWEST, Mode::Plain, "driven=5 storm=1");
    let folder = tempfile::tempdir().expect("a folder can be made");
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo can be started").success());
    let reader = File::options().read(true).write(true).open(&pipe).expect("it is there");
    let reports = folder.path().join("report.json");
    let options = format!("--interval 300ms --output {} --record {}", reports.display(), pipe.display());
    let running = Running::start(command(&format!("--pid {} {options}", target.pid())));
    let has = |words: &str| std::fs::read_to_string(&reports).is_ok_and(|text| text.contains(words));
    poll_until(PATIENCE, "the first report", || has("notices").then_some(()));
    drop(reader);
    let words = format!("nothing more is recorded: cannot write to {}: Broken pipe", pipe.display());
    poll_until(PATIENCE, "a report that says so", || has(&words).then_some(()));
    let outcome = running.stop();
    assert!(outcome.stderr.contains(&words), "{}", outcome.stderr);
    assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
}

#[test]
fn a_recording_that_cannot_be_made_is_told_before_anything_is_traced() {
    let target = Target::start(Version::NEWEST, Mode::Plain, "mutex=1");
    let mut run = command(&format!("--pid {}", target.pid()));
    run.args(["--record", "/nonexistent/run.ltc"]);
    Running::start(run).finish().refused(2, "cannot write to /nonexistent/run.ltc");
}

#[test]
fn one_signal_ends_it_while_it_waits_for_what_is_left_of_the_recording_to_be_written() {
    if !can_probe() {
        return;
    }
    let target = Target::start(Version::NEWEST, Mode::Plain, "driven=5 storm=1");
    let folder = tempfile::tempdir().expect("a folder can be made");
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo can be started").success());
    // Nobody reads it, but somebody could.
    let reader = File::options().read(true).write(true).open(&pipe).expect("it is there");
    fcntl_setpipe_size(&reader, 4096).expect("it is empty");
    let options = format!("--duration 1s --output /dev/null --record {}", pipe.display());
    let mut running = Running::start(command(&format!("--pid {} {options}", target.pid())));
    poll_until(PATIENCE, "a full pipe", || {
        let threads = std::fs::read_dir(format!("/proc/{}/task", running.pid())).expect("it runs");
        let place = |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("wchan"));
        threads.flatten().any(|thread| place(thread).is_ok_and(|at| at.contains("pipe_write"))).then_some(())
    });
    poll_until(PATIENCE, "the session is over and its keeper has gone", || {
        let children = format!("/proc/{0}/task/{0}/children", running.pid());
        std::fs::read_to_string(children).expect("it runs").is_empty().then_some(())
    });
    assert!(running.is_running(), "it waits for somebody to read");
    let outcome = running.stop();
    assert_eq!(outcome.code, Some(130), "{}", outcome.stderr);
}
