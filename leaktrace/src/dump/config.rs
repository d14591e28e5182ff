//! What the options of `dump` and `report` mean.

use std::path::{Path, PathBuf};

use leaktrace_core::dump::filter::Filter;
use leaktrace_core::dump::render::{FORMATS, Format, Options};
use thiserror::Error;

use super::destination::Destination;
use crate::cli::dump::{FilterArgs, ViewArgs, Wanted};
use crate::config::System;
use crate::output::{Content, OutputError};

/// Why what was typed makes no sense.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum DumpConfigError {
    /// A terminal shows nothing of use of such a format.
    #[error("refusing to write {0}, a binary format, to a terminal")]
    BinaryToTerminal(&'static str),
    /// What selects or arranges the goroutines of a snapshot has no meaning for a trace.
    #[error("{option} applies to a snapshot, and {} is shown as the trace that it records", path.display())]
    OfSnapshot {
        /// The option.
        option: &'static str,
        /// The recording.
        path: PathBuf,
    },
    /// A snapshot is of one moment.
    #[error("--at applies to a recording, and {} is a snapshot", path.display())]
    NotRecorded {
        /// The snapshot file.
        path: PathBuf,
    },
}

impl DumpConfigError {
    /// What can be done about it.
    pub(crate) const fn remedy(&self) -> &'static str {
        match self {
            Self::BinaryToTerminal(_) => {
                "write to a file with --output, or pipe the output to another program"
            }
            Self::OfSnapshot { .. } => "add --snapshot to show the goroutines of the last snapshot instead",
            Self::NotRecorded { .. } => {
                "omit --at, or give a recording that `leaktrace --record FILE.ltc` wrote"
            }
        }
    }
}

/// The first option that was given which only a snapshot can follow.
pub(super) fn only_of_snapshot(wanted: &Wanted) -> Option<&'static str> {
    let FilterArgs { state, wait, older, matching, not } = &wanted.filter;
    let ViewArgs { by, include_runtime: _, all_frames } = &wanted.view;
    let given = [
        ("--state", !state.is_empty()),
        ("--wait", !wait.is_empty()),
        ("--older", older.is_some()),
        ("--match", !matching.is_empty()),
        ("--not", !not.is_empty()),
        ("--by", by.is_some()),
        ("--all-frames", *all_frames),
    ];
    given.into_iter().find(|(_, is_given)| *is_given).map(|(name, _)| name)
}

/// What is written of a dump, where and how.
#[derive(Clone, Debug)]
pub struct DumpConfig {
    /// Which goroutines.
    pub filter: Filter,
    /// How they are shown.
    pub options: Options,
    /// As what they are written.
    pub format: &'static Format,
    /// The file, or `None` for standard output.
    pub file: Option<PathBuf>,
}

impl DumpConfig {
    /// Decides what the options mean.
    pub fn resolve(wanted: &Wanted, system: &System) -> Result<Self, DumpConfigError> {
        let file = wanted.output.as_deref();
        let format = wanted.format.or_else(|| FORMATS.of_file(file?));
        let format = format.unwrap_or_else(|| default_format(&wanted.view));
        refuse_binary(format, file, system)?;
        Ok(Self {
            filter: filter(&wanted.filter),
            options: options(&wanted.view),
            format,
            file: wanted.output.clone(),
        })
    }
}

impl DumpConfig {
    /// Opens what it is written to.
    pub(super) fn open(&self) -> Result<Destination, OutputError> {
        let content = if self.format.writer.arguments { Content::Values } else { Content::Names };
        Destination::open(self.file.as_deref(), content)
    }
}

/// Who asks for groups wants to see some, and tracebacks have none.
fn default_format(view: &ViewArgs) -> &'static Format {
    let grouped = || FORMATS.all().iter().find(|format| format.writer.by);
    view.by.and_then(|_| grouped()).unwrap_or_else(|| FORMATS.default_format())
}

fn refuse_binary(
    format: &'static Format,
    file: Option<&Path>,
    system: &System,
) -> Result<(), DumpConfigError> {
    if format.is_binary() && file.is_none() && system.stdout_is_terminal {
        return Err(DumpConfigError::BinaryToTerminal(format.name));
    }
    Ok(())
}

fn filter(args: &FilterArgs) -> Filter {
    Filter {
        states: args.state.clone(),
        waits: args.wait.clone(),
        older_ns: args.older.map(|age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX)),
        matching: args.matching.clone(),
        not: args.not.clone(),
    }
}

fn options(args: &ViewArgs) -> Options {
    Options {
        by: args.by.unwrap_or_default(),
        include_runtime: args.include_runtime,
        all_frames: args.all_frames,
        ..Options::default()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use leaktrace_core::dump::group::By;
    use leaktrace_core::go::names::Status;

    use super::*;
    use crate::cli::{Args, Command};

    const PIPE: System = System { stdout_is_terminal: false, refuses_color: false, forces_color: false };
    const TERMINAL: System = System { stdout_is_terminal: true, ..PIPE };

    fn resolve(words: &str, system: &System) -> Result<DumpConfig, DumpConfigError> {
        let words = ["leaktrace", "dump", "--pid", "7"].into_iter().chain(words.split_whitespace());
        match Args::parse_from(words).command {
            Some(Command::Dump(dump)) => DumpConfig::resolve(&dump.wanted, system),
            _ => panic!("it is the dump command"),
        }
    }

    fn format(words: &str) -> &'static str {
        resolve(words, &PIPE).unwrap().format.name
    }

    #[test]
    fn the_format_is_the_one_named_else_the_files_else_debug2() {
        assert_eq!(format(""), "debug2");
        assert_eq!(format("-o a.ltr"), "ltr");
        assert_eq!(format("-o a.pb.gz --format json"), "json");
        assert_eq!(format("-o a.unknown"), "debug2");
        assert_eq!(format("--by blocked-on"), "text");
        assert_eq!(format("--by blocked-on -o a.json"), "json");
    }

    #[test]
    fn a_terminal_is_not_given_what_is_not_text() {
        let error = resolve("--format pprof", &TERMINAL).unwrap_err();
        assert_eq!(error, DumpConfigError::BinaryToTerminal("pprof"));
        assert!(resolve("--format pprof", &PIPE).is_ok());
        assert!(resolve("--format pprof -o g", &TERMINAL).is_ok());
        assert!(resolve("--format debug1", &TERMINAL).is_ok());
    }

    #[test]
    fn filters_and_views_are_passed_on() {
        let words = "--state waiting --state leaked --wait chan --older 1m --match main\\. --match b --not c --by wait \
                     --include-runtime --all-frames";
        let config = resolve(words, &PIPE).unwrap();
        assert_eq!(config.filter.states, [Status::Waiting, Status::Leaked]);
        assert_eq!((config.filter.waits.len(), config.filter.older_ns), (1, Some(60_000_000_000)));
        assert_eq!((config.filter.matching.len(), config.filter.not.len()), (2, 1));
        assert_eq!(config.options.by, By::Wait);
        assert!(config.options.include_runtime && config.options.all_frames);
    }
}
