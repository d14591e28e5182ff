//! `leaktrace run`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use leaktrace_core::report::render::{FORMATS, Format};

use super::findings::Findings;
use super::format;
use super::rules::Rules;
use super::tracing::Tracing;

/// A program that is run to be judged may cost what it takes.
const MAX_OVERHEAD: &str = "Limit what tracing costs the program and what leaktrace itself uses, in percent of one core for \
                            each core that the program keeps busy; `off` for no limit. The report says what was left out, \
                            or done less often, to stay within it";

/// What `leaktrace run` takes.
#[derive(Debug, ClapArgs)]
#[command(mut_arg("max_overhead", |arg| arg.help(MAX_OVERHEAD).default_value("off")))]
pub struct Run {
    /// Program to run, and its arguments
    #[arg(value_name = "PROGRAM", required = true, trailing_var_arg = true)]
    pub program: Vec<OsString>,

    /// Hold the program at its exit for a few milliseconds to read its memory once more; until then, leaktrace traces
    /// its first thread with ptrace
    #[arg(long, help_heading = "Target")]
    pub at_exit: bool,

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

    /// Write the report to FILE instead of standard error; `{name}` and `{pid}` in it stand for the program's name and
    /// process id, so that programs that run side by side get a file each
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
}
