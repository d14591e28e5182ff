//! Ring 2: what each command writes for other tools, as those tools read it.

use std::process::Command;

use leaktrace_tests::leaktrace::{Running, binary, command};
use leaktrace_tests::{Mode, Target, Version, suite};
use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::Value;
use tempfile::TempDir;

/// The schema that OASIS publishes.
const SCHEMA: &str = include_str!("../../leaktrace-core/tests/fixtures/sarif/sarif-schema-2.1.0.json");

/// A process with goroutines that wait on a nil channel, and a program that leaves some at its end.
struct Subjects {
    target: Target,
    folder: TempDir,
}

impl Subjects {
    fn new() -> Self {
        let target = Target::start(Version::NEWEST, Mode::Plain, "nil_chan_recv=5");
        let folder = tempfile::tempdir().expect("a directory can be made");
        Self { target, folder }
    }

    /// What each of the commands finds, with its exit status: main command, check, run.
    #[track_caller]
    fn findings(&self, format: &str) -> [String; 3] {
        let pid = self.target.pid();
        let common = format!("--format {format} --probes none");
        let watch = finds(command(&format!("--pid {pid} --duration 1s --fail-on certain {common}")));
        let check = finds(command(&format!("check --pid {pid} --for 1s --max 2 --allow all {common}")));
        [watch, check, self.run(format)]
    }

    #[track_caller]
    fn run(&self, format: &str) -> String {
        let file = self.folder.path().join("findings");
        let program = suite::build(Version::NEWEST, &["build"], "./ends", self.folder.path());
        let mut run = Command::new(binary());
        run.args([
            "run",
            "--fail-on",
            "watch",
            "--probes",
            "none",
            "--at-exit",
            "--format",
            format,
            "--output",
        ]);
        run.arg(&file).arg("--").arg(program).args(["3", "0"]).current_dir(suite::folder());
        _ = finds(run);
        std::fs::read_to_string(file).expect("there is a report")
    }
}

/// What a command writes that finds what it is to fail on.
#[track_caller]
fn finds(command: Command) -> String {
    let outcome = Running::start(command).finish();
    assert_eq!(outcome.code, Some(1), "{}", outcome.stderr);
    outcome.stdout
}

#[test]
fn code_scanning_can_read_it() {
    let mut compiler = boon::Compiler::new();
    compiler.enable_format_assertions();
    let name = "https://leaktrace.example/sarif.json";
    let schema = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    compiler.add_resource(name, schema).expect("it has a name");
    let mut schemas = boon::Schemas::new();
    let schema = compiler.compile(name, &mut schemas).expect("it is a schema");
    for (text, code) in Subjects::new().findings("sarif").iter().zip(["LT004", "LT021", "LT020"]) {
        let log: Value = serde_json::from_str(text).expect("it is JSON");
        if let Err(error) = schemas.validate(&log, schema) {
            panic!("{error}: {text}");
        }
        let run = &log["runs"][0];
        let results = run["results"].as_array().expect("there are results");
        assert!(
            results.iter().any(|result| result["ruleId"] == code && result["level"] == "error"),
            "{text}"
        );
        assert!(
            run["automationDetails"]["id"].as_str().is_some_and(|id| id.starts_with("leaktrace/")),
            "{text}"
        );
    }
}

#[test]
fn actions_can_read_it() {
    for (text, code) in Subjects::new().findings("github").iter().zip(["LT004", "LT021", "LT020"]) {
        let mut commands = text.lines().map(|line| line.split_once("::").expect("a workflow command").1);
        assert!(text.lines().all(|line| line.starts_with("::")), "{text}");
        assert!(
            commands.any(|line| line.starts_with("error ") && line.contains(&format!("title={code} "))),
            "{text}"
        );
    }
}

/// The names of the test cases in a JUnit report, and how many say that they failed.
#[track_caller]
fn cases(text: &str) -> (Vec<String>, usize) {
    let mut reader = Reader::from_str(text);
    let (mut cases, mut failures) = (Vec::new(), 0);
    loop {
        match reader.read_event().unwrap_or_else(|error| panic!("{error}: {text}")) {
            Event::Eof => return (cases, failures),
            Event::Start(tag) | Event::Empty(tag) if tag.name().as_ref() == b"testcase" => {
                let class =
                    tag.try_get_attribute("classname").expect("it is well-formed").expect("it has a class");
                cases.push(String::from_utf8_lossy(&class.value).into_owned());
            }
            Event::Start(tag) if tag.name().as_ref() == b"failure" => failures += 1,
            _ => {}
        }
    }
}

#[test]
fn what_shows_tests_can_read_it() {
    for (text, code) in Subjects::new().findings("junit").iter().zip(["LT004", "LT021", "LT020"]) {
        let (cases, failures) = cases(text);
        assert!(cases.iter().any(|case| case.starts_with(code)), "{text}");
        assert!(failures > 0, "{text}");
    }
}
