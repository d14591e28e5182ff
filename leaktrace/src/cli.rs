//! What was typed. What it means is decided in [`crate::config`].

pub mod check;
pub mod diff;
pub mod dump;
pub mod findings;
pub mod report;
pub mod rules;
pub mod run;
pub mod tracing;

use std::path::PathBuf;

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum};

use self::findings::{Findings, ReportFormat};
use self::tracing::Tracing;
use crate::quantity::{self, Bytes, Span};

/// Finds goroutine leaks in a running Go process, from outside: no restart, no pprof endpoint, stripped or not.
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
    /// List all rules, and do nothing else
    #[arg(long, exclusive = true, help_heading = "Rules")]
    pub list_rules: bool,
    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
}

const USAGE: &str = "\
leaktrace --pid <PID> [OPTIONS]
       leaktrace run [OPTIONS] -- <PROGRAM> [ARGUMENTS]
       leaktrace check --pid <PID> [OPTIONS]
       leaktrace dump --pid <PID> [OPTIONS]
       leaktrace report <FILE> [OPTIONS]
       leaktrace diff <BEFORE> <AFTER> [OPTIONS]
       leaktrace doctor [--pid <PID>]
       leaktrace explain <RULE>";

const EXIT_CODES: &str = "\
Exit status: 0 a report was made · 1 what was to fail has been found (--fail-on, --deny, --max, --max-growth, --fail-if-grew) · 2 wrong use, a file that cannot be read, or an error of the system · 3 no such process, or it has gone · \
4 not permitted · 5 the kernel cannot · 6 not a Go program, or not one that can be read · 130 a check was interrupted. \
`run` ends as its program does, with 128+n where signal n ended it, and with 126 or 127 where it cannot be started or found";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Starts a program under watch from its first instruction, and judges what is left when it ends
    ///
    /// Standard input and output are the program's, and so are signals and the exit status, unless --fail-on finds
    /// something. `go test -exec 'leaktrace run --' ./...` does so with every test binary, and says which test created
    /// what is left. Where tracing is not permitted, snapshots of memory alone are judged, the last one while the
    /// program is held at its exit.
    Run(run::Run),
    /// Watches a process for a while, and fails on leaks and on limits that you set
    ///
    /// For a staging service under load: `leaktrace check --pid PID --for 5m --fail-on likely --max main.worker=100
    /// --max-growth 200/5m`.
    Check(check::Check),
    /// Writes all goroutines of a process as they are now, with what they wait for
    ///
    /// Works from memory alone: nothing is attached, nothing is stopped, and your own processes need no privileges.
    Dump(dump::Dump),
    /// Writes what is in a snapshot that was taken earlier
    Report(report::Report),
    /// Says which groups of goroutines grew between two snapshots
    Diff(diff::Diff),
    /// Says what this machine and a process allow, with the remedy for what is missing
    ///
    /// With --pid, also prints which instructions would be probed and why, without attaching anything.
    Doctor(Doctor),
    /// Says what a rule looks at, what its numbers mean, and when it is sure
    Explain(rules::Explain),
}

/// What `leaktrace doctor` takes.
#[derive(Debug, ClapArgs)]
pub struct Doctor {
    /// Also look at this process, and print the plan for its probes
    #[arg(short, long, value_name = "PID")]
    pub pid: Option<u32>,
}

/// What every command takes.
#[derive(Debug, ClapArgs)]
pub struct Common {
    /// When to colour what is printed
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = Color::Auto, global = true, help_heading = "Output")]
    pub color: Color,
    /// Say more on standard error; up to three times
    #[arg(short, long, action = ArgAction::Count, global = true, help_heading = "Output")]
    pub verbose: u8,
}

/// What `leaktrace --pid` takes.
#[derive(Debug, ClapArgs)]
pub struct Watch {
    /// The process to watch
    #[arg(short, long, value_name = "PID", required = true, help_heading = "Target")]
    pub pid: Option<u32>,

    /// Stop after this long, with one report (`30s`, `5m`, `1h30m`); otherwise go on until Ctrl-C
    #[arg(short, long, value_name = "TIME", value_parser = quantity::span, help_heading = "Target")]
    pub duration: Option<Span>,

    /// Report this often [default: 5s, or with --duration only at the end]
    #[arg(short, long, value_name = "TIME", value_parser = quantity::span, help_heading = "Target")]
    pub interval: Option<Span>,

    /// Show the goroutines that have lived at least this long
    #[arg(long, value_name = "TIME", value_parser = quantity::span, default_value = "10s", help_heading = "View")]
    pub min_age: Span,

    /// Show this many groups; 0 for all
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10, help_heading = "View")]
    pub top: usize,

    /// Which groups come first
    #[arg(long, value_enum, value_name = "KEY", default_value_t = Sort::Live, help_heading = "View")]
    pub sort: Sort,

    /// Show the runtime's own goroutines as well
    #[arg(long, help_heading = "View")]
    pub include_runtime: bool,

    /// What is traced, and what that may cost.
    #[command(flatten)]
    pub tracing: Tracing,

    /// Which verdicts to fail on, and what is shown beside them.
    #[command(flatten)]
    pub findings: Findings,

    /// How to write reports [default: by the ending of --output, else text]
    #[arg(short, long, value_enum, value_name = "FORMAT", help_heading = "Output")]
    pub format: Option<ReportFormat>,

    /// Write reports to this file instead of standard output; it always holds the last one
    #[arg(short, long, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,

    /// Keep a recording of the trace in this file, which `leaktrace report` opens, on another machine as well
    #[arg(long, value_name = "FILE", help_heading = "Recording")]
    pub record: Option<PathBuf>,

    /// How large the recording may become; what does not fit is counted
    #[arg(long, value_name = "SIZE", value_parser = quantity::bytes, default_value = "1GiB", help_heading = "Recording")]
    pub record_max_size: Bytes,
}

/// How a comparison is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// By what groups are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// Most goroutines alive
    Live,
    /// Oldest goroutine
    Age,
    /// Fastest growth
    Net,
    /// Most births since attach
    Born,
    /// Most stack memory
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
    use clap::CommandFactory;
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
        assert_eq!((args.watch.pid, args.common.verbose), (Some(7), 1));
    }

    #[test]
    fn doctor_needs_no_pid() {
        let args = parse("doctor -v").unwrap();
        assert!(matches!(args.command, Some(Command::Doctor(Doctor { pid: None }))));
        let args = parse("doctor --pid 7").unwrap();
        assert!(matches!(args.command, Some(Command::Doctor(Doctor { pid: Some(7) }))));
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
    }
}
