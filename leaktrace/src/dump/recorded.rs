//! `leaktrace report` on a recording: the report of the trace, or one of its snapshots.

use std::io::BufReader;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use leaktrace_core::dump::render::FORMATS;
use leaktrace_core::go::goroutines::Snapshot;
use leaktrace_core::goroutines::Dump;
use leaktrace_core::judge::detect::Gate;
use leaktrace_core::report::Witness;
use leaktrace_core::report::render::{self, Format, Options, Style};
use leaktrace_core::trace::recording::Replay;

use super::config::{DumpConfig, DumpConfigError, only_of_snapshot};
use super::destination::Destination;
use super::file::Input;
use crate::cli::Common;
use crate::cli::report::Report;
use crate::config::{System, View, color};
use crate::output::Content;

/// The last snapshot of a recording, or the last one that was taken no later than `at` after its beginning.
pub(super) fn snapshot(path: &Path, input: Input, at: Option<Duration>) -> anyhow::Result<Dump> {
    let dump = replay(path, input, at, &mut |_, _| {})?.dump();
    dump.with_context(|| format!("cannot open {}", path.display()))
}

/// Writes what is wanted of a recording.
pub(super) fn report(args: &Report, input: Input, common: &Common, system: &System) -> anyhow::Result<()> {
    let config = match wish(args) {
        Wish::Trace(format) => return trace(args, input, format, common, system),
        Wish::Snapshot => DumpConfig::resolve(&args.wanted, system)?,
    };
    let destination = config.open()?;
    super::write(snapshot(&args.file, input, args.recording.at)?, &config, destination)
}

fn trace(
    args: &Report,
    input: Input,
    format: &Format,
    common: &Common,
    system: &System,
) -> anyhow::Result<()> {
    if let Some(option) = only_of_snapshot(&args.wanted) {
        return Err(DumpConfigError::OfSnapshot { option, path: args.file.clone() }.into());
    }
    let destination = Destination::open(args.wanted.output.as_deref(), Content::Names)?;
    let mut witness = Witness::default();
    let seen = &mut |walk: &_, snapshot: &[u8]| witness.observe(walk, snapshot);
    let replay = replay(&args.file, input, args.recording.at, seen)?;
    let view = view(args, format);
    let mut report =
        leaktrace_core::report::recorded(&replay, &witness, &view.of_report(), &args.recording.own);
    report.keep_first(view.incidents);
    let colored = args.wanted.output.is_none() && color(common.color, system);
    let style = if colored { Style::Ansi } else { Style::Plain };
    let options = Options { style, width: None, gate: &Gate::default() };
    destination.write(|out| (format.writer.report)(&report, &options, out))
}

fn replay(
    path: &Path,
    input: Input,
    at: Option<Duration>,
    witness: &mut dyn FnMut(&Snapshot, &[u8]),
) -> anyhow::Result<Replay> {
    let after = at.map(|at| u64::try_from(at.as_nanos()).unwrap_or(u64::MAX));
    let replay = Replay::run_before(BufReader::with_capacity(1 << 18, input), after, witness);
    replay.with_context(|| format!("cannot open {}", path.display()))
}

/// What is wanted of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// What the trace would have reported, in this format.
    Trace(&'static Format),
    /// What its snapshot shows.
    Snapshot,
}

/// The trace, in the formats that it has, unless the snapshot is asked for by name or by a format of its own.
fn wish(args: &Report) -> Wish {
    if args.recording.snapshot {
        return Wish::Snapshot;
    }
    let by_file = || {
        FORMATS.of_file(args.wanted.output.as_deref()?).filter(|format| *format != FORMATS.default_format())
    };
    let Some(wanted) = args.wanted.format.or_else(by_file) else {
        return Wish::Trace(render::FORMATS.default_format());
    };
    // What people read of a trace is another text than that of a dump.
    let format = render::FORMATS.named(wanted.name).filter(|format| !format.is_for_people());
    format.map_or(Wish::Snapshot, Wish::Trace)
}

fn view(args: &Report, format: &Format) -> View {
    let recording = &args.recording;
    View {
        min_age: recording.min_age,
        top: Some(recording.top).filter(|top| *top > 0),
        incidents: View::incidents(format, recording.top),
        sort: recording.sort,
        include_runtime: args.wanted.view.include_runtime,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Args, Command};

    fn wish_of(words: &str) -> Wish {
        let words = ["leaktrace", "report", "run.ltc"].into_iter().chain(words.split_whitespace());
        match Args::parse_from(words).command {
            Some(Command::Report(report)) => wish(&report),
            _ => panic!("it is the report command"),
        }
    }

    #[test]
    fn a_recording_shows_its_trace_unless_a_snapshot_is_meant() {
        for words in ["", "-o report.txt", "-o report"] {
            assert_eq!(wish_of(words), Wish::Trace(render::FORMATS.default_format()), "{words}");
        }
        for words in ["--format json", "-o report.json"] {
            assert_eq!(wish_of(words), Wish::Trace(render::FORMATS.named("json").unwrap()), "{words}");
        }
        for words in ["--snapshot", "--format debug2", "--format json --snapshot", "-o a.ltr", "-o a.pb.gz"] {
            assert_eq!(wish_of(words), Wish::Snapshot, "{words}");
        }
    }
}
