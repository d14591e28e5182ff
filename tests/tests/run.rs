//! Ring 2: programs and tests that leaktrace itself starts, from the first instruction to the exit status.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::{Duration, Instant};

use leaktrace_tests::go::build;
use leaktrace_tests::leaktrace::{binary, leaktrace};
use leaktrace_tests::matrix::each;
use leaktrace_tests::nobody::Nobody;
use leaktrace_tests::poll::{PATIENCE, poll_until};
use leaktrace_tests::privilege::{can_probe, is_root, skip};
use leaktrace_tests::report::Report;
use leaktrace_tests::{Mode, Program, Version, suite};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with a program that leaves goroutines behind, and leaktrace's report on it.
struct Bench {
    folder: TempDir,
    program: PathBuf,
}

impl Bench {
    fn new(version: Version) -> Self {
        let folder = tempfile::tempdir().expect("a directory can be made");
        let program = suite::build(version, &["build"], "./ends", folder.path());
        Self { folder, program }
    }

    fn report_file(&self) -> PathBuf {
        self.folder.path().join("report.json")
    }

    /// `leaktrace run OPTIONS -- PROGRAM ARGUMENTS`, with everything piped.
    fn command(&self, options: &str, arguments: &str) -> Command {
        let mut command = Command::new(binary());
        command.arg("run").args(options.split_whitespace()).arg("--output").arg(self.report_file());
        command.arg("--").arg(&self.program).args(arguments.split_whitespace());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it to its end, with nothing to read.
    #[track_caller]
    fn run(&self, options: &str, arguments: &str) -> Output {
        self.command(options, arguments).stdin(Stdio::null()).output().expect("it can be started")
    }

    #[track_caller]
    fn report(&self) -> Report {
        report_in(&self.report_file())
    }
}

#[track_caller]
fn report_in(file: &Path) -> Report {
    let text = fs::read_to_string(file).expect("there is a report");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits until the program says that it is ready, and returns what it will say after that.
#[track_caller]
fn await_ready(child: &mut Child) -> BufReader<ChildStderr> {
    let mut stderr = BufReader::new(child.stderr.take().expect("it is piped"));
    let mut all = String::new();
    while !all.ends_with("ready\n") {
        let read = stderr.read_line(&mut all).expect("it can be read");
        assert!(read > 0, "it ended before it was ready: {all}");
    }
    stderr
}

fn send(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a child has a pid");
    kill_process(pid, signal).expect("it runs");
}

#[test]
fn births_are_seen_from_the_first_instruction() {
    if !can_probe() {
        return;
    }
    for version in [Version::OLDEST, Version::NEWEST] {
        let bench = Bench::new(version);
        let output = bench.run("--top 0", "5 0");
        assert!(output.status.success(), "{}", text(&output.stderr));
        let report = bench.report();
        // Its own count says the same as ours.
        assert_eq!(report.totals.live.to_string(), text(&output.stdout).trim(), "go {version}");
        assert_eq!(
            (report.totals.before_attach, report.completeness.births_recovered),
            (0, 0),
            "go {version}"
        );
        let early = report.group("main.init.0");
        assert_eq!((early.born, early.live, early.age_is_lower_bound), (1, 1, false), "go {version}");
        let stack: Vec<_> = early.creation_stack.iter().filter_map(|at| at.function.as_deref()).collect();
        assert_eq!(stack.first(), Some(&"main.init.0"), "go {version}");
        assert_eq!(report.group("main.leave").born, 5);
        assert!(!report.creators().contains(&"main.tidy".to_owned()), "nothing is left of it");
        assert_eq!(report.completeness.produced, report.completeness.decoded);
    }
}

#[test]
fn every_kind_of_build_is_seen_from_its_first_instruction() {
    if !can_probe() {
        return;
    }
    let folder = tempfile::tempdir().expect("a directory can be made");
    each(Mode::ALL.map(|mode| (Version::NEWEST, mode)), |version, mode| {
        let built = build(Program::Scenarios, version, mode, &mut |what| eprintln!("{what}"));
        let program = built.expect("it builds");
        let file = folder.path().join("report.json");
        let mut command = Command::new(binary());
        command.args(["run", "--top", "0", "--at-exit", "--output"]).arg(&file).arg("--").arg(program);
        // It ends when there is nothing to read.
        let output = command.arg("driven=5").stdin(Stdio::null()).output().expect("it can be started");
        assert!(output.status.success(), "{}", text(&output.stderr));
        let report = report_in(&file);
        let group = report.group("main.driven.func1");
        assert_eq!((group.born, group.live, report.totals.before_attach), (5, 5, 0));
        assert_eq!(report.completeness.births_recovered, 0, "{:?}", report.notices);
        assert_eq!(group.blocked_at.iter().map(|blocked| blocked.count).sum::<u64>(), 5);
    });
}

#[test]
fn streams_and_exit_status_are_the_programs() {
    let bench = Bench::new(Version::NEWEST);
    for code in [0, 7] {
        let mut child = bench.command("", &format!("1 {code}")).spawn().expect("it can be started");
        let mut stderr = await_ready(&mut child);
        child.stdin.take().expect("it is piped").write_all(b"through\n").expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(code));
        let stdout = text(&output.stdout);
        assert!(stdout.starts_with("through\n") && stdout.lines().count() == 2, "{stdout}");
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).expect("it can be read");
        assert_eq!(rest, "", "the report went to a file");
    }
}

