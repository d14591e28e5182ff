//! What was typed, and what it means on this system.

mod parts;
mod writing;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use leaktrace_core::judge::detect::Policy;
use leaktrace_core::session::Matcher;
use thiserror::Error;

use crate::cli::{Color, Common, Watch};
use crate::process::Pid;
pub use parts::{Judging, Schedule, Tracing, View};
use parts::{MOST_STATEMENTS, RING};
use writing::is_same_file;
pub use writing::{Output, Record, Sources, Stream, Writing, sources};

/// How often the report refreshes unless told otherwise.
const INTERVAL: Duration = Duration::from_secs(5);

/// Reports more often than this would be about leaktrace itself.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// A recording smaller than this would have no room for one snapshot.
const SMALLEST_RECORDING: u64 = 1 << 20;

/// Why what was typed makes no sense.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// No process was named.
    #[error("no process to watch: --pid, --exe, --comm or --all is missing")]
    NoProcess,
    /// No process was named where there has to be one.
    #[error("--pid is missing")]
    NoPid,
    /// A recording is of one process.
    #[error("--record keeps the trace of one process")]
    RecordsOne,
    /// One file cannot hold both.
    #[error("--record and --output name the same file, {}", .0.display())]
    SameFile(PathBuf),
    /// Nothing is known to be put in for it.
    #[error("--output has the unknown placeholder {0}")]
    Placeholder(String),
    /// The format has room for one process.
    #[error("--format {0} is for the report of one process")]
    FormatOfOne(&'static str),
    /// An interval of nothing, or nearly so.
    #[error("--interval {0:?} is below the minimum of {SHORTEST_INTERVAL:?}")]
    IntervalTooShort(Duration),
    /// The ring would be too small to be one, or larger than the kernel takes.
    #[error("--ring-size {0} is not between {least} and {most} bytes", least = RING.start(), most = RING.end())]
    RingSize(u64),
    /// So many `go` statements are half of the program.
    #[error("--site was given {0} times, and at most {MOST_STATEMENTS} `go` statements can be probed")]
    TooManySites(usize),
    /// The recording would be too small for anything.
    #[error("--record-max-size {0} is below the minimum of {SMALLEST_RECORDING} bytes")]
    RecordingTooSmall(u64),
}

/// The part of the system that decides what options mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct System {
    /// Whether standard output is a terminal.
    pub stdout_is_terminal: bool,
    /// Whether the environment asks for no colour: `NO_COLOR`, or `CLICOLOR=0`.
    pub refuses_color: bool,
    /// Whether the environment asks for colour even where there is no terminal: `CLICOLOR_FORCE`.
    pub forces_color: bool,
}

impl System {
    /// The one that we run on.
    pub fn probe() -> Self {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            stdout_is_terminal: std::io::stdout().is_terminal(),
            refuses_color: set("NO_COLOR").is_some()
                || set("CLICOLOR").is_some_and(|value| value == "0")
                || set("TERM").is_some_and(|value| value == "dumb"),
            forces_color: set("CLICOLOR_FORCE").is_some_and(|value| value != "0"),
        }
    }
}

/// Which processes to watch.
#[derive(Clone, Debug)]
pub enum Selection {
    /// These.
    Pids(Vec<Pid>),
    /// All Go programs that are like this, those that start meanwhile as well.
    Matching(Matcher),
}

impl Selection {
    /// What the options mean.
    pub fn new(watch: &Watch) -> anyhow::Result<Self> {
        let matcher = Matcher::new(watch.exe.as_deref(), watch.comm.as_deref())?;
        if watch.all || watch.exe.is_some() || watch.comm.is_some() {
            return Ok(Self::Matching(matcher));
        }
        let mut pids: Vec<Pid> = Vec::with_capacity(watch.pid.len());
        for pid in watch.pid.iter().copied().map(Pid) {
            if !pids.contains(&pid) {
                pids.push(pid);
            }
        }
        if pids.is_empty() { Err(ConfigError::NoProcess.into()) } else { Ok(Self::Pids(pids)) }
    }

    /// Whether there may be several.
    pub(crate) const fn is_many(&self) -> bool {
        match self {
            Self::Pids(pids) => pids.len() > 1,
            Self::Matching(_) => true,
        }
    }
}

