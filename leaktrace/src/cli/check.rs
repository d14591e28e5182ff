//! `leaktrace check`.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use leaktrace_core::judge::thresholds::Limit;

use super::findings::{Findings, ReportFormat};
use super::rules::Rules;
use super::tracing::Tracing;
use crate::quantity::{self, Span};

const MAX_OVERHEAD: &str = "The most that tracing may cost, in percent of one core for each core that the target keeps \
                            busy. `off` for no limit";

/// What `leaktrace check` takes.
#[derive(Debug, ClapArgs)]
#[command(mut_arg("max_overhead", |arg| arg.help(MAX_OVERHEAD)))]
pub struct Check {
    /// The process to check
    #[arg(short, long, value_name = "PID", help_heading = "Target")]
    pub pid: u32,

    /// Watch it for this long
    #[arg(long = "for", value_name = "TIME", value_parser = quantity::span, default_value = "1m", help_heading = "Target")]
    pub duration: Span,

    /// Fail if there are ever more than N goroutines that FUNCTION creates or that run it, in the whole process without
    /// one; may be repeated
    #[arg(long, value_name = "[FUNCTION=]N", value_parser = quantity::max, help_heading = "Limits")]
    pub max: Vec<Limit>,

    /// Fail if there are ever N more than TIME before (`main.worker=200/5m`, `500/1m`); may be repeated
    #[arg(long, value_name = "[FUNCTION=]N/TIME", value_parser = quantity::max_growth, help_heading = "Limits")]
    pub max_growth: Vec<Limit>,

    /// Show this many groups of goroutines after the verdicts; 0 for all
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

    /// How to write the report [default: by the ending of --output, else text]
    #[arg(short, long, value_enum, value_name = "FORMAT", help_heading = "Output")]
    pub format: Option<ReportFormat>,

    /// Write the report to this file instead of standard output
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
}
