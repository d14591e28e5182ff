//! What was typed. What it means is decided in [`crate::config`].

pub mod agent;
pub mod check;
pub mod diff;
pub mod dump;
pub mod findings;
mod format;
pub mod layers;
pub mod report;
pub mod rules;
pub mod run;
pub mod tracing;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args as ClapArgs, CommandFactory, Parser, Subcommand, ValueEnum};
use leaktrace_core::base::escape;
use leaktrace_core::report::render::{FORMATS, Format};
use leaktrace_core::trace::plan::Statement;

use self::findings::Findings;
use self::tracing::Tracing;
use crate::quantity::{self, Bytes, Span};

/// Find goroutine leaks in a running Go process from the outside: no restart, no rebuild, no pprof endpoint.
#[derive(Debug, Parser)]
#[command(
    name = "leaktrace",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    arg_required_else_help = true,
    override_usage = USAGE,
    after_help = EXIT_CODES
)]
pub struct Args {
    /// What to do instead of watching a process.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to watch a process.
    #[command(flatten)]
    pub watch: Watch,
    /// What is judged, and how.
    #[command(flatten)]
    pub rules: rules::Rules,
    /// List all rules and exit
    #[arg(long, exclusive = true, help_heading = "Rules")]
    pub list_rules: bool,
    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
}

const USAGE: &str = "\
leaktrace --pid <PID>... [OPTIONS]
       leaktrace --all | --exe <GLOB> | --comm <REGEX> [OPTIONS]
       leaktrace run [OPTIONS] -- <PROGRAM> [ARGUMENTS]
       leaktrace check --pid <PID> [OPTIONS]
       leaktrace dump --pid <PID> [OPTIONS]
       leaktrace report <FILE> [OPTIONS]
       leaktrace diff <BEFORE> <AFTER> [OPTIONS]
       leaktrace doctor [--pid <PID>]
       leaktrace agent [OPTIONS]
       leaktrace explain <RULE>";

const EXIT_CODES: &str = "\
Exit status:
  0      a report was made
  1      a failure condition was met (--fail-on, --deny, --max, --max-growth, --fail-if-grew)
  2      invalid usage, an unreadable file or a system error
  3      no such process, or it has exited
  4      permission denied
  5      a kernel feature is missing
  6      not a Go program, or one that leaktrace cannot read
  128+n  signal n ended it before there was a report, or ended a check

`run` exits with the program's own status, unless that is 0 and a failure condition was met: 128+n if signal n killed it, 126 if it cannot be started, 127 if it is not found.";

/// What was typed. What makes no sense ends this process, and cannot forge a line of what is said of it.
pub fn parse() -> Args {
    let typed: Vec<OsString> = std::env::args_os().collect();
    Args::try_parse_from(&typed).unwrap_or_else(|error| plain(&typed, error).exit())
}

/// The error about words that are plainly text.
fn plain(typed: &[OsString], error: clap::Error) -> clap::Error {
    let is_plain = |word: &OsString| word.to_str().is_some_and(escape::is_printable);
    if typed.iter().all(is_plain) {
        return error;
    }
    let words = typed.iter().map(|word| escape::shown(word.display()));
    Args::try_parse_from(words)
        .err()
        .unwrap_or_else(|| Args::command().error(error.kind(), "invalid arguments"))
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a program, trace it from its first instruction, and report the goroutines left at its exit
    ///
    /// The program gets standard input and output and all signals. If its exit status is not 0, leaktrace exits with the
    /// same, even if a failure condition is met; if it is 0, with 1 if a failure condition is met. `go test -exec 'leaktrace run --' ./...` runs every test binary like this and names the test
    /// that created each goroutine left behind. If tracing is not permitted, leaktrace works from snapshots of the
    /// program's memory alone and takes the last one while the program is held at its exit.
    Run(run::Run),
    /// Watch a process for a while and fail on the verdicts and limits that are named
    ///
    /// For example, with a staging service under load: `leaktrace check --pid PID --for 5m --fail-on likely --max main.worker=100
    /// --max-growth 200/5m`.
    Check(check::Check),
    /// Print all goroutines of a process with their stacks and what they wait for
    ///
    /// Reads memory only: nothing is attached, the process is not stopped, and your own processes need no privileges.
    Dump(dump::Dump),
    /// Show a snapshot or a recording that was taken earlier
    Report(report::Report),
    /// Compare two snapshots and show which groups of goroutines grew
    Diff(diff::Diff),
    /// Check whether this machine can trace a process, and how to fix what is missing
    ///
    /// With --pid, also print which instructions would be probed and why, without attaching to the process.
    Doctor(Doctor),
    /// Watch every Go process of this machine and serve metrics, profiles and a page about them
    ///
    /// Works from memory alone: nothing is attached to any process.
    Agent(Box<agent::Agent>),
    /// Explain what a rule looks for, what its numbers mean and how sure it is
    Explain(rules::Explain),
}

