//! Verdicts in the formats that other tools read. After a wanted change: `INSTA_UPDATE=always cargo test -p
//! leaktrace-core`, and read the diff.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../helpers/hostile.rs"]
mod hostile;
mod incidents;
mod left;
mod limits;
mod names;
mod sample;
mod schema;

use leaktrace_core::judge::detect::Gate;
use leaktrace_core::report::render::{FORMATS, Options, Style};
use leaktrace_core::schema::Report;
use leaktrace_core::schema::Severity;

pub(crate) fn rendered(format: &str, report: &Report, gate: &Gate) -> String {
    let mut out = Vec::new();
    let options = Options { style: Style::Plain, width: None, gate };
    (FORMATS.named(format).unwrap().writer.report)(report, &options, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// A gate that fails on what is likely, or surer.
pub(crate) fn likely() -> Gate {
    Gate { fail_on: Some(Severity::Likely), deny: Vec::new() }
}

#[test]
fn annotations() {
    insta::assert_snapshot!("github", rendered("github", &sample::report(), &likely()));
}

#[test]
fn one_problem_is_one_entry_in_every_format() {
    for format in ["text", "github", "junit", "sarif"] {
        insta::assert_snapshot!(
            format!("together_{format}"),
            rendered(format, &sample::together(), &likely())
        );
    }
}

#[test]
fn annotations_of_a_run_that_is_not_to_fail() {
    let text = rendered("github", &sample::report(), &Gate::default());
    let commands: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(commands, ["::error", "::warning", "::notice"]);
}

#[test]
fn a_suite_of_tests() {
    insta::assert_snapshot!("junit", rendered("junit", &sample::report(), &likely()));
}

#[test]
fn code_scanning() {
    insta::assert_snapshot!("sarif", rendered("sarif", &sample::report(), &likely()));
}

#[test]
fn a_clean_program_is_a_passed_test_and_no_annotation() {
    let mut report = sample::report();
    report.incidents.clear();
    assert_eq!(rendered("github", &report, &likely()), "");
    insta::assert_snapshot!("junit_clean", rendered("junit", &report, &likely()));
}
