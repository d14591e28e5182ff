//! `leaktrace dump`, and what it has in common with `leaktrace report`.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use leaktrace_core::dump::filter::Pattern;
use leaktrace_core::dump::group::By;
use leaktrace_core::dump::render::{FORMATS, Format};
use leaktrace_core::go::names::Status;

use super::format;
use crate::quantity::{self, Span};

/// What `leaktrace dump` takes.
#[derive(Debug, ClapArgs)]
pub struct Dump {
    /// PID of the process to dump
    #[arg(short, long, value_name = "PID", value_parser = quantity::pid, required_unless_present = "core", help_heading = "Target")]
    pub pid: Option<u32>,

    /// Dump a core file instead of a process; requires --exe
    #[arg(long, value_name = "FILE", requires = "exe", conflicts_with = "pid", help_heading = "Target")]
    pub core: Option<PathBuf>,

    /// Executable that the core file belongs to
    #[arg(long, value_name = "FILE", requires = "core", help_heading = "Target")]
    pub exe: Option<PathBuf>,

    /// What is wanted of the dump.
    #[command(flatten)]
    pub wanted: Wanted,
}

/// Which goroutines are written, where and how.
#[derive(Debug, ClapArgs)]
pub struct Wanted {
    /// Which goroutines.
    #[command(flatten)]
    pub filter: FilterArgs,
    /// How they are shown.
    #[command(flatten)]
    pub view: ViewArgs,
    /// Output format [default: from the extension of --output, otherwise debug2, or text with --by]
    #[arg(short, long, value_name = "FORMAT", value_parser = format::parser(&FORMATS), help_heading = "Output")]
    pub format: Option<&'static Format>,

    /// Write to FILE instead of standard output; `.ltr` makes a snapshot for `report` and `diff`
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
}

/// Which goroutines are wanted.
#[derive(Debug, ClapArgs)]
pub struct FilterArgs {
    /// Show only goroutines in STATE; may be repeated
    #[arg(long, value_name = "STATE", value_parser = named(&STATES, Status::as_str), help_heading = "Filter")]
    pub state: Vec<Status>,

    /// Show only goroutines whose wait reason starts with WORDS (`chan`, `sync.Mutex.Lock`); may be repeated
    #[arg(long, value_name = "WORDS", help_heading = "Filter")]
    pub wait: Vec<String>,

    /// Show only goroutines known to have waited or lived for at least TIME
    #[arg(long, value_name = "TIME", value_parser = quantity::span, help_heading = "Filter")]
    pub older: Option<Span>,

    /// Show only goroutines with a matching frame, creator or label (`key=value`); if repeated, all must match
    #[arg(long = "match", value_name = "REGEX", value_parser = Pattern::parse, help_heading = "Filter")]
    pub matching: Vec<Pattern>,

    /// Hide goroutines with a matching frame, creator or label (`key=value`); may be repeated
    #[arg(long, value_name = "REGEX", value_parser = Pattern::parse, help_heading = "Filter")]
    pub not: Vec<Pattern>,
}

/// How goroutines are shown.
#[derive(Debug, ClapArgs)]
pub struct ViewArgs {
    /// Group goroutines by KEY [default: stack]; without --format, shows the groups as text
    #[arg(long, value_name = "KEY", value_parser = named(&By::ALL, By::as_str), help_heading = "View")]
    pub by: Option<By>,

    /// Include the runtime's own goroutines
    #[arg(long, help_heading = "View")]
    pub include_runtime: bool,

    /// Show the frames that Go's own tracebacks hide
    #[arg(long, help_heading = "View")]
    pub all_frames: bool,
}

/// The states that a goroutine of a dump can be in.
const STATES: [Status; 7] = [
    Status::Runnable,
    Status::Running,
    Status::Syscall,
    Status::Waiting,
    Status::CopyStack,
    Status::Preempted,
    Status::Leaked,
];

/// Takes one of `all` by its name.
pub(super) fn named<T: Copy + Send + Sync + 'static>(
    all: &'static [T],
    name: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(all.iter().map(move |one| name(*one))).try_map(move |typed: String| {
        all.iter().copied().find(|one| name(*one) == typed).ok_or("none of the possible values")
    })
}