/// What `leaktrace doctor` takes.
#[derive(Debug, ClapArgs)]
pub struct Doctor {
    /// PID of a process to check as well; prints the plan for its probes
    #[arg(short, long, value_name = "PID", value_parser = quantity::pid)]
    pub pid: Option<u32>,

    /// Show the plan for this `go` statement alone: `FILE:LINE`, FUNCTION or `FUNCTION:LINE`; may be repeated
    #[arg(long, value_name = "STATEMENT", requires = "pid")]
    pub site: Vec<Statement>,
}

/// What every command takes.
#[derive(Debug, ClapArgs)]
pub struct Common {
    /// When to use color
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Color::Auto, global = true, help_heading = "Output")]
    pub color: Color,
    /// Log more to standard error; may be repeated up to three times
    #[arg(short, long, action = ArgAction::Count, global = true, help_heading = "Output")]
    pub verbose: u8,
}

/// What `leaktrace --pid` takes.
#[derive(Debug, ClapArgs)]
pub struct Watch {
    /// PID of a process to watch; may be repeated
    #[arg(short, long, value_name = "PID", value_parser = quantity::pid, required_unless_present_any = ["exe", "comm", "all"], help_heading = "Target")]
    pub pid: Vec<u32>,

    /// Watch every Go process whose executable matches GLOB, including those that start later; `*` stands for any
    /// characters, and a GLOB without `/` is matched against the file name
    #[arg(long, value_name = "GLOB", conflicts_with = "pid", help_heading = "Target")]
    pub exe: Option<String>,

    /// Watch every Go process whose command name (`ps -o comm`) matches REGEX
    #[arg(long, value_name = "REGEX", conflicts_with = "pid", help_heading = "Target")]
    pub comm: Option<String>,

    /// Watch every Go process
    #[arg(long, conflicts_with_all = ["pid", "exe", "comm"], help_heading = "Target")]
    pub all: bool,

    /// Stop after TIME (`30s`, `5m`, `1h30m`) [default: run until Ctrl-C]
    #[arg(short, long, visible_alias = "for", value_name = "TIME", value_parser = quantity::span, help_heading = "Target")]
    pub duration: Option<Span>,

    /// Time between reports [default: 5s, or with --duration only one at the end]
    #[arg(short, long, value_name = "TIME", value_parser = quantity::span, help_heading = "Target")]
    pub interval: Option<Span>,

    /// Show only groups with a goroutine that has lived at least TIME
    #[arg(long, value_name = "TIME", value_parser = quantity::span, default_value = "10s", help_heading = "View")]
    pub min_age: Span,

