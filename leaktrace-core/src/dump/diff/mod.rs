//! What changed between two dumps: which groups of goroutines appeared, grew, shrank or vanished.
//!
//! Groups are matched by the names of functions and never by address or line, so the two dumps may be of
//! different processes and of different builds of a program.

mod json;
mod keys;
mod text;

use std::io::{self, Write};

use super::group::By;
use crate::base::format::{self, Audience, Formats};
use crate::base::hash::KeyedMap;
use crate::base::human;
use crate::base::num::Tgid;
use crate::base::time::per_minute;
use crate::goroutines::Dump;
use crate::goroutines::model::UnixTime;
use keys::Keys;

/// Writes a difference in one format; those for people show so many groups at most.
pub type Writer = fn(&Diff, usize, &mut dyn Write) -> io::Result<()>;

/// A format of differences.
pub type Format = format::Format<Writer>;

/// Every format of differences, a row each.
pub static FORMATS: Formats<Writer> = Formats::new(&[
    Format {
        name: "text",
        extensions: &[".txt"],
        help: "Text for people",
        reader: Audience::People,
        writer: text::render,
    },
    Format {
        name: "json",
        extensions: &[".json"],
        help: "JSON for programs",
        reader: Audience::Programs,
        writer: json::render,
    },
]);

/// The version of the JSON that `json` writes.
pub const SCHEMA_VERSION: u32 = 1;

/// How the dumps differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Diff {
    /// What the goroutines of a group have in common.
    pub by: By,
    /// The earlier dump.
    pub before: Side,
    /// The later dump.
    pub after: Side,
    /// Whether both are of one process, rather than of one before and after a restart.
    pub same_process: bool,
    /// The groups whose numbers differ, the one that grew most first.
    pub changes: Vec<Change>,
    /// How many groups have the same number of goroutines in both.
    pub unchanged: usize,
}

/// One of the two dumps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// When it was taken.
    pub taken_at: UnixTime,
    /// Of which program.
    pub exe: String,
    /// Of which process.
    pub pid: Tgid,
    /// Of which build.
    pub build_id: Option<String>,
    /// How many goroutines it has.
    pub goroutines: u64,
}

/// What became of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// There was none before.
    Appeared,
    /// There are more.
    Grew,
    /// There are fewer.
    Shrank,
    /// There is none any more.
    Vanished,
}

impl ChangeKind {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Appeared => "appeared",
            Self::Grew => "grew",
            Self::Shrank => "shrank",
            Self::Vanished => "vanished",
        }
    }
}

/// A group whose number of goroutines changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What its goroutines have in common, in one line.
    pub title: String,
    /// How many there were.
    pub before: u64,
    /// How many there are.
    pub after: u64,
    /// How many more there are for each minute that lies between; `None` if no time does.
    pub per_minute: Option<f64>,
}

impl Change {
    /// How many more there are, negative if there are fewer.
    pub fn delta(&self) -> i64 {
        self.after.wrapping_sub(self.before).cast_signed()
    }

    /// What became of it.
    pub fn kind(&self) -> ChangeKind {
        match (self.before, self.after) {
            (0, _) => ChangeKind::Appeared,
            (_, 0) => ChangeKind::Vanished,
            (before, after) if after > before => ChangeKind::Grew,
            _ => ChangeKind::Shrank,
        }
    }
}

impl Diff {
    /// Nanoseconds between the dumps, negative if they are given the wrong way round.
    pub(crate) fn elapsed_ns(&self) -> i64 {
        self.after.taken_at.since(self.before.taken_at)
    }

    /// The groups that have at least `n` goroutines more than before: what `--fail-if-grew N` fails for. One
    /// more is the least that counts as growth.
    pub(crate) fn grown_by(&self, n: u64) -> impl Iterator<Item = &Change> {
        let n = n.max(1);
        self.changes.iter().filter(move |change| change.after.saturating_sub(change.before) >= n)
    }

    /// Why `--fail-if-grew N` fails, if it does.
    pub fn grown_too_much(&self, n: u64) -> Option<String> {
        let worst = self.grown_by(n).max_by_key(|change| change.delta())?;
        let groups = human::some(self.grown_by(n).count() as u64, "group");
        let (limit, delta) = (human::some(n.max(1), "goroutine"), human::count(worst.delta().unsigned_abs()));
        Some(format!("{groups} grew by {limit} or more, the most by {delta}: {}", worst.title))
    }
}

/// Compares two dumps; the runtime's own goroutines count only on request.
pub fn diff(before: &Dump, after: &Dump, by: By, include_runtime: bool) -> Diff {
    let mut counts: KeyedMap<String, [u64; 2]> = KeyedMap::default();
    count(before, by, include_runtime, 0, &mut counts);
    count(after, by, include_runtime, 1, &mut counts);
    let elapsed_ns = after.taken_at.since(before.taken_at);
    let groups = counts.len();
    let changed = counts.into_iter().filter(|(_, [before, after])| before != after);
    let mut changes: Vec<_> = changed
        .map(|(title, [before, after])| {
            let per_minute = per_minute(after, before, u64::try_from(elapsed_ns).unwrap_or(0));
            Change { title, before, after, per_minute }
        })
        .collect();
    changes.sort_by(|a, b| b.delta().cmp(&a.delta()).then_with(|| a.title.cmp(&b.title)));
    Diff {
        by,
        before: side(before, include_runtime),
        after: side(after, include_runtime),
        same_process: is_same_process(before, after),
        unchanged: groups - changes.len(),
        changes,
    }
}

fn count(dump: &Dump, by: By, include_runtime: bool, side: usize, counts: &mut KeyedMap<String, [u64; 2]>) {
    let mut keys = Keys::new(dump, by);
    for goroutine in dump.listed(include_runtime) {
        counts.entry(keys.key(goroutine)).or_default()[side] += 1;
    }
}

fn side(dump: &Dump, include_runtime: bool) -> Side {
    Side {
        taken_at: dump.taken_at,
        exe: dump.target.exe.clone(),
        pid: dump.target.pid,
        build_id: dump.target.build_id.clone(),
        goroutines: dump.listed(include_runtime).count() as u64,
    }
}

/// Whether the two are of one process. A pid alone says nothing: it may have been used again, or belong to
/// another machine.
fn is_same_process(before: &Dump, after: &Dump) -> bool {
    let (a, b) = (&before.target, &after.target);
    a.pid == b.pid && a.hostname == b.hostname && a.started_at.is_some() && a.started_at == b.started_at
}
