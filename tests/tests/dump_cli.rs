//! `leaktrace dump`, `report` and `diff` as users run them.

use std::fs;
use std::path::Path;
use std::process::Command;

use leaktrace_tests::Target;
use leaktrace_tests::go::{Mode, Program, Version, build};
use leaktrace_tests::leaktrace::{binary, leaktrace};
use leaktrace_tests::matrix::each_version;
use leaktrace_tests::nobody::Nobody;
use leaktrace_tests::own_text::OwnText;
use leaktrace_tests::privilege::{is_root, skip};
use serde_json::Value;
use tempfile::TempDir;

/// What leaktrace writes, which must succeed and have nothing to remark.
#[track_caller]
fn written(arguments: &str) -> String {
    let outcome = leaktrace(arguments);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{arguments}");
    outcome.stdout
}

#[track_caller]
fn json(arguments: &str) -> Value {
    serde_json::from_str(&written(&format!("{arguments} --format json"))).expect("it is JSON")
}

/// How many goroutines a dump in JSON has.
#[track_caller]
fn goroutines(json: &Value) -> u64 {
    json["totals"]["goroutines"].as_u64().expect("it has a total")
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory can be made")
}

fn target(scenarios: &str) -> Target {
    Target::start(Version::NEWEST, Mode::Stripped, scenarios)
}

/// Every format, the file whose ending asks for it, and how it begins.
const FORMATS: [(&str, Option<&str>, &[u8]); 9] = [
    ("debug2", Some("a.txt"), b"goroutine "),
    ("pprof", Some("a.pb.gz"), b"\x1f\x8b"),
    ("json", Some("a.json"), b"{\"schema_version\":1"),
    ("folded", Some("a.folded"), b""),
    ("svg", Some("a.svg"), b"<?xml"),
    ("html", Some("a.html"), b"<!doctype html>"),
    ("ltr", Some("a.ltr"), b"\x93LTR\r\n\x1a\n"),
    ("debug1", None, b"goroutine profile: total "),
    ("text", None, b"scenarios-"),
];

