//! `leaktrace diff`: compares two snapshots.

use leaktrace_core::dump::diff::{Diff, FORMATS, diff};

use super::destination::Destination;
use super::file::Recorded;
use super::subject::Subject as _;
use crate::cli;
use crate::output::Content;

/// Writes how two snapshots differ, and says why that is more than was allowed, if it is.
pub fn run(args: &cli::diff::Diff) -> anyhow::Result<Option<String>> {
    let destination = Destination::open(args.output.as_deref(), Content::Names)?;
    let dump = |path| Recorded { path }.dump(false);
    let (before, after) = (dump(&args.before)?, dump(&args.after)?);
    let diff = diff(&before, &after, args.by, args.include_runtime);
    write(&diff, args, destination)?;
    Ok(args.fail_if_grew.and_then(|n| diff.grown_too_much(n)))
}

fn write(diff: &Diff, args: &cli::diff::Diff, destination: Destination) -> anyhow::Result<()> {
    let top = if args.top == 0 { usize::MAX } else { args.top };
    let by_file = || FORMATS.of_file(args.output.as_deref()?);
    let format = args.format.or_else(by_file).unwrap_or(FORMATS.default_format());
    destination.write(|out| (format.writer)(diff, top, out))
}
