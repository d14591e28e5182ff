//! What the formats for other tools have in common: how grave a verdict is, where it is shown and in which words.

use std::borrow::Cow;

use crate::base::{escape, human};
use crate::judge::detect::Gate;
use crate::report::source;
use crate::schema::SourceLine;
use crate::schema::{Frame, Incident, Report};
use crate::schema::{Severity, Verdict};

/// How grave a verdict is to whoever reads only that; the gravest is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Error,
    Warning,
    Note,
}

/// A file and a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SourcePosition<'r> {
    /// Relative to the root of the repository if `is_relative`, else as the binary has it.
    pub(super) path: &'r str,
    pub(super) line: u32,
    pub(super) is_relative: bool,
}

/// How many of the other verdicts of an incident are told.
const OTHERS: usize = 20;

/// An incident as other tools show it.
pub(super) struct Finding<'r> {
    pub(super) incident: &'r Incident,
    /// The verdict that leads it.
    pub(super) verdict: &'r Verdict,
    /// Its other verdicts.
    pub(super) others: &'r [Verdict],
    pub(super) level: Level,
    /// Whether it counts as failed, where something either fails or not.
    pub(super) fails: bool,
    sources: &'r [SourceLine],
}

/// What is found in a report, in its order.
pub(super) fn findings<'r>(report: &'r Report, gate: &'r Gate) -> impl Iterator<Item = Finding<'r>> {
    report.incidents.iter().filter_map(|incident| {
        let (verdict, others) = incident.lead()?;
        let levels = incident.verdicts.iter().map(|verdict| level(verdict, gate));
        Some(Finding {
            incident,
            verdict,
            others,
            level: levels.min().unwrap_or(Level::Note),
            fails: gate.fails_any(&incident.verdicts)
                || gate.is_open() && incident.severity <= Severity::Likely,
            sources: &report.sources,
        })
    })
}

/// An error is what the user wants to fail on, or what is certain where nothing was said.
fn level(verdict: &Verdict, gate: &Gate) -> Level {
    match verdict.severity {
        _ if gate.fails(verdict) => Level::Error,
        Severity::Certain if gate.is_open() => Level::Error,
        Severity::Certain | Severity::Likely => Level::Warning,
        Severity::Watch => Level::Note,
    }
}

impl<'r> Finding<'r> {
    /// `LT002 likely leak: one-sided-channel`.
    pub(super) fn title(&self) -> String {
        let Verdict { code, name, severity, .. } = self.verdict;
        let what = match severity {
            Severity::Certain => "certain leak",
            Severity::Likely => "likely leak",
            Severity::Watch => "worth a look",
        };
        format!("{code} {what}: {name}")
    }

    /// What was found, why, what to do and where else it shows, a paragraph each.
    pub(super) fn message(&self) -> String {
        let Verdict { summary, cause, remedy, .. } = self.verdict;
        let parts = [summary, cause, remedy].map(|part| escape::line(part.trim()));
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        let others = self.others.iter().take(OTHERS).map(|other| {
            let Verdict { code, severity, summary, .. } = other;
            escape::line(&format!("also {code} {}: {summary}", severity.as_str())).into_owned().into()
        });
        let more = self.others.len().saturating_sub(OTHERS) as u64;
        let more = (more > 0).then(|| format!("and {}", human::some(more, "more `go` statement")).into());
        parts.chain(others).chain(more).collect::<Vec<Cow<'_, str>>>().join("\n")
    }

    /// The function to look at first.
    pub(super) fn function(&self) -> Option<&'r str> {
        let own = self.verdict.own_line.as_ref().map(|own| own.function.as_str());
        own.or(self.verdict.created_by.function.as_deref())
    }

    /// Where it is shown: the user's own line, or else the `go` statement, if it is in the repository, else the nearest
    /// place that led to it or at which the goroutines stand that is; else the line or the statement as the binary has it.
    pub(super) fn place(&self) -> Option<SourcePosition<'r>> {
        self.place_of_verdict(self.verdict)
    }

    /// Where one of its verdicts is shown.
    pub(super) fn place_of_verdict(&self, verdict: &'r Verdict) -> Option<SourcePosition<'r>> {
        let own = verdict.own_line.as_ref().map(|own| (&own.file, own.line));
        let by = &verdict.created_by;
        let frames = verdict.creation_stack.iter();
        let stands = verdict.blocked_at.iter().flat_map(|blocked| &blocked.stack);
        let others = frames.chain(stands).map(|frame| (&frame.file, frame.line));
        let mut all = own.into_iter().chain(std::iter::once((&by.file, by.line))).chain(others);
        let (file, line) = own.unwrap_or((&by.file, by.line));
        all.find_map(|(file, line)| self.in_repository(file.as_deref()?, line?))
            .or_else(|| as_it_is(file.as_deref(), line))
    }

    /// Where a frame is shown.
    pub(super) fn place_of<'f>(&self, frame: &'f Frame) -> Option<SourcePosition<'f>>
    where
        'r: 'f,
    {
        let (file, line) = (frame.file.as_deref()?, frame.line?);
        let below = || Some(SourcePosition { path: self.below_root(file)?, line, is_relative: true });
        let in_repository = self.in_repository(file, line).or_else(below);
        in_repository.or_else(|| as_it_is(Some(file), Some(line)))
    }

    /// What is left of a file in the repository, of which no line was looked up, but some of another file there.
    fn below_root<'f>(&self, file: &'f str) -> Option<&'f str> {
        let root = |source: &'r SourceLine| source.file.strip_suffix(&source.path);
        let mut roots =
            self.sources.iter().filter_map(root).filter(|root| !root.trim_matches('/').is_empty());
        roots.find_map(|root| file.strip_prefix(root))
    }

    fn in_repository(&self, file: &str, line: u32) -> Option<SourcePosition<'r>> {
        let found = source::find(self.sources, file, line)?;
        Some(SourcePosition { path: &found.path, line, is_relative: true })
    }
}

fn as_it_is(file: Option<&str>, line: Option<u32>) -> Option<SourcePosition<'_>> {
    Some(SourcePosition { path: file?, line: line?, is_relative: false })
}