/// How to watch processes.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What is traced.
    pub tracing: Tracing,
    /// When to report, and when to end.
    pub schedule: Schedule,
    /// What of a report is shown.
    pub view: View,
    /// How to judge.
    pub judging: Judging,
    /// Where reports go.
    pub writing: Writing,
}

impl Config {
    /// Decides what the options mean, for one process or for `many`.
    pub fn resolve(
        watch: &Watch,
        many: bool,
        policy: Policy,
        common: &Common,
        system: &System,
    ) -> Result<Self, ConfigError> {
        let output = Output::to_stdout(watch.output.as_deref(), watch.format, common.color, system);
        if many && output.format.writer.round.is_none() {
            return Err(ConfigError::FormatOfOne(output.format.name));
        }
        let one_report = watch.duration.is_some() || output.format.is_for_tools();
        let interval = watch.interval.or_else(|| (!one_report).then_some(INTERVAL));
        if let Some(short) = interval.filter(|interval| *interval < SHORTEST_INTERVAL) {
            return Err(ConfigError::IntervalTooShort(short));
        }
        Ok(Self {
            tracing: Tracing::new(&watch.tracing, many)?,
            schedule: Schedule { duration: watch.duration, interval },
            view: View {
                min_age: watch.min_age,
                top: Some(watch.top).filter(|top| *top > 0),
                incidents: View::incidents(output.format, watch.top),
                sort: watch.sort,
                include_runtime: watch.include_runtime,
            },
            judging: Judging::new(policy, watch.findings.fail_on, []),
            writing: Writing {
                sources: sources(&watch.findings, output.format),
                output,
                record: record(watch, many)?,
            },
        })
    }
}

fn record(watch: &Watch, many: bool) -> Result<Option<Record>, ConfigError> {
    let max_bytes = watch.record_max_size.0;
    let Some(file) = watch.record.clone() else { return Ok(None) };
    if many {
        return Err(ConfigError::RecordsOne);
    }
    if watch.output.as_deref().is_some_and(|output| is_same_file(output, &file)) {
        return Err(ConfigError::SameFile(file));
    }
    if max_bytes < SMALLEST_RECORDING {
        return Err(ConfigError::RecordingTooSmall(max_bytes));
    }
    Ok(Some(Record { file, max_bytes }))
}

