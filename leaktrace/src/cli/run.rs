//! `leaktrace run`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::findings::{Findings, ReportFormat};
use super::rules::Rules;
use super::tracing::Tracing;

/// A program that is run to be judged may cost what it takes.
const MAX_OVERHEAD: &str = "The most that tracing may cost, in percent of one core for each core that the program keeps \
                            busy; what is shed to stay below is reported. `off` for no limit";

/// What `leaktrace run` takes.
#[derive(Debug, ClapArgs)]
#[command(mut_arg("max_overhead", |arg| arg.help(MAX_OVERHEAD).default_value("off")))]
pub struct Run {
    /// The program to run, and its arguments
    #[arg(value_name = "PROGRAM", required = true, trailing_var_arg = true)]
    pub program: Vec<OsString>,

    /// Hold the program at its exit for a last look at its memory, which takes milliseconds. Until then the kernel
    /// tells us of each signal that its first thread gets
    #[arg(long, help_heading = "Target")]
    pub at_exit: bool,

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

    /// Write the report to this file instead of standard error; `{name}` stands for the program's name and `{pid}` for
    /// its process id, for programs that run side by side as the tests of packages do
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
}
