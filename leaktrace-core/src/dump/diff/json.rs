//! The difference as JSON, described in `docs/dump.md`.

use std::io::{self, Write};

use serde::Serialize;

use super::{Change, Diff, SCHEMA_VERSION, Side};
use crate::base::json::Visible;

/// Writes the difference as JSON.
pub(super) fn render(diff: &Diff, _: usize, out: &mut dyn Write) -> io::Result<()> {
    let document = Document {
        schema_version: SCHEMA_VERSION,
        grouped_by: diff.by.as_str(),
        before: SideJson::of(&diff.before),
        after: SideJson::of(&diff.after),
        elapsed_ns: diff.elapsed_ns(),
        same_process: diff.same_process,
        changes: diff.changes.iter().map(ChangeJson::of).collect(),
        unchanged: diff.unchanged,
    };
    serde_json::to_writer_pretty(Visible(out), &document)?;
    writeln!(out)
}

#[derive(Serialize)]
struct Document<'d> {
    schema_version: u32,
    grouped_by: &'static str,
    before: SideJson<'d>,
    after: SideJson<'d>,
    elapsed_ns: i64,
    same_process: bool,
    changes: Vec<ChangeJson<'d>>,
    unchanged: usize,
}

#[derive(Serialize)]
struct SideJson<'d> {
    taken_at: String,
    exe: &'d str,
    pid: u32,
    build_id: Option<&'d str>,
    goroutines: u64,
}

impl<'d> SideJson<'d> {
    fn of(side: &'d Side) -> Self {
        let Side { taken_at, exe, pid, build_id, goroutines } = side;
        Self {
            taken_at: taken_at.to_string(),
            exe,
            pid: pid.0,
            build_id: build_id.as_deref(),
            goroutines: *goroutines,
        }
    }
}

#[derive(Serialize)]
struct ChangeJson<'d> {
    change: &'static str,
    group: &'d str,
    before: u64,
    after: u64,
    delta: i64,
    per_minute: Option<f64>,
}

impl<'d> ChangeJson<'d> {
    fn of(change: &'d Change) -> Self {
        Self {
            change: change.kind().as_str(),
            group: &change.title,
            before: change.before,
            after: change.after,
            delta: change.delta(),
            per_minute: change.per_minute,
        }
    }
}
