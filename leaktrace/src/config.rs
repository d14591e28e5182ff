//! What was typed, and what it means on this system.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use leaktrace_common::event::Kind;
use leaktrace_core::judge::detect::{Gate, Policy};
use thiserror::Error;

use crate::cli::findings::{Findings, ReportFormat};
use crate::cli::{Color, Common, Format, Sort, Watch};
use crate::process::Pid;
use crate::sources::SourceTree;

/// How often the report refreshes unless told otherwise.
const INTERVAL: Duration = Duration::from_secs(5);

/// Reports more often than this would be about leaktrace itself.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// The bounds of the ring buffer, in bytes.
const RING: std::ops::RangeInclusive<u64> = 4096..=1 << 30;

/// A recording smaller than this would have no room for one snapshot.
const SMALLEST_RECORDING: u64 = 1 << 20;

/// Why what was typed makes no sense.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// No process was named.
    #[error("--pid is missing")]
    NoPid,
    /// An interval of nothing, or nearly so.
    #[error("--interval {0:?} is below the minimum of {SHORTEST_INTERVAL:?}")]
    IntervalTooShort(Duration),
    /// The ring would be too small to be one, or larger than the kernel takes.
    #[error("--ring-size {0} is not between {least} and {most} bytes", least = RING.start(), most = RING.end())]
    RingSize(u64),
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

/// How to watch a process.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The process.
    pub pid: Pid,
    /// When to stop by ourselves.
    pub duration: Option<Duration>,
    /// How often to report before the end; `None` is only at the end.
    pub interval: Option<Duration>,
    /// What of the report is shown.
    pub view: View,
    /// What is traced.
    pub probes: Vec<Kind>,
    /// The most that tracing may cost, as a share of the target's busy cores.
    pub max_overhead: Option<f64>,
    /// The size of the ring buffer: a power of two, and whole pages.
    pub ring_bytes: u32,
    /// Whether the target, which we have started, is held at its exit for a last look.
    pub at_exit: bool,
    /// Whether the creator's stack of every birth is taken, and not only of some.
    pub every_stack: bool,
    /// What makes it end with exit status 1.
    pub gate: Gate,
    /// What is judged, and how.
    pub policy: Policy,
    /// Where the lines of source code are that verdicts speak of.
    pub sources: Sources,
    /// Where and how reports go.
    pub output: Output,
    /// The recording that is kept.
    pub record: Option<Record>,
}

/// A recording to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its file.
    pub file: PathBuf,
    /// How long that may become, in bytes.
    pub max_bytes: u64,
}

/// Where lines of source code are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// The folder; `None` if they are not wanted, or there is none.
    pub folder: Option<PathBuf>,
    /// Whether git is asked who wrote them.
    pub blame: bool,
}

/// What of the report is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Goroutines younger than this are counted and not shown.
    pub min_age: Duration,
    /// How many groups; `None` is all.
    pub top: Option<usize>,
    /// Which come first.
    pub sort: Sort,
    /// Whether the runtime's own goroutines are shown.
    pub include_runtime: bool,
}

/// A stream of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error: standard output is another program's.
    Stderr,
}

/// Where and how reports go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The file, or `None` for the stream.
    pub file: Option<PathBuf>,
    /// Where they go if there is no file.
    pub stream: Stream,
    /// How they are written.
    pub format: ReportFormat,
    /// Whether they are coloured.
    pub color: bool,
    /// Whether each replaces the one before it on the screen.
    pub in_place: bool,
}

impl Config {
    /// Decides what the options mean.
    pub fn resolve(watch: &Watch, common: &Common, system: &System) -> Result<Self, ConfigError> {
        let output = Output::to_stdout(watch.output.as_deref(), watch.format, common.color, system);
        let one_report = watch.duration.is_some() || output.format.is_for_tools();
        let interval = watch.interval.or_else(|| (!one_report).then_some(INTERVAL));
        if let Some(short) = interval.filter(|interval| *interval < SHORTEST_INTERVAL) {
            return Err(ConfigError::IntervalTooShort(short));
        }
        Ok(Self {
            pid: Pid(watch.pid.ok_or(ConfigError::NoPid)?),
            duration: watch.duration,
            interval,
            view: View {
                min_age: watch.min_age,
                top: Some(watch.top).filter(|top| *top > 0),
                sort: watch.sort,
                include_runtime: watch.include_runtime,
            },
            probes: watch.tracing.probes.0.clone(),
            max_overhead: watch.tracing.max_overhead.0,
            ring_bytes: ring_bytes(watch.tracing.ring_size.0)?,
            at_exit: false,
            every_stack: false,
            gate: Gate { fail_on: watch.findings.fail_on, deny: Vec::new() },
            policy: Policy::default(),
            sources: sources(&watch.findings, output.format),
            output,
            record: record(watch)?,
        })
    }
}

fn record(watch: &Watch) -> Result<Option<Record>, ConfigError> {
    let max_bytes = watch.record_max_size.0;
    let Some(file) = watch.record.clone() else { return Ok(None) };
    if max_bytes < SMALLEST_RECORDING {
        return Err(ConfigError::RecordingTooSmall(max_bytes));
    }
    Ok(Some(Record { file, max_bytes }))
}

