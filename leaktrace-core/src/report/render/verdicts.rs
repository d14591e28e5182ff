//! The verdicts as text: the sentence, the cause, the remedy, and the two stacks.

use super::line::Line;
use super::paint::Role;
use super::text::{labelled, location, name, unlabelled};
use crate::base::human;
use crate::base::time::SECOND_NS;
use crate::report::source;
use crate::schema::{Blame, SourceLine};
use crate::schema::{Frame, Location, Report};
use crate::schema::{Severity, Verdict};

/// How many frames of a stack are shown.
const FRAMES: usize = 12;

/// Functions are padded to the longest of a stack, but not beyond this.
const MAX_FUNCTION_WIDTH: usize = 64;

/// All verdicts of a report, each with an empty line behind it.
pub(super) fn lines(report: &Report) -> Vec<Line> {
    report.verdicts.iter().flat_map(|verdict| one(verdict, report).into_iter().chain([Line::new()])).collect()
}

fn one(verdict: &Verdict, report: &Report) -> Vec<Line> {
    let role = match verdict.severity {
        Severity::Certain | Severity::Likely => Role::Alarm,
        Severity::Watch => Role::Label,
    };
    let title = Line::new()
        .role(role, format_args!("{} {}", verdict.code, words(verdict.severity)))
        .text(format_args!(": {}", verdict.summary));
    let mut lines = vec![title];
    lines.push(labelled("cause").text(&verdict.cause));
    lines.push(labelled("remedy").text(&verdict.remedy));
    lines.extend(outlook(verdict));
    if verdict.severity != Severity::Watch {
        let stacks = StackLines { sources: &report.sources, unix_ns: report.window.ended_unix_ns };
        lines.extend(stacks.lines("created by", creation(verdict).as_slice()));
        let blocked = verdict.blocked_at.first().map_or(&[][..], |blocked| &blocked.stack);
        let label = if verdict.wait_reason.is_empty() { "now at" } else { "blocked at" };
        lines.extend(stacks.lines(label, blocked));
    }
    lines
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
fn outlook(verdict: &Verdict) -> Option<Line> {
    let number = |name: &str| verdict.evidence.get(name)?.as_f64().filter(|number| *number > 0.0);
    let many = number("hours_until_10000")
        .map(|hours| format!("10,000 goroutines in {}", human::duration(whole(hours * 3600e9))));
    let memory = number("stack_bytes_per_day")
        .map(|bytes| format!("{} more stack memory a day", human::bytes(whole(bytes))));
    let parts: Vec<String> = many.into_iter().chain(memory).collect();
    (!parts.is_empty()).then(|| labelled("outlook").text(parts.join(" · ")))
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
