//! `leaktrace report` on a recording: the report of the trace, or one of its snapshots.

use std::io::BufReader;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use leaktrace_core::dump::render::Format;
use leaktrace_core::goroutines::Dump;
use leaktrace_core::report::render::{self, Style, TextOptions};
use leaktrace_core::trace::recording::Replay;

use super::config::DumpConfig;
use super::destination::Destination;
use super::file::Input;
use super::form::Form;
use crate::cli::Common;
use crate::cli::report::Report;
use crate::config::{System, View, color};
use crate::session::reporting;

/// The last snapshot of a recording.
pub(super) fn last_snapshot(path: &Path, input: Input) -> anyhow::Result<Dump> {
    let dump = replay(path, input, None)?.dump();
    dump.with_context(|| format!("cannot open {}", path.display()))
}

/// Writes what is wanted of a recording.
pub(super) fn report(args: &Report, input: Input, common: &Common, system: &System) -> anyhow::Result<()> {
    let wish = wish(args);
    let config = match wish {
        Wish::Trace(_) => None,
        Wish::Snapshot => Some(DumpConfig::resolve(&args.wanted, system)?),
    };
    let destination = Destination::open(args.wanted.output.as_deref())?;
    let replay = replay(&args.file, input, args.recording.at)?;
    match (config, wish) {
        (Some(config), _) => {
            let dump = replay.dump().with_context(|| format!("cannot open {}", args.file.display()))?;
            super::write(dump, &config, destination)
        }
        (None, wish) => {
            let report = leaktrace_core::report::recorded(&replay, &reporting::view(&view(args)));
            let colored = args.wanted.output.is_none() && color(common.color, system);
            let style = if colored { Style::Ansi } else { Style::Plain };
            destination.write(|out| match wish {
                Wish::Trace(Trace::Json) => render::json(&report, out),
                Wish::Trace(Trace::Text) | Wish::Snapshot => {
                    render::text(&report, TextOptions { style, width: None }, out)
                }
            })
        }
    }
}

fn replay(path: &Path, input: Input, at: Option<Duration>) -> anyhow::Result<Replay> {
    let after = at.map(|at| u64::try_from(at.as_nanos()).unwrap_or(u64::MAX));
    let replay = Replay::run(BufReader::with_capacity(1 << 18, input), after);
    replay.with_context(|| format!("cannot open {}", path.display()))
}

/// What is wanted of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// What the trace would have reported.
    Trace(Trace),
    /// What its snapshot shows.
    Snapshot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trace {
    Text,
    Json,
}

/// The trace, in the formats that it has, unless the snapshot is asked for by name or by a format of its own.
fn wish(args: &Report) -> Wish {
    if args.recording.snapshot {
        return Wish::Snapshot;
    }
    let ending = args.wanted.output.as_deref().and_then(Form::by_ending);
    match (args.wanted.format, ending) {
        (Some(Form::Rendered(Format::Json)), _) | (None, Some(Form::Rendered(Format::Json))) => {
            Wish::Trace(Trace::Json)
        }
        (None, None | Some(Form::Rendered(Format::Debug2))) => Wish::Trace(Trace::Text),
        (Some(_), _) | (None, Some(_)) => Wish::Snapshot,
    }
}

fn view(args: &Report) -> View {
    let recording = &args.recording;
    View {
        min_age: recording.min_age,
        top: Some(recording.top).filter(|top| *top > 0),
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
            assert_eq!(wish_of(words), Wish::Trace(Trace::Text), "{words}");
        }
        for words in ["--format json", "-o report.json"] {
            assert_eq!(wish_of(words), Wish::Trace(Trace::Json), "{words}");
        }
        for words in ["--snapshot", "--format debug2", "--format json --snapshot", "-o a.ltr", "-o a.pb.gz"] {
            assert_eq!(wish_of(words), Wish::Snapshot, "{words}");
        }
    }
}
