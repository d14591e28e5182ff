//! `leaktrace report`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::Sort;
use super::dump::Wanted;
use crate::quantity::{self, Span};

/// What `leaktrace report` takes.
#[derive(Debug, ClapArgs)]
pub struct Report {
    /// Snapshot (`.ltr`), recording (`.ltc`) or entry of the agent's black box (a folder) to open
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What is wanted of it.
    #[command(flatten)]
    pub wanted: Wanted,
    /// What is wanted of a recording.
    #[command(flatten)]
    pub recording: RecordingArgs,
}

/// What is wanted of a recording.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Recording")]
pub struct RecordingArgs {
    /// Show the recording as of TIME after its start instead of at its end
    #[arg(long, value_name = "TIME", value_parser = quantity::span)]
    pub at: Option<Span>,

    /// Show the last snapshot instead of the trace; implied by every --format but json
    #[arg(long)]
    pub snapshot: bool,

    /// Show only groups with a goroutine that has lived at least TIME (trace only)
    #[arg(long, value_name = "TIME", value_parser = quantity::span, default_value = "10s")]
    pub min_age: Span,

    /// Show at most N incidents and N groups; 0 for all (trace only)
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    pub top: usize,

    /// Treat functions whose names begin with PREFIX as your own code, besides those of the main module (trace only); may
    /// be repeated
    #[arg(long, value_name = "PREFIX")]
    pub own: Vec<String>,

    /// Sort groups by KEY (trace only)
    #[arg(long, value_enum, value_name = "KEY", default_value_t = Sort::Live)]
    pub sort: Sort,
}
