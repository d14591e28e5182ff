//! `leaktrace diff`: compares two snapshots.

use std::path::Path;

use leaktrace_core::dump::diff::{Diff, diff, render_json, render_text};

use super::destination::Destination;
use super::file;
use crate::cli::{self, Format};
use crate::config::by_ending;

/// Writes how two snapshots differ, and says whether that is more than was allowed.
pub fn run(args: &cli::diff::Diff) -> anyhow::Result<bool> {
    let destination = Destination::open(args.output.as_deref())?;
    let (before, after) = (file::open(&args.before)?, file::open(&args.after)?);
    let diff = diff(&before, &after, args.by, args.include_runtime);
    write(&diff, args, destination)?;
    Ok(args.fail_if_grew.is_some_and(|n| diff.fails_if_grew(n)))
}

fn write(diff: &Diff, args: &cli::diff::Diff, destination: Destination) -> anyhow::Result<()> {
    let top = if args.top == 0 { usize::MAX } else { args.top };
    destination.write(|out| match format(args.format, args.output.as_deref()) {
        Format::Text => render_text(diff, top, out),
        Format::Json => render_json(diff, out),
    })
}

fn format(wish: Option<Format>, file: Option<&Path>) -> Format {
    wish.or_else(|| by_ending(file?)).unwrap_or(Format::Text)
}