/// What is written to standard output.
#[track_caller]
fn bytes(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(binary()).args(arguments).output().expect("leaktrace runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[track_caller]
fn assert_begins(bytes: &[u8], beginning: &[u8], what: &str) {
    let start = bytes.get(..beginning.len().max(1)).expect("something is written");
    assert!(start.to_ascii_lowercase().starts_with(&beginning.to_ascii_lowercase()), "{what}: {start:?}");
}

#[test]
fn every_format_is_written_to_standard_output_and_to_files_by_their_endings() {
    let target = target("leak_chan_send=5 mutex=2");
    let directory = directory();
    let pid = target.pid().to_string();
    for (format, file, beginning) in FORMATS {
        assert_begins(&bytes(&["dump", "--format", format, "--pid", &pid]), beginning, format);
        if let Some(file) = file {
            let path = directory.path().join(file);
            assert_eq!(written(&format!("dump --pid {pid} -o {}", path.display())), "");
            assert_begins(&fs::read(&path).expect("it was written"), beginning, file);
        }
    }
}

#[test]
fn filters_choose_goroutines_and_say_how_many_they_left_out() {
    let target = target("leak_chan_send=5 mutex=2 sleep=3");
    let count = |filter: &str| goroutines(&json(&format!("dump --pid {} {filter}", target.pid())));
    let all = count("");
    let sends = json(&format!("dump --pid {} --match leakChanSend --wait chan", target.pid()));
    assert_eq!((goroutines(&sends), sends["completeness"]["filtered_out"].as_u64()), (5, Some(all - 5)));
    assert_eq!(sends["stacks"].as_array().map(Vec::len), Some(1), "no stacks of those that are left out");
    assert_eq!(count("--wait sync.Mutex"), 2);
    assert_eq!(count("--not leakChanSend"), all - 5);
    assert_eq!(count("--state waiting --match scenarios.sleep|main.sleep"), 3);
    let nothing = leaktrace(&format!("dump --pid {} --older 20h", target.pid()));
    assert_eq!((nothing.code, nothing.stdout.as_str()), (Some(0), ""));
    assert_eq!(nothing.stderr, format!("leaktrace: no goroutine matches; {all} goroutines left out\n"));
    let runtime = count("--include-runtime");
    assert!(runtime > all, "{runtime} with the runtime's own, {all} without");
}

#[test]
fn every_grouping_has_groups_that_hold_all_goroutines() {
    let target = target("leak_chan_send=5 mutex=2");
    for by in ["stack", "created-by", "wait", "blocked-on"] {
        let dump = json(&format!("dump --pid {} --by {by}", target.pid()));
        let groups = dump["groups"].as_array().expect("there are groups");
        let sum: u64 = groups.iter().filter_map(|group| group["count"].as_u64()).sum();
        assert_eq!((dump["grouped_by"].as_str(), sum), (Some(by), goroutines(&dump)));
        let text = written(&format!("dump --pid {} --by {by}", target.pid()));
        assert!(text.lines().next().is_some_and(|line| line.ends_with(&format!("by {by}"))), "{text}");
    }
}

#[test]
fn many_senders_on_one_channel_are_one_line() {
    const LINE: &str = "3,000 goroutines send on one channel that nobody receives from";
    each_version(|version| {
        let program = OwnText::with_senders(version, Mode::Plain, 3_000);
        let text = written(&format!("dump --pid {} --by blocked-on", program.pid()));
        assert_eq!(text.lines().nth(2), Some(LINE), "{text}");
        let json = json(&format!("dump --pid {} --by blocked-on", program.pid()));
        let group = &json["groups"][0];
        assert_eq!((group["summary"].as_str(), group["count"].as_u64()), (Some(LINE), Some(3_000)));
        let title = group["title"].as_str().expect("it has a title");
        assert!(title.starts_with("chan send on chan int 0x"), "{title}");
        assert!(title.ends_with("(len 0, cap 0, 0 receiving, 3,000 sending)"), "{title}");
    });
}

#[test]
fn goroutines_that_wait_for_io_say_for_which_descriptor() {
    each_version(|version| {
        let target = Target::start(version, Mode::Plain, "io_wait=20");
        let dump = json(&format!("dump --pid {} --wait IO", target.pid()));
        let waiting = dump["goroutines"].as_array().expect("there are goroutines");
        assert!(waiting.len() >= 20);
        for goroutine in waiting {
            let blocked = &goroutine["blocked_on"];
            let fd = blocked["fd"].as_u64().unwrap_or_else(|| panic!("which descriptor? {goroutine}"));
            let link = fs::read_link(format!("/proc/{}/fd/{fd}", target.pid())).expect("it is open");
            let kind = link.to_string_lossy().split(':').next().map(ToOwned::to_owned);
            let description = blocked["description"].as_str().expect("it is known what it is");
            assert!(
                kind.is_some_and(|kind| description.contains(&kind)),
                "{description} is {}",
                link.display()
            );
        }
    });
}

/// The files of a dump before and after `spawn`.
fn before_and_after(directory: &Path, spawned: u32) -> (String, String) {
    let mut target = target("driven=2 leak_chan_send=3");
    let file = |name: &str| directory.join(name).display().to_string();
    let (before, after) = (file("before.ltr"), file("after.ltr"));
    written(&format!("dump --pid {} -o {before}", target.pid()));
    target.command(&format!("spawn {spawned}"));
    written(&format!("dump --pid {} -o {after}", target.pid()));
    (before, after)
}

#[test]
fn a_snapshot_is_reported_in_any_format_when_the_process_is_gone() {
    let directory = directory();
    let (before, after) = before_and_after(directory.path(), 7);
    let (before_json, after_json) = (json(&format!("report {before}")), json(&format!("report {after}")));
    assert_eq!(goroutines(&after_json), goroutines(&before_json) + 7);
    assert_eq!(before_json["target"]["started_at"], after_json["target"]["started_at"]);
    assert!(after_json["mappings"].as_array().is_some_and(|mappings| !mappings.is_empty()));
    let debug2 = written(&format!("report {after} --match leakChanSend"));
    assert_eq!(debug2.matches("[chan send]:").count(), 3, "{debug2}");
    for (format, _, beginning) in FORMATS {
        assert_begins(&bytes(&["report", &after, "--format", format]), beginning, format);
    }
    let again = directory.path().join("again.ltr");
    written(&format!("report {after} -o {}", again.display()));
    assert_eq!(fs::read(&again).ok(), fs::read(&after).ok(), "the same snapshot is the same file");
}

#[test]
fn a_difference_says_what_grew_and_fails_on_request() {
    let directory = directory();
    let (before, after) = before_and_after(directory.path(), 7);
    let text = written(&format!("diff {before} {after}"));
    assert!(text.contains("grew") && text.contains("+7"), "{text}");
    let difference = json(&format!("diff {before} {after}"));
    assert_eq!(difference["same_process"].as_bool(), Some(true));
    assert_eq!(difference["changes"][0]["delta"].as_i64(), Some(7));
    let code = |n: u32, files: &str| leaktrace(&format!("diff {files} --fail-if-grew {n}")).code;
    assert_eq!(code(7, &format!("{before} {after}")), Some(1));
    assert_eq!(code(8, &format!("{before} {after}")), Some(0));
    let why = leaktrace(&format!("diff {before} {after} --fail-if-grew 7")).stderr;
    assert!(why.starts_with("leaktrace: 1 group grew by 7 goroutines or more, the most by 7: "), "{why}");
    assert_eq!(code(1, &format!("{after} {before}")), Some(0));
}

/// The goroutines that a function started: how that changed, how many there were before and after, and whether the rate
/// is one of growth.
fn change<'d>(difference: &'d Value, creator: &str) -> Option<(&'d str, u64, u64, bool)> {
    let changes = difference["changes"].as_array()?;
    let group =
        changes.iter().find(|change| change["group"].as_str().is_some_and(|g| g.contains(creator)))?;
    let (before, after) = (group["before"].as_u64()?, group["after"].as_u64()?);
    Some((group["change"].as_str()?, before, after, group["per_minute"].as_f64()? > 0.0))
}

#[test]
fn two_builds_of_a_service_are_compared_by_their_functions() {
    let directory = directory();
    let snapshot = |target: Target, name: &str| {
        let file = directory.path().join(name).display().to_string();
        written(&format!("dump --pid {} -o {file}", target.pid()));
        file
    };
    let before = "leak_chan_send=3 mutex=4 select_forever=1 driven=2";
    let before = snapshot(Target::start(Version::OLDEST, Mode::Plain, before), "before.ltr");
    let after = snapshot(target("leak_chan_send=6 mutex=1 sleep=5 driven=2"), "after.ltr");
    let difference = json(&format!("diff {before} {after} --by created-by"));
    assert_eq!(difference["same_process"].as_bool(), Some(false));
    assert_eq!(change(&difference, "main.leakChanSend"), Some(("grew", 3, 6, true)));
    assert_eq!(change(&difference, "main.mutex"), Some(("shrank", 4, 1, false)));
    assert_eq!(change(&difference, "main.selectForever"), Some(("vanished", 1, 0, false)));
    assert_eq!(change(&difference, "main.sleep"), Some(("appeared", 0, 5, true)));
    assert_eq!(change(&difference, "main.driven"), None, "it did not change");
    let text = written(&format!("diff {before} {after} --by created-by"));
    assert!(text.contains("not the same process: pid ") && text.contains("not the same build: "), "{text}");
}

#[test]
fn a_user_may_dump_their_own_processes_and_is_told_of_others() {
    if !is_root() {
        return skip("needs root to become another user");
    }
    let nobody = Nobody::new();
    let built =
        build(Program::Scenarios, Version::NEWEST, Mode::Plain, &mut |_| ()).expect("it can be built");
    let mut command = nobody.command(&built);
    command.args(["leak_chan_send=4", "io_wait=1"]);
    let own = Target::spawn(command, &built);
    let outcome = nobody.leaktrace(&format!("dump --pid {}", own.pid()));
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "no privileges are needed");
    assert_eq!(outcome.stdout.matches("[chan send]:").count(), 4, "{}", outcome.stdout);

    let foreign = target("leak_chan_send=1");
    let outcome = nobody.leaktrace(&format!("dump --pid {}", foreign.pid()));
    outcome.refused(4, "permission denied");
    assert!(outcome.stderr.contains("run as the same user as the process"), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("CAP_BPF"), "nothing is to be traced: {}", outcome.stderr);
}