#[test]
fn the_report_goes_to_standard_error_and_leaves_the_programs_output_alone() {
    let bench = Bench::new(Version::NEWEST);
    let mut command = Command::new(binary());
    command.args(["run", "--"]).arg(&bench.program).args(["3", "0"]).stdin(Stdio::null());
    let output = command.output().expect("it can be started");
    assert_eq!(text(&output.stdout).lines().count(), 1);
    let stderr = text(&output.stderr);
    assert!(stderr.contains("3 goroutines left at the end, created by main.leave"), "{stderr}");
}

/// `command`, with signals that end it even if they are ignored here, as SIGINT is in the background of a shell.
fn heeding(command: &Command) -> Command {
    let mut heeding = Command::new("env");
    heeding.arg("--default-signal").arg(command.get_program()).args(command.get_args());
    heeding.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    heeding
}

#[test]
fn signals_reach_the_program_and_its_end_by_one_is_told() {
    let bench = Bench::new(Version::NEWEST);
    for options in ["", "--at-exit"] {
        for (signal, code) in [(Signal::TERM, 128 + 15), (Signal::INT, 128 + 2), (Signal::USR1, 41)] {
            let mut child = heeding(&bench.command(options, "2 0")).spawn().expect("it can be started");
            let _stderr = await_ready(&mut child);
            send(&child, signal);
            let status = poll_until(PATIENCE, "it ends", || child.try_wait().expect("it is our child"));
            assert_eq!((status.code(), status.signal()), (Some(code), None), "{signal:?} {options}");
            assert_eq!(bench.report().group("main.leave").live, 2, "{signal:?} {options}");
        }
    }
}

#[test]
fn the_exit_status_is_1_only_on_what_was_asked_for() {
    let bench = Bench::new(Version::NEWEST);
    let ends_with = |code: i32, options: &str, arguments: &str| {
        let output = bench.run(options, arguments);
        assert_eq!(output.status.code(), Some(code), "{options} -- {arguments}: {}", text(&output.stderr));
    };
    ends_with(0, "", "3 0");
    ends_with(0, "--fail-on certain --allow all", "3 0");
    ends_with(1, "--fail-on watch", "3 0");
    ends_with(1, "--deny left-at-exit", "3 0");
    let all =
        ["main.leave", "main.init.0", "main.main"].map(|by| format!("--ignore-created-by {by}")).join(" ");
    ends_with(0, &format!("--deny left-at-exit {all}"), "3 0");
    // The program's own goes first.
    ends_with(7, "--fail-on watch", "3 7");
}

#[test]
fn at_exit_shows_where_they_stand() {
    let bench = Bench::new(Version::NEWEST);
    bench.run("--at-exit", "4 0");
    let report = bench.report();
    let group = report.group("main.leave");
    let stands = group.blocked_at.first().expect("a stack");
    assert_eq!((stands.count, stands.wait_reason.as_str()), (4, "chan receive"));
    assert_eq!(stands.stack[0].function.as_deref(), Some("main.early"));
}

#[test]
fn one_that_a_signal_ends_before_its_runtime_is_there_is_not_waited_for() {
    if !can_probe() {
        return;
    }
    let bench = Bench::new(Version::NEWEST);
    for pause in (0..20).map(|step| Duration::from_millis(5 * step)) {
        let began = Instant::now();
        let mut child = bench.command("--at-exit", "5 0").spawn().expect("it can be started");
        // The program ends by itself when there is nothing to read any more.
        let stdin = child.stdin.take().expect("it is piped");
        poll_until(PATIENCE, "the program is there", || children(child.id()));
        poll_until(PATIENCE, "some time has passed", || (began.elapsed() > pause).then_some(()));
        send(&child, Signal::TERM);
        let signalled = Instant::now();
        let output = child.wait_with_output().expect("it ends");
        let took = signalled.elapsed();
        drop(stdin);
        assert!(took < Duration::from_secs(5), "{pause:?}: {took:?}: {}", text(&output.stderr));
        assert_eq!(output.status.code(), Some(128 + 15), "{pause:?}: {}", text(&output.stderr));
    }
}

/// Whether a thread of the process has a child that is not the keeper of its probes.
fn children(pid: u32) -> Option<()> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let children = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let children: String = children.collect();
    let name = |child: &str| fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default();
    children.split_whitespace().any(|child| name(child).trim() != "leaktrace-keep").then_some(())
}

