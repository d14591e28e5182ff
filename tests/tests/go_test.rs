//! Ring 2: `go test -exec 'leaktrace run --'`, as users type it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};

use leaktrace_tests::leaktrace::binary;
use leaktrace_tests::nobody::Nobody;
use leaktrace_tests::privilege::{can_probe, is_root, skip};
use leaktrace_tests::report::verdicts_in;
use leaktrace_tests::{Version, suite};
use serde_json::Value;

/// The tests in package `order` that leave goroutines, and how many.
const LEAVES: [(&str, u64); 3] = [("TestForgets", 1), ("TestForgetsThroughAHelper", 3), ("TestTable", 2)];

/// What is left by which test, and how sure that is.
type Left = BTreeMap<String, (u64, String)>;

/// What `order` leaves behind when it is run so often.
fn left_by_order(times: u64) -> Left {
    let name = |test| format!("leaktrace.test/shop/order.{test}");
    LEAVES.map(|(test, count)| (name(test), (count * times, "likely".to_owned()))).into()
}

/// `go test FLAGS -exec 'leaktrace run OPTIONS --' PACKAGES`.
#[track_caller]
fn go_test(version: Version, flags: &str, options: &str, packages: &str) -> Output {
    let exec = format!("'{}' run {options} --", binary().display());
    let mut go = suite::go(version);
    go.arg("test").args(flags.split_whitespace()).arg("-exec").arg(exec);
    go.args(packages.split_whitespace()).output().expect("go can be started")
}

/// The tests that left something, as the reports in a folder say whose names begin with `package`.
#[track_caller]
fn left_in(folder: &Path, package: &str) -> Left {
    let mut left = Left::new();
    let mut reports = 0;
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let entry = entry.expect("it can be listed");
        if entry.file_name().to_string_lossy().starts_with(package) {
            reports += 1;
            left.extend(left_by_tests(&entry.path()));
        }
    }
    assert_eq!(reports, 1, "one report for {package}");
    left
}

#[track_caller]
fn left_by_tests(file: &Path) -> Left {
    let text = fs::read_to_string(file).expect("there is a report");
    let report: Value = serde_json::from_str(&text).expect("it is JSON");
    let mut left = Left::new();
    for verdict in verdicts_in(&report) {
        let severity = verdict["severity"].as_str().expect("there is one");
        let tests = verdict["evidence"]["tests"].as_object().cloned().unwrap_or_default();
        for (test, count) in tests {
            left.insert(test, (count.as_u64().expect("a count"), severity.to_owned()));
        }
    }
    left
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn each_test_is_named_that_created_what_is_left() {
    if !can_probe() {
        return;
    }
    for version in [Version::OLDEST, Version::NEWEST] {
        let reports = tempfile::tempdir().expect("a directory can be made");
        let options = format!("--fail-on likely -o {}/{{name}}-{{pid}}.json", reports.path().display());
        let output = go_test(version, "-count=1", &options, "./order ./tidy");
        let stdout = text(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{stdout}{}", text(&output.stderr));
        assert!(stdout.contains("FAIL\tleaktrace.test/shop/order"), "go {version}: {stdout}");
        assert!(stdout.contains("ok  \tleaktrace.test/shop/tidy"), "go {version}: {stdout}");
        assert_eq!(left_in(reports.path(), "order.test"), left_by_order(1), "go {version}");
        assert_eq!(left_in(reports.path(), "tidy.test"), Left::new(), "go {version}");
    }
}

#[test]
fn what_fails_says_so_below_the_tests() {
    if !can_probe() {
        return;
    }
    let output = go_test(Version::NEWEST, "-count=1", "--fail-on likely --at-exit", "./order ./tidy");
    let stdout = text(&output.stdout);
    let (_, after) = stdout.split_once("PASS\n").expect("the tests passed");
    assert!(after.contains("created in TestForgetsThroughAHelper"), "{stdout}");
    assert!(after.contains("order/order.go:"), "{stdout}");
    assert_eq!(text(&output.stderr), "", "nothing is said of what passes");
}

#[test]
fn tests_that_run_twice_with_the_race_detector_leave_twice_as_much() {
    if !can_probe() {
        return;
    }
    let reports = tempfile::tempdir().expect("a directory can be made");
    let options = format!("-o {}/{{name}}.json", reports.path().display());
    let output = go_test(Version::NEWEST, "-race -count=2 -v", &options, "./order");
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(text(&output.stdout).matches("--- PASS: TestTable/a").count(), 2);
    assert_eq!(left_in(reports.path(), "order.test"), left_by_order(2));
}

/// What `go test -json` says of each test and each package.
#[track_caller]
fn results(output: &Output) -> BTreeSet<(String, String, String)> {
    let stdout = text(&output.stdout);
    let events = stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("each line is JSON"));
    let word = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let said = events.map(|event| (word(&event, "Action"), word(&event, "Package"), word(&event, "Test")));
    said.filter(|(action, ..)| ["pass", "fail", "skip"].contains(&action.as_str())).collect()
}

#[test]
fn results_are_those_of_the_tests_themselves() {
    for packages in ["./...", "./order ./tidy"] {
        let mut go = suite::go(Version::NEWEST);
        go.args(["test", "-json", "-count=1"]).args(packages.split_whitespace());
        let alone = go.output().expect("go can be started");
        let watched = go_test(Version::NEWEST, "-json -count=1", "", packages);
        assert_eq!(watched.status.code(), alone.status.code(), "{packages}");
        assert_eq!(results(&watched), results(&alone), "{packages}");
        assert!(results(&alone).len() > 5);
    }
}

#[test]
fn without_privileges_what_tests_left_is_still_told() {
    if !is_root() {
        return skip("only root can become another user");
    }
    let folder = tempfile::tempdir().expect("a directory can be made");
    let nobody = Nobody::new();
    let tests = suite::build(Version::NEWEST, &["test", "-c"], "./order", folder.path());
    let tests = nobody.command(&tests);
    let mut command = nobody.command(&binary());
    command.args(["run", "--fail-on", "likely", "--"]).arg(tests.get_program()).arg("-test.v");
    let output = command.stdin(Stdio::null()).output().expect("it can be started");
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.matches("nothing is traced: ").count(), 1, "{stderr}");
    assert!(stderr.contains("LT020 likely leak") && stderr.contains("created in a test"), "{stderr}");
}
