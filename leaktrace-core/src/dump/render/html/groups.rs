//! The rows of the table.

use serde::Serialize;

use crate::base::escape::shown;
use crate::base::human::duration;
use crate::dump::group::{By, Group, group};
use crate::dump::render::Options;
use crate::dump::render::elision::{elided, elision};
use crate::goroutines::Dump;
use crate::goroutines::model::{DumpGoroutine, FunctionKind};
use crate::goroutines::text_rules::TextRules;

/// How many groups of each kind are on the page, the greatest ones.
const MAX_GROUPS: usize = 1_000;
/// How many frames of a stack are on the page, the innermost ones.
const MAX_FRAMES: usize = 200;
/// How many goroutines a row names.
const MAX_GOIDS: usize = 20;

/// The groups of one kind.
#[derive(Serialize)]
pub(super) struct Grouping {
    by: &'static str,
    groups: Vec<GroupRow>,
    /// How many further groups there are.
    more: usize,
}

#[derive(Serialize)]
struct GroupRow {
    count: usize,
    title: String,
    doing: String,
    oldest: Option<u64>,
    age: String,
    bytes: u64,
    blocked: String,
    creator: String,
    labels: String,
    goids: Vec<u64>,
    /// The frames of one of them, and whether Go's own tracebacks hide them.
    stack: Vec<(String, bool)>,
}

impl Grouping {
    pub(super) fn of(dump: &Dump, by: By, options: &Options) -> Self {
        let groups = group(dump, by, options.include_runtime);
        let more = groups.len().saturating_sub(MAX_GROUPS);
        let groups = groups.into_iter().take(MAX_GROUPS);
        let groups = groups.filter_map(|group| GroupRow::of(dump, group)).collect();
        Self { by: by.as_str(), groups, more }
    }
}

impl GroupRow {
    fn of(dump: &Dump, group: Group) -> Option<Self> {
        let example = group.goroutines(dump).next()?;
        let blocked = example.blocked_on.and_then(|id| dump.tables.blocked(id));
        Some(Self {
            count: group.len(),
            doing: doing(dump, &group),
            oldest: group.oldest_ns,
            age: group.oldest_ns.map(duration).unwrap_or_default(),
            bytes: group.stack_bytes,
            blocked: blocked.map(|blocked| dump.blocked_title(blocked)).unwrap_or_default(),
            creator: example.created_by.map(|at| dump.creator(Some(at))).unwrap_or_default(),
            labels: labels(dump, example),
            goids: group.goroutines(dump).take(MAX_GOIDS).map(|goroutine| goroutine.goid.0).collect(),
            stack: stack(dump, example),
            title: group.title,
        })
    }
}

/// What the goroutines of a group do, the most frequent first.
fn doing(dump: &Dump, group: &Group) -> String {
    let mut counts: Vec<_> = dump.count_doing(group.goroutines(dump)).into_iter().collect();
    counts.sort_by_key(|&(doing, count)| (std::cmp::Reverse(count), doing));
    if let [(doing, _)] = counts[..] {
        return doing.to_owned();
    }
    let parts: Vec<_> = counts.iter().map(|(doing, count)| format!("{count} {doing}")).collect();
    parts.join(", ")
}

fn labels(dump: &Dump, goroutine: &DumpGoroutine) -> String {
    let label = |(key, value)| shown(format_args!("{key}={value}"));
    dump.labels(goroutine).map(label).collect::<Vec<_>>().join(", ")
}

fn stack(dump: &Dump, goroutine: &DumpGoroutine) -> Vec<(String, bool)> {
    let rules = TextRules::of(&dump.target.go_version);
    let (mut callee, mut first) = (FunctionKind::Normal, true);
    let frames = dump.frames(goroutine.stack).map(|frame| {
        let shown = rules.shows(&frame, callee, first);
        callee = frame.kind;
        first &= !shown;
        let name = dump.printed_name(frame.function);
        let text = match frame.kind {
            FunctionKind::Cut => dump.place(&frame),
            _ => format!("{name}  {}:{}", frame.file, frame.line),
        };
        (text, !shown)
    });
    elided(frames.collect(), MAX_FRAMES, |count| (elision(count), false))
}