#[test]
fn what_is_no_go_program_is_refused_before_it_runs() {
    let folder = tempfile::tempdir().expect("a directory can be made");
    let file = folder.path().join("ran");
    leaktrace(&format!("run -- touch {}", file.display())).refused(6, "not a Go program");
    assert!(!file.exists());
}

#[test]
fn what_cannot_be_started_ends_as_in_a_shell() {
    leaktrace("run -- /nonexistent/x -v").refused(127, "cannot start /nonexistent/x: No such file");
    leaktrace("run -n1 -- no-such-program-anywhere").refused(127, "cannot start no-such-program-anywhere");
    let text = suite::folder().join("go.mod");
    leaktrace(&format!("run {}", text.display())).refused(126, "Permission denied");
    let wrong = leaktrace("run --fial-on likely -- /bin/true");
    assert_eq!(wrong.code, Some(2));
    assert!(
        wrong.stderr.contains("'--fail-on' found") || wrong.stderr.contains("--fial-on"),
        "{}",
        wrong.stderr
    );
}

#[test]
fn programs_side_by_side_have_a_report_each() {
    let bench = Bench::new(Version::NEWEST);
    let pattern = bench.folder.path().join("{name}-{pid}.sarif");
    let start = || {
        let mut command = Command::new(binary());
        command.args(["run", "--at-exit", "-o"]).arg(&pattern).arg("--").arg(&bench.program).args(["1", "0"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts")
    };
    for mut child in [start(), start()] {
        assert!(child.wait().expect("it is our child").success());
    }
    let name = bench.program.file_name().and_then(|name| name.to_str()).expect("it has a name");
    let files =
        fs::read_dir(bench.folder.path()).expect("it is there").map(|entry| entry.expect("it is").path());
    let reports = files.filter(|file| file.extension().is_some_and(|ending| ending == "sarif"));
    let reports: Vec<_> = reports.collect();
    assert_eq!(reports.len(), 2, "{reports:?}");
    assert!(
        reports.iter().all(|file| file.display().to_string().contains(&format!("/{name}-"))),
        "{reports:?}"
    );
}

#[test]
fn the_go_command_is_told_apart_from_what_it_starts() {
    let go = suite::go(Version::NEWEST);
    let mut command = Command::new(binary());
    command
        .args(["run", "--probes", "none", "--"])
        .arg(go.get_program())
        .args(["test", "-list", "x", "./empty"]);
    command.envs(go.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir(suite::folder());
    let output = command.stdin(Stdio::null()).output().expect("it can be started");
    assert!(text(&output.stderr).contains("go test -exec 'leaktrace run --'"), "{}", text(&output.stderr));
    assert!(output.status.success());
}

#[test]
fn without_privileges_snapshots_are_judged_and_that_is_said() {
    if !is_root() {
        return skip("only root can become another user");
    }
    let bench = Bench::new(Version::NEWEST);
    let nobody = Nobody::new();
    let program = nobody.command(&bench.program);
    let mut command = nobody.command(&binary());
    command.args(["run", "--format", "json", "--"]).arg(program.get_program()).args(["3", "7"]);
    let output = command.stdin(Stdio::null()).output().expect("it can be started");
    assert_eq!(output.status.code(), Some(7));
    let stderr = text(&output.stderr);
    let line = stderr.lines().find(|line| line.starts_with('{')).expect("a report");
    let report: Report = serde_json::from_str(line).expect("it is one");
    assert!(report.notices[0].contains("nothing is traced"), "{:?}", report.notices);
    assert_eq!((report.group("main.leave").live, report.totals.before_attach), (3, 0));
    assert_eq!(report.group("main.leave").blocked_at[0].count, 3, "it was held at its exit");
}

#[test]
fn findings_are_annotated_where_the_repository_has_them() {
    let bench = Bench::new(Version::NEWEST);
    let mut command = bench.command("--format github --at-exit", "3 0");
    let output = command.current_dir(suite::folder()).stdin(Stdio::null()).output();
    assert!(output.expect("it can be started").status.success());
    let annotations = fs::read_to_string(bench.report_file()).expect("there is a report");
    let place = "file=ends/main.go,line=";
    let root = "file=tests/suites/shop/ends/main.go,line=";
    assert!(annotations.lines().any(|line| line.contains(place) || line.contains(root)), "{annotations}");
    bench.run(&format!("--format sarif --at-exit --source {}", suite::folder().display()), "3 0");
    let sarif = fs::read_to_string(bench.report_file()).expect("there is a report");
    let sarif: Value = serde_json::from_str(&sarif).expect("it is JSON");
    let location = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    let artifact = json!({ "uri": "ends/main.go", "uriBaseId": "%SRCROOT%" });
    assert_eq!(location["artifactLocation"], artifact);
}
