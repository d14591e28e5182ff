//! Verdicts as SARIF 2.1.0, for code scanning.
//!
//! Source: OASIS, "Static Analysis Results Interchange Format (SARIF) Version 2.1.0"; a test validates against its
//! schema.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Value, json};

use super::Options;
use super::finding::{Finding, Level, SourcePosition, findings};
use crate::base::human;
use crate::base::json::Visible;
use crate::base::path::base_name;
use crate::schema::{Frame, Report, Route, Verdict};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// What paths of files in the repository are relative to; the name that GitHub's code scanning expects.
const ROOT: &str = "%SRCROOT%";

/// Writes the report as one SARIF log.
pub(super) fn render(report: &Report, options: &Options<'_>, out: &mut dyn Write) -> io::Result<()> {
    let findings: Vec<Finding<'_>> = findings(report, options.gate).collect();
    let rules = Rules::of(&findings);
    let results: Vec<Value> = findings.iter().map(|finding| result(finding, &rules)).collect();
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": driver(&rules) },
            "automationDetails": { "id": category(report) },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    serde_json::to_writer_pretty(Visible(out), &log)?;
    out.write_all(b"\n")
}

/// What keeps the results of several programs apart in one upload; without the slash at its end GitHub would take the
/// last part for the number of a run.
fn category(report: &Report) -> String {
    let name = base_name(&report.target.exe);
    format!("leaktrace/{name}/")
}

fn driver(rules: &Rules<'_>) -> Value {
    json!({
        "name": "leaktrace",
        "semanticVersion": env!("CARGO_PKG_VERSION"),
        "informationUri": env!("CARGO_PKG_REPOSITORY"),
        "rules": rules.all.values().map(|(_, verdict)| rule(verdict)).collect::<Vec<_>>(),
    })
}

/// The rules that found something, each with its index.
struct Rules<'r> {
    all: BTreeMap<&'r str, (usize, &'r Verdict)>,
}

impl<'r> Rules<'r> {
    fn of(findings: &[Finding<'r>]) -> Self {
        let mut all: BTreeMap<&str, (usize, &Verdict)> = BTreeMap::new();
        for verdict in findings.iter().map(|finding| finding.verdict) {
            all.entry(&verdict.code).or_insert((0, verdict));
        }
        for (index, (slot, _)) in all.values_mut().enumerate() {
            *slot = index;
        }
        Self { all }
    }

    fn index(&self, code: &str) -> usize {
        self.all.get(code).map_or(0, |(index, _)| *index)
    }
}

fn rule(verdict: &Verdict) -> Value {
    json!({ "id": verdict.code, "name": verdict.name, "shortDescription": { "text": verdict.name } })
}

fn result(finding: &Finding<'_>, rules: &Rules<'_>) -> Value {
    let verdict = finding.verdict;
    let level = match finding.level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Note => "note",
    };
    let mut result = json!({
        "ruleId": verdict.code,
        "ruleIndex": rules.index(&verdict.code),
        "level": level,
        "message": { "text": finding.message() },
        "locations": [location(finding.place(), finding.function())],
        "stacks": stacks(finding),
        "partialFingerprints": { "goStatement/v1": fingerprint(verdict) },
        "properties": properties(finding),
    });
    let related = related(finding);
    if !related.is_empty() {
        result["relatedLocations"] = Value::from(related);
    }
    result
}

/// The `go` statement where another line is shown first, and the places of the other verdicts.
fn related(finding: &Finding<'_>) -> Vec<Value> {
    let verdict = finding.verdict;
    let is_behind = verdict.own_line.as_ref().is_some_and(|own| own.by != Route::GoStatement);
    let by = &verdict.created_by;
    let frame = Frame { function: by.function.clone(), file: by.file.clone(), line: by.line, pc: None };
    let statement = is_behind.then(|| {
        let mut place = location(finding.place_of(&frame), by.function.as_deref());
        place["message"] = json!({ "text": "the `go` statement" });
        place
    });
    let others = finding.others.iter().map(|other| {
        let own = other.own_line.as_ref().map(|own| own.function.as_str());
        let function = own.or(other.created_by.function.as_deref());
        let mut place = location(finding.place_of_verdict(other), function);
        place["message"] = json!({ "text": other.summary });
        place
    });
    statement.into_iter().chain(others).collect()
}

/// What stays the same when lines are added above: the rule and the function with the `go` statement.
fn fingerprint(verdict: &Verdict) -> String {
    let by = verdict.created_by.function.as_deref().unwrap_or("?");
    format!("{}:{by}:{}", verdict.code, verdict.start_function.as_deref().unwrap_or("?"))
}

fn properties(finding: &Finding<'_>) -> Value {
    let Finding { verdict, incident, .. } = finding;
    json!({
        "incident": incident.id,
        "incidentLive": incident.live,
        "severity": verdict.severity.as_str(),
        "live": verdict.live,
        "netPerMinute": verdict.net_per_minute,
        "oldestAgeNs": verdict.oldest_age_ns,
        "waitReason": verdict.wait_reason,
        "evidence": verdict.evidence,
    })
}

fn location(place: Option<SourcePosition<'_>>, function: Option<&str>) -> Value {
    let mut location = json!({});
    if let Some(place) = place {
        location["physicalLocation"] = json!({
            "artifactLocation": artifact(&place),
            "region": { "startLine": place.line.max(1) },
        });
    }
    if let Some(function) = function {
        location["logicalLocations"] = json!([{ "fullyQualifiedName": function, "kind": "function" }]);
    }
    location
}

fn artifact(place: &SourcePosition<'_>) -> Value {
    let path = percent_encoded(place.path);
    if place.is_relative {
        json!({ "uri": path, "uriBaseId": ROOT })
    } else if path.starts_with('/') {
        json!({ "uri": format!("file://{path}") })
    } else {
        json!({ "uri": path })
    }
}

fn stacks(finding: &Finding<'_>) -> Vec<Value> {
    let verdict = finding.verdict;
    let created =
        (!verdict.creation_stack.is_empty()).then(|| stack(finding, "created by", &verdict.creation_stack));
    let stands = verdict.blocked_at.iter().map(|blocked| {
        let words = format!("{}: {}", human::some(blocked.count, "goroutine"), blocked.wait_reason);
        stack(finding, &words, &blocked.stack)
    });
    stands.chain(created).collect()
}

fn stack<'r>(finding: &Finding<'r>, words: &str, frames: &'r [Frame]) -> Value {
    let frame = |frame: &'r Frame| {
        let function = frame.function.as_deref().or(frame.pc.as_deref());
        json!({ "location": location(finding.place_of(frame), function) })
    };
    let frames: Vec<Value> = frames.iter().map(frame).collect();
    json!({ "message": { "text": words }, "frames": frames })
}

/// A path as part of a URI.
fn percent_encoded(path: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=@".contains(&byte);
    let encoded = |byte: u8| match byte {
        byte if is_plain(byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    path.bytes().map(encoded).collect()
}

#[cfg(test)]
mod tests {
    use super::percent_encoded;

    #[test]
    fn a_path_cannot_be_more_than_a_path() {
        assert_eq!(percent_encoded("a b/ü?x#y%z:w.go"), "a%20b/%C3%BC%3Fx%23y%25z%3Aw.go");
    }
}
