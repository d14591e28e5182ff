//! The verdicts as text: the sentence, the cause, the remedy, and the two stacks.

use super::line::Line;
use super::paint::Role;
use super::text::{labelled, location, name, unlabelled};
use crate::detect::{Severity, Verdict};
use crate::report::Frame;

/// How many frames of a stack are shown.
const FRAMES: usize = 12;

/// Functions are padded to the longest of a stack, but not beyond this.
const MAX_FUNCTION_WIDTH: usize = 64;

/// All verdicts, each with an empty line behind it.
pub(super) fn lines(verdicts: &[Verdict]) -> Vec<Line> {
    verdicts.iter().flat_map(|verdict| one(verdict).into_iter().chain([Line::new()])).collect()
}

fn one(verdict: &Verdict) -> Vec<Line> {
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
    if verdict.severity != Severity::Watch {
        lines.extend(stack("created by", &verdict.creation_stack));
        let blocked = verdict.blocked_at.first().map_or(&[][..], |blocked| &blocked.stack);
        lines.extend(stack(if verdict.wait_reason.is_empty() { "stands at" } else { "blocked at" }, blocked));
    }
    lines
}

const fn words(severity: Severity) -> &'static str {
    match severity {
        Severity::Certain => "certain leak",
        Severity::Likely => "likely leak",
        Severity::Watch => "watch",
    }
}

fn stack(label: &str, frames: &[Frame]) -> Vec<Line> {
    let shown = &frames[..frames.len().min(FRAMES)];
    let width = shown.iter().map(|frame| name(frame).chars().count()).max().unwrap_or(0);
    let mut lines: Vec<Line> = Vec::new();
    for frame in shown {
        let line = if lines.is_empty() { labelled(label) } else { unlabelled() };
        lines.push(location(line, frame, width.min(MAX_FUNCTION_WIDTH)));
    }
    if frames.len() > FRAMES {
        let more = frames.len() - FRAMES;
        lines.push(unlabelled().role(Role::Faint, format_args!("and {more} more")));
    }
    lines
}
