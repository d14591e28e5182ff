//! Verdicts as a JUnit report, for CI systems that show tests: a failed test for each incident to fail on.
//!
//! There is no standard; this is what Jenkins' `xunit` schema takes and GitLab, Azure and others read.

use std::io::{self, Write};

use super::Options;
use super::finding::{Finding, findings};
use super::path::short;
use crate::base::escape::{line, xml as escape};
use crate::base::human;
use crate::base::time::SECOND_NS;
use crate::schema::{Frame, Report};

/// Writes the report as a suite of tests; one that passes stands for a program without verdicts.
pub(super) fn render(report: &Report, options: &Options<'_>, out: &mut dyn Write) -> io::Result<()> {
    let all: Vec<Finding<'_>> = findings(report, options.gate).collect();
    let tests = all.len().max(1);
    let failures = all.iter().filter(|finding| finding.fails).count();
    let skipped = all.len() - failures;
    let seconds = report.window.duration_ns / SECOND_NS;
    let millis = report.window.duration_ns / 1_000_000 % 1_000;
    let name = escape(&line(&report.target.exe));
    let counts = format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\"");
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(out, "<testsuites name=\"leaktrace\" {counts} time=\"{seconds}.{millis:03}\">")?;
    writeln!(out, "  <testsuite name=\"{name}\" {counts} time=\"{seconds}.{millis:03}\">")?;
    for finding in &all {
        case(finding, out)?;
    }
    if all.is_empty() {
        writeln!(out, "    <testcase classname=\"{name}\" name=\"no goroutine leaks\" time=\"0\"/>")?;
    }
    writeln!(out, "  </testsuite>\n</testsuites>")
}

fn case(finding: &Finding<'_>, out: &mut dyn Write) -> io::Result<()> {
    let verdict = finding.verdict;
    let by = finding.function().unwrap_or("unknown code");
    let class = escape(&format!("{} {}", verdict.code, verdict.name));
    write!(out, "    <testcase classname=\"{class}\" name=\"{}\"", escape(&line(by)))?;
    if let Some(place) = finding.place() {
        write!(out, " file=\"{}\" line=\"{}\"", escape(&line(place.path)), place.line)?;
    }
    writeln!(out, " time=\"0\">")?;
    let message = escape(&line(&verdict.summary));
    if finding.fails {
        let kind = finding.incident.severity.as_str();
        write!(out, "      <failure type=\"{kind}\" message=\"{message}\">{}", escape(&details(finding)))?;
        writeln!(out, "</failure>")?;
    } else {
        writeln!(out, "      <skipped message=\"{message}\"/>")?;
    }
    writeln!(out, "    </testcase>")
}

/// The words, and the stacks as Go prints them.
fn details(finding: &Finding<'_>) -> String {
    let verdict = finding.verdict;
    let mut parts = vec![finding.message()];
    parts.extend(verdict.blocked_at.iter().map(|blocked| {
        let reason = line(&blocked.wait_reason);
        format!("{} [{reason}]:\n{}", human::some(blocked.count, "goroutine"), stack(finding, &blocked.stack))
    }));
    if !verdict.creation_stack.is_empty() {
        parts.push(format!("created by:\n{}", stack(finding, &verdict.creation_stack)));
    }
    parts.join("\n\n")
}

fn stack<'r>(finding: &Finding<'r>, frames: &'r [Frame]) -> String {
    frames.iter().map(|one| frame(finding, one)).collect::<Vec<_>>().join("\n")
}

fn frame<'r>(finding: &Finding<'r>, frame: &'r Frame) -> String {
    let function = line(frame.function.as_deref().or(frame.pc.as_deref()).unwrap_or("unknown code"));
    match finding.place_of(frame) {
        Some(place) => {
            let path =
                if place.is_relative { place.path } else { short(frame.function.as_deref(), place.path) };
            format!("{function}\n\t{}:{}", line(path), place.line)
        }
        None => function.into_owned(),
    }
}
