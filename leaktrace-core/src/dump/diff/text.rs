//! The difference for people.

use std::io::{self, Write};

use super::{Change, Diff};
use crate::base::escape;
use crate::base::human::duration;
use crate::base::path::base_name;

/// Writes the difference as text, at most `top` of the changed groups.
pub(super) fn render(diff: &Diff, top: usize, out: &mut dyn Write) -> io::Result<()> {
    heading(diff, out)?;
    let shown = diff.changes.len().min(top);
    if shown == 0 && diff.changes.is_empty() {
        return writeln!(out, "\nnothing changed in {}", groups(diff.unchanged));
    }
    writeln!(
        out,
        "\n{:<9} {:>8} {:>8} {:>8} {:>11}  group by {}",
        "",
        "before",
        "after",
        "change",
        "per minute",
        diff.by.as_str()
    )?;
    for change in &diff.changes[..shown] {
        line(change, out)?;
    }
    if shown < diff.changes.len() {
        writeln!(out, "… and {} more that changed", groups(diff.changes.len() - shown))?;
    }
    writeln!(out, "{} did not change", groups(diff.unchanged))
}

fn groups(count: usize) -> String {
    if count == 1 { "1 group".to_owned() } else { format!("{count} groups") }
}

fn heading(diff: &Diff, out: &mut dyn Write) -> io::Result<()> {
    let (before, after) = (&diff.before, &diff.after);
    let program = escape::line(base_name(&after.exe));
    writeln!(
        out,
        "{program}: {} goroutines, then {}, {}",
        before.goroutines,
        after.goroutines,
        elapsed(diff)
    )?;
    if !diff.same_process {
        writeln!(out, "not the same process: pid {}, then pid {}", before.pid, after.pid)?;
    }
    if before.build_id != after.build_id {
        let id = |id: &Option<String>| escape::line(id.as_deref().unwrap_or("unknown")).into_owned();
        writeln!(out, "not the same build: {}, then {}", id(&before.build_id), id(&after.build_id))?;
    }
    Ok(())
}

fn elapsed(diff: &Diff) -> String {
    let elapsed = diff.elapsed_ns();
    let time = duration(elapsed.unsigned_abs());
    if elapsed < 0 {
        format!("{time} earlier (are they in the wrong order?)")
    } else {
        format!("{time} later")
    }
}

fn line(change: &Change, out: &mut dyn Write) -> io::Result<()> {
    let Change { title, before, after, per_minute } = change;
    let rate = per_minute.map_or_else(|| "?".to_owned(), |rate| format!("{rate:+.1}"));
    let (kind, delta) = (change.kind().as_str(), change.delta());
    let title = escape::line(title);
    writeln!(out, "{kind:<9} {before:>8} {after:>8} {delta:>+8} {rate:>11}  {title}")
}