    /// Show at most N incidents and N groups; 0 for all
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10, help_heading = "View")]
    pub top: usize,

    /// Sort groups by KEY
    #[arg(long, value_enum, value_name = "KEY", default_value_t = Sort::Live, help_heading = "View")]
    pub sort: Sort,

    /// Include the runtime's own goroutines
    #[arg(long, help_heading = "View")]
    pub include_runtime: bool,

    /// What is traced, and what that may cost.
    #[command(flatten)]
    pub tracing: Tracing,

    /// Which verdicts to fail on, and what is shown beside them.
    #[command(flatten)]
    pub findings: Findings,

    /// Report format [default: from the extension of --output, otherwise text]
    #[arg(short, long, value_name = "FORMAT", value_parser = format::parser(&FORMATS), help_heading = "Output")]
    pub format: Option<&'static Format>,

    /// Write reports to FILE instead of standard output; each report replaces the one before
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,

    /// Record the trace to FILE, which `leaktrace report` can open on any machine
    #[arg(long, value_name = "FILE", help_heading = "Recording")]
    pub record: Option<PathBuf>,

    /// Maximum size of the recording; events that do not fit are counted
    #[arg(long, value_name = "SIZE", value_parser = quantity::bytes, default_value = "1GiB", help_heading = "Recording")]
    pub record_max_size: Bytes,
}

/// By what groups are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// Goroutines that have lived at least --min-age
    Live,
    /// Age of the oldest goroutine
    Age,
    /// Growth per minute
    Net,
    /// Goroutines created since leaktrace attached
    Born,
    /// Stack memory
    Stack,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On terminals, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;

    fn parse(words: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once("leaktrace").chain(words.split_ascii_whitespace()))
    }

    #[test]
    fn clap_finds_nothing_wrong_with_the_definition() {
        Args::command().debug_assert();
    }

    #[test]
    fn watching_needs_no_subcommand() {
        let args = parse("--pid 7 -v --probes birth,end").unwrap();
        assert!(args.command.is_none());
        assert_eq!((args.watch.pid, args.common.verbose), (vec![7], 1));
    }

    #[test]
    fn doctor_needs_no_pid() {
        let args = parse("doctor -v").unwrap();
        assert!(matches!(args.command, Some(Command::Doctor(Doctor { pid: None, .. }))));
        let args = parse("doctor --pid 7").unwrap();
        assert!(matches!(args.command, Some(Command::Doctor(Doctor { pid: Some(7), .. }))));
    }

    #[test]
    fn an_argument_cannot_forge_a_line() {
        for word in ["--x\x1b[2J\nhint: forged", "a\u{202e}b\nerror: forged", "--pid=\u{9b}2J\n7"] {
            let typed = ["leaktrace", word].map(OsString::from);
            let error = plain(&typed, Args::try_parse_from(&typed).unwrap_err());
            let text = error.render().to_string();
            assert_eq!(error.exit_code(), 2);
            assert!(text.lines().all(escape::is_printable) && !text.contains("\nhint: f"), "{text:?}");
            assert!(!text.contains("\nerror: f"), "{text:?}");
        }
    }

    #[test]
    fn watching_without_a_pid_is_wrong_use() {
        let error = parse("--top 3").unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), (ErrorKind::MissingRequiredArgument, 2));
        assert_eq!(parse("").unwrap_err().kind(), ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand);
    }

    /// Compares the help of a command, or of none, with the reviewed one.
    #[track_caller]
    fn help_is_reviewed(command: Option<&str>, golden: &str) {
        let mut all = Args::command().term_width(100);
        all.build();
        let help = match command {
            Some(name) => all.find_subcommand_mut(name).unwrap().render_help().to_string(),
            None => all.render_help().to_string(),
        };
        let golden = format!("{}/tests/golden/{golden}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("LEAKTRACE_BLESS").is_some() {
            std::fs::write(&golden, &help).unwrap();
        }
        assert_eq!(help, std::fs::read_to_string(golden).unwrap(), "bless with LEAKTRACE_BLESS=1");
    }

    #[test]
    fn the_help_is_the_one_that_was_reviewed() {
        help_is_reviewed(None, "help.txt");
        help_is_reviewed(Some("run"), "help-run.txt");
        help_is_reviewed(Some("check"), "help-check.txt");
        help_is_reviewed(Some("dump"), "help-dump.txt");
        help_is_reviewed(Some("report"), "help-report.txt");
        help_is_reviewed(Some("diff"), "help-diff.txt");
        help_is_reviewed(Some("agent"), "help-agent.txt");
    }
}