impl Config {
    /// Sets what is judged, and fails on what that denies as well.
    pub fn policy(&mut self, policy: Policy) {
        self.gate.deny.extend(policy.levels.denied());
        self.policy = policy;
    }
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

impl Output {
    /// To a file or standard output, which is a screen if it is a terminal.
    pub fn to_stdout(
        file: Option<&Path>,
        format: Option<ReportFormat>,
        wish: Color,
        system: &System,
    ) -> Self {
        let mut output = Self::to_stderr(file, format, wish);
        output.stream = Stream::Stdout;
        if file.is_none() && output.format == ReportFormat::Text {
            (output.color, output.in_place) = (color(wish, system), system.stdout_is_terminal);
        }
        output
    }

    /// To a file or standard error.
    pub fn to_stderr(file: Option<&Path>, format: Option<ReportFormat>, wish: Color) -> Self {
        let format = format.or_else(|| report_by_ending(file?)).unwrap_or(ReportFormat::Text);
        let color = wish == Color::Always && format == ReportFormat::Text;
        Self { file: file.map(Path::to_owned), stream: Stream::Stderr, format, color, in_place: false }
    }
}

/// What is shown of the sources; tools always want to know what the repository calls a file.
pub fn sources(wish: &Findings, format: ReportFormat) -> Sources {
    let around = || SourceTree::repository(&std::env::current_dir().ok()?);
    let wanted = format.is_for_tools() || wish.blame;
    let folder = wish.source.clone().or_else(|| wanted.then(around).flatten());
    Sources { folder, blame: wish.blame }
}

/// The format that a file with this name is expected to have.
fn report_by_ending(file: &Path) -> Option<ReportFormat> {
    match file.extension()?.to_str()? {
        "json" => Some(ReportFormat::Json),
        "sarif" => Some(ReportFormat::Sarif),
        "xml" => Some(ReportFormat::Junit),
        _ => None,
    }
}

/// The format of comparisons that a file with this name is expected to have.
pub fn by_ending(file: &Path) -> Option<Format> {
    match file.extension()?.to_str()? {
        "json" => Some(Format::Json),
        _ => None,
    }
}

/// The kernel wants a power of two and whole pages; a wish between two sizes gets the larger.
pub(crate) fn ring_bytes(wish: u64) -> Result<u32, ConfigError> {
    if !RING.contains(&wish) {
        return Err(ConfigError::RingSize(wish));
    }
    let whole = wish.max(rustix::param::page_size() as u64).next_power_of_two();
    u32::try_from(whole).map_err(|_| ConfigError::RingSize(wish))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Args;

    const PIPE: System = System { stdout_is_terminal: false, refuses_color: false, forces_color: false };
    const TERMINAL: System = System { stdout_is_terminal: true, ..PIPE };

    fn resolve(words: &str, system: &System) -> Result<Config, ConfigError> {
        let args = Args::parse_from(["leaktrace", "--pid", "7"].into_iter().chain(words.split_whitespace()));
        Config::resolve(&args.watch, &args.common, system)
    }

    #[test]
    fn the_defaults_are_those_of_the_help() {
        let config = resolve("", &PIPE).unwrap();
        assert_eq!((config.duration, config.interval), (None, Some(INTERVAL)));
        assert_eq!((config.view.min_age, config.view.top), (Duration::from_secs(10), Some(10)));
        assert_eq!((config.max_overhead, config.ring_bytes), (Some(0.05), 16 << 20));
        assert_eq!(config.probes, Kind::ALL);
    }

    #[test]
    fn a_duration_ends_with_one_report_unless_an_interval_is_asked_for() {
        assert_eq!(resolve("--duration 30s", &PIPE).unwrap().interval, None);
        let both = resolve("--duration 30s --interval 2s", &PIPE).unwrap();
        assert_eq!(both.interval, Some(Duration::from_secs(2)));
        assert!(matches!(resolve("--interval 0s", &PIPE), Err(ConfigError::IntervalTooShort(_))));
    }

    #[test]
    fn the_ending_of_the_file_decides_the_format_unless_it_is_typed() {
        assert_eq!(resolve("-o x.json", &PIPE).unwrap().output.format, ReportFormat::Json);
        assert_eq!(resolve("-o x.txt", &PIPE).unwrap().output.format, ReportFormat::Text);
        assert_eq!(resolve("-o x.json --format text", &PIPE).unwrap().output.format, ReportFormat::Text);
    }

    #[test]
    fn only_text_on_a_terminal_is_coloured_and_refreshed_in_place() {
        let look = |words: &str, system: &System| {
            let output = resolve(words, system).unwrap().output;
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
        assert_eq!(resolve("--ring-size 5000", &PIPE).unwrap().ring_bytes, 8192);
        assert_eq!(resolve("--ring-size 17M", &PIPE).unwrap().ring_bytes, 32 << 20);
        assert_eq!(resolve("--ring-size 1K", &PIPE), Err(ConfigError::RingSize(1024)));
        assert_eq!(resolve("--ring-size 2G", &PIPE), Err(ConfigError::RingSize(2 << 30)));
    }

    #[test]
    fn a_top_of_0_shows_all() {
        assert_eq!(resolve("--top 0", &PIPE).unwrap().view.top, None);
    }
}
