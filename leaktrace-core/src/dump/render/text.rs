//! The groups for people: what the goroutines of each have in common, and one of them to look at.

use std::io::{self, Write};

use super::Options;
use crate::base::human::duration;
use crate::base::human::{bytes, some};
use crate::base::num::Goid;
use crate::base::path::base_name;
use crate::dump::group::{By, Group, group};
use crate::goroutines::Dump;
use crate::goroutines::model::{BlockedOn, Completeness, DumpGoroutine, FunctionKind};

/// How many frames of a stack are shown unless all are asked for: the innermost.
const MAX_FRAMES: usize = 8;
/// Where what belongs to a group begins.
const INDENT: &str = "      ";

pub(super) fn render(dump: &Dump, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let groups = group(dump, options.by, options.include_runtime);
    let count = groups.iter().map(Group::len).sum::<usize>() as u64;
    writeln!(
        out,
        "{} (pid {}, {}) at {}: {} in {} by {}",
        base_name(&dump.target.exe),
        dump.target.pid,
        dump.target.go_version,
        dump.taken_at,
        some(count, "goroutine"),
        some(groups.len() as u64, "group"),
        options.by.as_str()
    )?;
    groups.iter().try_for_each(|group| write_group(dump, group, options, out))?;
    write_completeness(&dump.completeness, out)
}

fn write_group(dump: &Dump, group: &Group, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n{}", dump.sentence(group, options.by))?;
    let Some(example) = group.goroutines(dump).next() else { return Ok(()) };
    if let Some(what) = blocked(dump, example, options.by) {
        let such = if group.each_its_own { "such as " } else { "" };
        writeln!(out, "{INDENT}{such}{what}")?;
    }
    writeln!(out, "{INDENT}{}", facts(dump, group, example))?;
    write_stack(dump, example, options, out)
}

/// What the thing is that all of them wait for, where there is more to say of it than that.
fn blocked(dump: &Dump, example: &DumpGoroutine, by: By) -> Option<String> {
    let blocked = example.blocked_on.filter(|_| by == By::BlockedOn)?;
    match dump.tables.blocked(blocked)? {
        BlockedOn::Sleep { .. } | BlockedOn::NoCases | BlockedOn::NilChannel { .. } => None,
        blocked => Some(dump.blocked_title(blocked)),
    }
}

fn facts(dump: &Dump, group: &Group, example: &DumpGoroutine) -> String {
    let oldest = group.oldest_ns.map(|age| format!("oldest {}", duration(age)));
    let stacks = Some(format!("{} of stacks", bytes(group.stack_bytes)));
    let example = Some(format!("goroutine {} [{}]", example.goid, dump.doing(example)));
    [oldest, stacks, example].into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn write_stack(
    dump: &Dump,
    example: &DumpGoroutine,
    options: &Options,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut frames: Vec<_> = if options.all_frames {
        dump.frames(example.stack).collect()
    } else {
        dump.shown_frames(example.stack).collect()
    };
    let cut = frames.pop_if(|frame| frame.kind == FunctionKind::Cut);
    let shown = if options.all_frames { frames.len() } else { frames.len().min(MAX_FRAMES) };
    for frame in &frames[..shown] {
        writeln!(out, "{INDENT}  {}", dump.place(frame))?;
    }
    if shown < frames.len() {
        writeln!(out, "{INDENT}  … {} more", some((frames.len() - shown) as u64, "frame"))?;
    }
    if let Some(cut) = cut {
        writeln!(out, "{INDENT}  {}", dump.place(&cut))?;
    }
    // As in Go's own text: the first one was started by the runtime.
    match example.created_by.filter(|_| example.goid != Goid(1)) {
        Some(at) => writeln!(out, "{INDENT}  created by {}", dump.creator(Some(at))),
        None => Ok(()),
    }
}

/// What was not seen, if there is anything.
fn write_completeness(completeness: &Completeness, out: &mut dyn Write) -> io::Result<()> {
    let counts = [
        (completeness.unreadable, "could not be read"),
        (completeness.moved, "ran while being read (stack unknown)"),
        (completeness.beyond_limit, "were beyond the limit"),
        (completeness.filtered_out, "were filtered out"),
    ];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let counts = counts.map(|(count, what)| format!("{} {what}", some(count, "goroutine")));
    let notes: Vec<_> = counts.chain(completeness.notes.iter().cloned()).collect();
    notes.iter().enumerate().try_for_each(|(index, note)| {
        let gap = if index == 0 { "\n" } else { "" };
        writeln!(out, "{gap}note: {note}")
    })
}
