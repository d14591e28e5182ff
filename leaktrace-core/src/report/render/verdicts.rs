//! The verdicts as text: the sentence, the cause, the remedy, and the two stacks.

use super::line::Line;
use super::paint::Role;
use super::text::{labelled, location, name, unlabelled};
use crate::base::human;
use crate::base::path::base_name;
use crate::base::time::SECOND_NS;
use crate::report::source;
use crate::schema::{Blame, SourceLine};
use crate::schema::{Frame, Incident, Location, Report, Route, Shared};
use crate::schema::{Severity, Verdict};

/// How many frames of a stack are shown.
const FRAMES: usize = 12;

/// Functions are padded to the longest of a stack, but not beyond this.
const MAX_FUNCTION_WIDTH: usize = 64;

/// How many of the other verdicts of an incident are listed.
const OTHERS: usize = 5;

/// All incidents of a report, each with an empty line behind it.
pub(super) fn lines(report: &Report) -> Vec<Line> {
    report
        .incidents
        .iter()
        .flat_map(|incident| one(incident, report).into_iter().chain([Line::new()]))
        .collect()
}

fn one(incident: &Incident, report: &Report) -> Vec<Line> {
    let Some((verdict, others)) = incident.lead() else { return Vec::new() };
    let title = Line::new()
        .role(role(verdict.severity), format_args!("{} {}", verdict.code, words(verdict.severity)))
        .text(format_args!(": {}", verdict.summary));
    let mut lines = vec![title];
    lines.extend(together(incident));
    lines.push(labelled("cause").text(&verdict.cause));
    lines.push(labelled("remedy").text(&verdict.remedy));
    lines.extend(outlook(incident));
    let stacks = StackLines { sources: &report.sources, unix_ns: report.window.ended_unix_ns };
    lines.extend(own_line(incident, &stacks));
    if verdict.severity != Severity::Watch {
        lines.extend(stacks.lines("created by", creation(verdict).as_slice()));
        let blocked = verdict.blocked_at.first().map_or(&[][..], |blocked| &blocked.stack);
        let label = if verdict.wait_reason.is_empty() { "now at" } else { "blocked at" };
        lines.extend(stacks.lines(label, blocked));
    }
    lines.extend(also(others));
    lines
}

const fn role(severity: Severity) -> Role {
    match severity {
        Severity::Certain | Severity::Likely => Role::Alarm,
        Severity::Watch => Role::Label,
    }
}

/// `8,400 goroutines of 400 go statements that wait for the same object, +12,000/min`
fn together(incident: &Incident) -> Option<Line> {
    let statements = incident.verdicts.len() as u64;
    let growth = incident.net_per_minute.filter(|net| *net != 0.0);
    let growth = growth.map_or_else(String::new, |net| format!(", {}", human::rate(net)));
    let why: Vec<&str> = incident.shared.iter().map(|shared| why(*shared)).collect();
    (statements > 1).then(|| {
        labelled("together").text(format_args!(
            "{} of {} that {}{growth} · {} of stacks",
            human::some(incident.live, "goroutine"),
            human::some(statements, "`go` statement"),
            why.join(" and "),
            human::bytes(incident.stack_bytes),
        ))
    })
}

const fn why(shared: Shared) -> &'static str {
    match shared {
        Shared::Object => "wait for the same object",
        Shared::OwnLine => "come from the same line",
        Shared::Lineage => "start each other",
    }
}

/// The line of the user's to look at, where it is not the `go` statement.
fn own_line(incident: &Incident, stacks: &StackLines<'_>) -> Vec<Line> {
    let own = incident.own_line.as_ref().filter(|own| own.by != Route::GoStatement);
    let frame = own.map(|own| Frame {
        function: Some(own.function.clone()),
        file: own.file.clone(),
        line: own.line,
        pc: None,
    });
    stacks.lines("your line", frame.as_slice())
}

/// The other verdicts, a line each.
fn also(others: &[Verdict]) -> Vec<Line> {
    let listed = &others[..others.len().min(OTHERS)];
    let width = listed.iter().map(|other| human::count(other.live).len()).max().unwrap_or(0);
    let mut lines: Vec<Line> = Vec::new();
    for other in listed {
        let line = if lines.is_empty() { labelled("also") } else { unlabelled() };
        let line = line.text(format_args!("{:>width$} ", human::count(other.live)));
        let line = match &other.own_line {
            Some(own) if own.by != Route::GoStatement => {
                line.text(place(&own.function, own.file.as_deref(), own.line)).text(" by ")
            }
            Some(_) | None => line,
        };
        let by = &other.created_by;
        let statement = place(by.function.as_deref().unwrap_or("unknown code"), by.file.as_deref(), by.line);
        let severity = other.severity.as_str();
        lines.push(line.text(statement).role(Role::Faint, format_args!("  {} {severity}", other.code)));
    }
    if others.len() > listed.len() {
        let more = &others[listed.len()..];
        let live = more.iter().map(|other| other.live).fold(0, u64::saturating_add);
        let live = human::some(live, "goroutine");
        let more = human::some(more.len() as u64, "more `go` statement");
        lines.push(unlabelled().role(Role::Faint, format_args!("and {more} with {live}")));
    }
    lines
}