/// Whether to colour what goes to standard output.
pub fn color(wish: Color, system: &System) -> bool {
    match wish {
        Color::Always => true,
        Color::Never => false,
        Color::Auto if system.refuses_color => false,
        Color::Auto => system.stdout_is_terminal || system.forces_color,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use leaktrace_common::event::Kind;

    use super::*;
    use crate::cli::Args;

    const PIPE: System = System { stdout_is_terminal: false, refuses_color: false, forces_color: false };
    const TERMINAL: System = System { stdout_is_terminal: true, ..PIPE };

    fn resolve(words: &str, system: &System) -> Result<Config, ConfigError> {
        let args = Args::parse_from(["leaktrace", "--pid", "7"].into_iter().chain(words.split_whitespace()));
        let many = Selection::new(&args.watch).unwrap().is_many();
        Config::resolve(&args.watch, many, Policy::default(), &args.common, system)
    }

    fn selection(words: &str) -> anyhow::Result<Selection> {
        Selection::new(&Args::parse_from(["leaktrace"].into_iter().chain(words.split_whitespace())).watch)
    }

    #[test]
    fn processes_are_named_once_each_or_described() {
        let Selection::Pids(pids) = selection("--pid 7 -p 8 --pid 7").unwrap() else { panic!("pids") };
        assert_eq!(pids, [Pid(7), Pid(8)]);
        let Selection::Matching(matcher) = selection("--exe api*").unwrap() else { panic!("a description") };
        assert!(matcher.matches("/bin/api-server", "x") && !matcher.matches("/bin/worker", "x"));
        assert!(selection("--all").unwrap().is_many() && !selection("--pid 7").unwrap().is_many());
        assert!(selection("--comm [").is_err());
    }

    #[test]
    fn what_is_about_one_process_is_refused_for_several() {
        assert_eq!(resolve("--pid 8 --record x", &PIPE).unwrap_err(), ConfigError::RecordsOne);
        assert_eq!(resolve("--pid 8 --format sarif", &PIPE).unwrap_err(), ConfigError::FormatOfOne("sarif"));
        assert_eq!(resolve("--pid 8", &PIPE).unwrap().tracing.ring_bytes, 2 << 20);
    }

    #[test]
    fn a_recording_and_a_report_do_not_go_to_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name).display().to_string();
        let both = |record: &str, output: &str| {
            resolve(&format!("--record {} --output {}", file(record), file(output)), &PIPE)
        };
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        let same = || Err(ConfigError::SameFile(folder.path().join("a")));
        assert_eq!(both("a", "sub/../a"), same(), "whether it is there or not");
        std::fs::write(folder.path().join("a"), "").unwrap();
        std::fs::hard_link(folder.path().join("a"), folder.path().join("b")).unwrap();
        std::os::unix::fs::symlink("a", folder.path().join("c")).unwrap();
        for other in ["a", "b", "c"] {
            assert_eq!(both("a", other), same(), "{other}");
        }
        both("a", "d").unwrap();
        resolve("--record /dev/null --output /dev/null", &PIPE).unwrap();
    }

    #[test]
    fn the_defaults_are_those_of_the_help() {
        let config = resolve("", &PIPE).unwrap();
        assert_eq!((config.schedule.duration, config.schedule.interval), (None, Some(INTERVAL)));
        assert_eq!((config.view.min_age, config.view.top), (Duration::from_secs(10), Some(10)));
        assert_eq!((config.tracing.max_overhead, config.tracing.ring_bytes), (Some(0.05), 16 << 20));
        assert_eq!(config.tracing.probes, Kind::IN_RUNTIME);
    }

    #[test]
    fn single_go_statements_are_probed_instead_of_all() {
        let tracing = resolve("--site main.go:67 --site main.serve", &PIPE).unwrap().tracing;
        assert_eq!((tracing.probes, tracing.statements.len()), (vec![Kind::Site], 2));
        let many = "--site main.go:67 ".repeat(17);
        assert_eq!(resolve(&many, &PIPE).unwrap_err(), ConfigError::TooManySites(17));
    }

    #[test]
    fn a_duration_ends_with_one_report_unless_an_interval_is_asked_for() {
        assert_eq!(resolve("--duration 30s", &PIPE).unwrap().schedule.interval, None);
        let both = resolve("--duration 30s --interval 2s", &PIPE).unwrap();
        assert_eq!(both.schedule.interval, Some(Duration::from_secs(2)));
        assert!(matches!(resolve("--interval 0s", &PIPE), Err(ConfigError::IntervalTooShort(_))));
    }

    #[test]
    fn the_ending_of_the_file_decides_the_format_unless_it_is_typed() {
        assert_eq!(resolve("-o x.json", &PIPE).unwrap().writing.output.format.name, "json");
        assert_eq!(resolve("-o x.txt", &PIPE).unwrap().writing.output.format.name, "text");
        assert_eq!(resolve("-o x.json --format text", &PIPE).unwrap().writing.output.format.name, "text");
    }

    #[test]
    fn only_text_on_a_terminal_is_coloured_and_refreshed_in_place() {
        let look = |words: &str, system: &System| {
            let output = resolve(words, system).unwrap().writing.output;
            (output.color, output.in_place)
        };
        assert_eq!(look("", &TERMINAL), (true, true));
        assert_eq!(look("", &PIPE), (false, false));
        assert_eq!(look("", &System { refuses_color: true, ..TERMINAL }), (false, true));
        assert_eq!(look("", &System { forces_color: true, ..PIPE }), (true, false));
        assert_eq!(look("--color always", &System { refuses_color: true, ..PIPE }), (true, false));
        assert_eq!(look("--format json --color always", &TERMINAL), (false, false));
        assert_eq!(look("-o report.txt", &TERMINAL), (false, false));
    }

    #[test]
    fn the_ring_is_rounded_up_to_what_the_kernel_takes() {
        assert_eq!(resolve("--ring-size 5000", &PIPE).unwrap().tracing.ring_bytes, 8192);
        assert_eq!(resolve("--ring-size 17M", &PIPE).unwrap().tracing.ring_bytes, 32 << 20);
        assert_eq!(resolve("--ring-size 1K", &PIPE), Err(ConfigError::RingSize(1024)));
        assert_eq!(resolve("--ring-size 2G", &PIPE), Err(ConfigError::RingSize(2 << 30)));
    }

    #[test]
    fn a_top_of_0_shows_all() {
        assert_eq!(resolve("--top 0", &PIPE).unwrap().view.top, None);
    }
}
