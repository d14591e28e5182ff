//! `leaktrace diff`.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use leaktrace_core::dump::group::By;

use super::Format;
use super::dump::named;

/// What `leaktrace diff` takes.
#[derive(Debug, ClapArgs)]
pub struct Diff {
    /// The earlier snapshot
    #[arg(value_name = "BEFORE")]
    pub before: PathBuf,

    /// The later snapshot
    #[arg(value_name = "AFTER")]
    pub after: PathBuf,

    /// What the goroutines of a group have in common
    #[arg(long, value_name = "KEY", value_parser = named(&By::ALL, By::as_str), default_value = "created-by", help_heading = "View")]
    pub by: By,

    /// Show this many groups; 0 for all
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20, help_heading = "View")]
    pub top: usize,

    /// Count the runtime's own goroutines as well
    #[arg(long, help_heading = "View")]
    pub include_runtime: bool,

    /// End with exit status 1 if any group has at least N goroutines more
    #[arg(long, value_name = "N", help_heading = "Output")]
    pub fail_if_grew: Option<u64>,

    /// How to write [default: by the ending of --output, else text]
    #[arg(short, long, value_enum, value_name = "FORMAT", help_heading = "Output")]
    pub format: Option<Format>,

    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
}