/// `main.fetch (main.go:85)`
fn place(function: &str, file: Option<&str>, line: Option<u32>) -> String {
    match file.zip(line) {
        Some((file, line)) => format!("{function} ({}:{line})", base_name(file)),
        None => function.to_owned(),
    }
}

/// The stack that created the goroutines; the `go` statement where no more is known.
fn creation(verdict: &Verdict) -> Vec<Frame> {
    let Location { function, file, line, pc: _ } = verdict.created_by.clone();
    match function {
        Some(_) if verdict.creation_stack.is_empty() => vec![Frame { function, file, line, pc: None }],
        _ => verdict.creation_stack.clone(),
    }
}

/// What will be if it goes on like this.
fn outlook(incident: &Incident) -> Option<Line> {
    let number = |verdict: &Verdict, name: &str| {
        verdict.evidence.get(name).and_then(serde_json::Value::as_f64).filter(|number| *number > 0.0)
    };
    let hours = match &incident.verdicts[..] {
        [only] => number(only, "hours_until_10000"),
        _ => hours_until_10000(incident),
    };
    let many = hours.map(|hours| format!("10,000 goroutines in {}", human::duration(whole(hours * 3600e9))));
    let a_day: f64 =
        incident.verdicts.iter().filter_map(|verdict| number(verdict, "stack_bytes_per_day")).sum();
    let memory = (a_day > 0.0).then(|| format!("{} more stack memory a day", human::bytes(whole(a_day))));
    let parts: Vec<String> = many.into_iter().chain(memory).collect();
    (!parts.is_empty()).then(|| labelled("outlook").text(parts.join(" · ")))
}

/// When there will be so many of all together.
#[expect(clippy::cast_precision_loss, reason = "less than 10,000")]
fn hours_until_10000(incident: &Incident) -> Option<f64> {
    let missing = 10_000_u64.checked_sub(incident.live)? as f64;
    let net = incident.net_per_minute.filter(|net| *net > 0.0)?;
    Some(missing / net / 60.0)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and an estimate")]
const fn whole(number: f64) -> u64 {
    number as u64
}

const fn words(severity: Severity) -> &'static str {
    match severity {
        Severity::Certain => "certain leak",
        Severity::Likely => "likely leak",
        Severity::Watch => "watch",
    }
}

/// Shows stacks, with the lines of source code that are at hand.
struct StackLines<'r> {
    sources: &'r [SourceLine],
    /// When the report was made, in nanoseconds since 1970.
    unix_ns: Option<u64>,
}

impl StackLines<'_> {
    fn lines(&self, label: &str, frames: &[Frame]) -> Vec<Line> {
        let shown = &frames[..frames.len().min(FRAMES)];
        let width = shown.iter().map(|frame| name(frame).chars().count()).max().unwrap_or(0);
        let mut lines: Vec<Line> = Vec::new();
        for frame in shown {
            let line = if lines.is_empty() { labelled(label) } else { unlabelled() };
            lines.push(location(line, frame, width.min(MAX_FUNCTION_WIDTH)));
            lines.extend(self.source(frame));
        }
        if frames.len() > FRAMES {
            let more = frames.len() - FRAMES;
            lines.push(unlabelled().role(Role::Faint, format_args!("and {more} more")));
        }
        lines
    }

    /// What the frame's line says, and who wrote it.
    fn source(&self, frame: &Frame) -> Option<Line> {
        let found = source::find(self.sources, frame.file.as_deref()?, frame.line?)?;
        let line = unlabelled().role(Role::Strong, format_args!("  > {}", found.text.as_deref()?));
        Some(match &found.blame {
            Some(blame) => line.role(Role::Faint, format_args!("   {}", self.blame(blame))),
            None => line,
        })
    }

    /// `3f21165 Jo Doe, 12d 3h ago: Process orders in the background`
    fn blame(&self, blame: &Blame) -> String {
        let commit = blame.commit.as_deref().and_then(|hash| hash.get(..10)).unwrap_or("not committed");
        let written =
            u64::try_from(blame.author_unix).ok().and_then(|seconds| seconds.checked_mul(SECOND_NS));
        let age =
            self.unix_ns.zip(written).map(|(now, written)| human::duration(now.saturating_sub(written)));
        let age = age.map_or_else(String::new, |age| format!(", {age} ago"));
        format!("{commit} {}{age}: {}", blame.author, blame.summary)
    }
}
