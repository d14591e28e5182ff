//! `leaktrace report`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::Sort;
use super::dump::Wanted;
use crate::quantity::{self, Span};

/// What `leaktrace report` takes.
#[derive(Debug, ClapArgs)]
pub struct Report {
    /// The file to open: a snapshot (`.ltr`) or a recording (`.ltc`)
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
    /// Show what was known this long after the start; otherwise all of it
    #[arg(long, value_name = "TIME", value_parser = quantity::span)]
    pub at: Option<Span>,

    /// Show the last snapshot and not the trace, as formats other than json do by themselves
    #[arg(long)]
    pub snapshot: bool,

    /// Of the trace, show the goroutines that have lived at least this long
    #[arg(long, value_name = "TIME", value_parser = quantity::span, default_value = "10s")]
    pub min_age: Span,

    /// Of the trace, show this many groups; 0 for all
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    pub top: usize,

    /// Of the trace, which groups come first
    #[arg(long, value_enum, value_name = "KEY", default_value_t = Sort::Live)]
    pub sort: Sort,
}
