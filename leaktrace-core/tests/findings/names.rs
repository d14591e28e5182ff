//! Whatever names a target, a repository or a recording has, they are names in every format of reports.

use leaktrace_core::judge::detect::Gate;
use leaktrace_core::report::render::{FORMATS, Options, Style};
use leaktrace_core::schema::{ProcessReport, ProcessState, Report, Round, SCHEMA_VERSION};
use quick_xml::events::Event;
use serde_json::{Value, json};

use crate::hostile::{HOSTILE, assert_harmless};
use crate::{likely, rendered, sample};

/// Everything in a report that is not ours to choose.
const FOREIGN: [&str; 16] = [
    "exe",
    "go_version",
    "arch",
    "build_id",
    "function",
    "start_function",
    "file",
    "path",
    "text",
    "author",
    "summary",
    "cause",
    "remedy",
    "wait_reason",
    "pc",
    "notices",
];

/// Adds `ending` to every foreign word.
fn spoil(value: &mut Value, is_foreign: bool, ending: &str) {
    match value {
        Value::String(text) if is_foreign => text.push_str(ending),
        Value::Array(items) => items.iter_mut().for_each(|item| spoil(item, is_foreign, ending)),
        Value::Object(fields) => {
            let reasons = fields.get_mut("wait_reasons").and_then(Value::as_object_mut);
            if let Some(reasons) = reasons {
                *reasons = std::mem::take(reasons).into_iter().map(|(key, n)| (key + ending, n)).collect();
            }
            for (name, field) in fields {
                spoil(field, is_foreign || FOREIGN.contains(&name.as_str()), ending);
            }
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn spoilt(ending: &str) -> Report {
    let mut report = sample::together();
    report.groups = vec![sample::group("order.process", "order.process.func1", 7)];
    let verdict = &report.incidents[0].verdicts[0];
    report.groups[0].creation_stack.clone_from(&verdict.creation_stack);
    report.groups[0].blocked_at.clone_from(&verdict.blocked_at);
    report.notices = vec!["a notice".to_owned()];
    let mut value = serde_json::to_value(report).unwrap();
    let blame = json!({ "commit": null, "author": "Jo", "author_unix": 7, "summary": "Process" });
    value["sources"][0]["blame"] = blame;
    spoil(&mut value, false, ending);
    // Lines are found by their file, which is spoilt in both.
    serde_json::from_value(value).unwrap()
}

/// Checks what a format made of a report.
fn check(format: &str, text: &str) {
    assert_harmless(format, text);
    if matches!(format, "json" | "sarif") {
        drop(serde_json::from_str::<Value>(text).unwrap());
    }
    if format == "junit" {
        let mut reader = quick_xml::Reader::from_str(text);
        while reader.read_event().unwrap() != Event::Eof {}
    }
    if format == "github" {
        assert!(text.lines().all(|line| line.starts_with("::")), "{text}");
        assert!(!text.contains("%0AFORGED"), "{text}");
    }
}

#[test]
fn names_stay_names_in_every_format() {
    for ending in HOSTILE {
        let report = spoilt(ending);
        for format in FORMATS.all() {
            check(format.name, &rendered(format.name, &report, &likely()));
        }
    }
}

/// Every place of a number in it.
fn numbers(value: &Value, path: &str) -> Vec<String> {
    let below = |(key, value): (String, &Value)| numbers(value, &format!("{path}/{key}"));
    match value {
        Value::Number(_) => vec![path.to_owned()],
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(index, item)| below((index.to_string(), item))).collect()
        }
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(key, item)| below((key.replace('~', "~0").replace('/', "~1"), item)))
            .collect(),
        Value::String(_) | Value::Null | Value::Bool(_) => Vec::new(),
    }
}

/// Nobody vouches for a report in a black box, so that a word may have any length and a number any size.
#[test]
fn every_format_comes_to_its_end_with_long_names_and_large_numbers() {
    let mut value = serde_json::to_value(spoilt(&"x".repeat(100_000))).unwrap();
    let long = serde_json::from_value::<Report>(value.clone()).unwrap();
    let mut raised = 0;
    for place in numbers(&value, "") {
        for most in [json!(u64::MAX), json!(u32::MAX)] {
            let number = value.pointer_mut(&place).unwrap();
            let before = std::mem::replace(number, most);
            if serde_json::from_value::<Report>(value.clone()).is_ok() {
                raised += 1;
                break;
            }
            *value.pointer_mut(&place).unwrap() = before;
        }
    }
    assert!(raised > 50, "{raised}");
    let large = serde_json::from_value::<Report>(value).unwrap();
    for report in [long, large] {
        for format in FORMATS.all() {
            assert!(!rendered(format.name, &report, &likely()).is_empty(), "{}", format.name);
        }
    }
}

#[test]
fn names_stay_names_in_a_round() {
    for ending in HOSTILE {
        let report = spoilt(ending);
        let (exe, reason) = (Some(format!("/srv/x{ending}")), Some(format!("why{ending}")));
        let process =
            ProcessReport { pid: 7, exe, state: ProcessState::Watched, reason, report: Some(&report) };
        let round =
            Round { schema_version: SCHEMA_VERSION, processes: vec![process], ended_and_forgotten: 1 };
        for format in FORMATS.all() {
            let Some(write) = format.writer.round else { continue };
            let mut out = Vec::new();
            write(&round, &Options { style: Style::Plain, width: None, gate: &Gate::default() }, &mut out)
                .unwrap();
            check(format.name, &String::from_utf8(out).unwrap());
        }
    }
}
