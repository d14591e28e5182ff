//! `leaktrace check`.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use leaktrace_core::judge::thresholds::Limit;
use leaktrace_core::report::render::{FORMATS, Format};

use super::findings::Findings;
use super::format;
use super::rules::Rules;
use super::tracing::Tracing;
use crate::quantity::{self, Span};

const MAX_OVERHEAD: &str = "Limit what tracing costs the target and what leaktrace itself uses, in percent of one core for \
                            each core that the target keeps busy; `off` for no limit";

/// What `leaktrace check` takes.
#[derive(Debug, ClapArgs)]
#[command(mut_arg("max_overhead", |arg| arg.help(MAX_OVERHEAD)))]
pub struct Check {
    /// PID of the process to check
    #[arg(short, long, value_name = "PID", value_parser = quantity::pid, help_heading = "Target")]
    pub pid: u32,

    /// How long to watch the process
    #[arg(long = "for", visible_alias = "duration", value_name = "TIME", value_parser = quantity::span, default_value = "1m", help_heading = "Target")]
    pub duration: Span,

    /// Fail if the count of goroutines ever exceeds N (`main.worker=100`, `5000`); with FUNCTION, of those that it
    /// created or that run it; may be repeated
    #[arg(long, value_name = "[FUNCTION=]N", value_parser = quantity::max, help_heading = "Limits")]
    pub max: Vec<Limit>,

    /// Fail if the count grows by more than N within TIME (`main.worker=200/5m`, `500/1m`); may be repeated
    #[arg(long, value_name = "[FUNCTION=]N/TIME", value_parser = quantity::max_growth, help_heading = "Limits")]
    pub max_growth: Vec<Limit>,

    /// Show at most N incidents, and N groups of goroutines after them; 0 for all
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10, help_heading = "View")]
    pub top: usize,

    /// What is traced, and what that may cost.
    #[command(flatten)]
    pub tracing: Tracing,

    /// Which verdicts to fail on, and what is shown beside them.
    #[command(flatten)]
    pub findings: Findings,
    /// What is judged, and how.
    #[command(flatten)]
    pub rules: Rules,

    /// Report format [default: from the extension of --output, otherwise text]
    #[arg(short, long, value_name = "FORMAT", value_parser = format::parser(&FORMATS), help_heading = "Output")]
    pub format: Option<&'static Format>,

    /// Write the report to FILE instead of standard output
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
}
