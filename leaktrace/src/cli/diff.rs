//! `leaktrace diff`.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use leaktrace_core::dump::diff::{FORMATS, Format};
use leaktrace_core::dump::group::By;

use super::dump::named;
use super::format;

/// What `leaktrace diff` takes.
#[derive(Debug, ClapArgs)]
pub struct Diff {
    /// The earlier snapshot
    #[arg(value_name = "BEFORE")]
    pub before: PathBuf,

    /// The later snapshot
    #[arg(value_name = "AFTER")]
    pub after: PathBuf,

    /// Group goroutines by KEY
    #[arg(long, value_name = "KEY", value_parser = named(&By::ALL, By::as_str), default_value = "created-by", help_heading = "View")]
    pub by: By,

    /// Show at most N groups; 0 for all
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20, help_heading = "View")]
    pub top: usize,

    /// Include the runtime's own goroutines
    #[arg(long, help_heading = "View")]
    pub include_runtime: bool,

    /// Exit with status 1 if any group grew by N goroutines or more
    #[arg(long, value_name = "N", help_heading = "Output")]
    pub fail_if_grew: Option<u64>,

    /// Output format [default: from the extension of --output, otherwise text]
    #[arg(short, long, value_name = "FORMAT", value_parser = format::parser(&FORMATS), help_heading = "Output")]
    pub format: Option<&'static Format>,

    /// Write to FILE instead of standard output
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
}
