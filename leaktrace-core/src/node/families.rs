//! What metrics say of a node, as data.
//!
//! Processes with the same labels are one series, whatever their pids, so that restarts and workers make no new ones. No label
//! has a pid, the id of a goroutine, or an address in it.

mod groups;
mod labels;
mod totals;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::num::real;
use crate::schema::{Level, MetricFamily, MetricKind, MetricSample, NodeProcess, NodeState};

pub(super) use labels::label;
pub use totals::Totals;

use super::pace::Read;
use groups::Group;
use labels::GroupLabels;

/// How much is said at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How many series there are.
    pub series: usize,
    /// How many `go` statements are told apart of processes with the same labels.
    pub sites: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { series: 20_000, sites: 10 }
    }
}

/// What leaktrace says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OwnFigures {
    /// The processor time that it has used.
    pub cpu: Duration,
    /// The memory that it has.
    pub memory_bytes: u64,
    /// The limit on that, if there is one, and whether it makes leaktrace do less.
    pub memory_limit: Option<u64>,
    /// See there.
    pub is_memory_short: bool,
    /// What was dropped for want of memory, in one word, and how often.
    pub dropped: Vec<(&'static str, u64)>,
    /// How many reads do not return.
    pub stuck_reads: u64,
    /// Accounts, and how many cores each has.
    pub budget: Vec<(&'static str, f64)>,
    /// The longest time that any process waits for a read after the one before.
    pub periods: Vec<(Read, Duration)>,
    /// Why processes cannot be read, in few words that are always the same ones, and how many.
    pub unreadable: Vec<(&'static str, u64)>,
    /// The highest level at which a process can be watched.
    pub highest_level: Level,
    /// How many events of processes the kernel could not tell; nothing if it tells of none, and they are found by scans.
    pub events_lost: Option<u64>,
    /// Of the black box, if there is one.
    pub black_box: Option<BlackBoxFigures>,
    /// Of what is pushed to others: to whom, with which result, and how often.
    pub pushes: Vec<(&'static str, &'static str, u64)>,
}

/// What there was to write to the black box.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlackBoxFigures {
    /// Entries that were written, by reason.
    pub entries: Vec<(&'static str, u64)>,
    /// What could not be written.
    pub failures: u64,
}

/// A sample, and the family that it belongs to.
type Sample = (usize, MetricSample);

/// A family without samples.
struct Kind(&'static str, &'static str, Option<&'static str>, MetricKind);

const GOROUTINES: usize = 0;
const CREATED: usize = 1;
const ENDED: usize = 2;
const OLDEST: usize = 3;
const SITES: usize = 4;
const SUSPECTS: usize = 5;
const INFO: usize = 6;
const INCIDENTS: usize = 16;
const BLACK_BOX: usize = 17;
const BLACK_BOX_FAILURES: usize = 18;
const PROCESSES: usize = 7;
const UNREADABLE: usize = 8;
const PERIOD: usize = 9;
const CPU: usize = 10;
const MEMORY: usize = 11;
const BUDGET: usize = 12;
const STUCK: usize = 13;
const SERIES: usize = 14;
const LIMIT: usize = 15;
const MEMORY_LIMIT: usize = 19;
const MEMORY_SHORT: usize = 20;
const DROPPED: usize = 21;
const LEVEL: usize = 22;
const LEVEL_LIMIT: usize = 23;
const PUSHES: usize = 24;
const DISCOVERY: usize = 25;
const EVENTS_LOST: usize = 26;

use MetricKind::{Counter, Gauge};

/// All families, in the order of the numbers above.
const KINDS: [Kind; 27] = [
    Kind("leaktrace_goroutines", "Live goroutines, without those of the Go runtime.", None, Gauge),
    Kind(
        "leaktrace_goroutines_created",
        "Goroutines that were made, those of the runtime included.",
        None,
        Counter,
    ),
    Kind(
        "leaktrace_goroutines_ended",
        "Goroutines that have ended, those of the runtime included.",
        None,
        Counter,
    ),
    Kind(
        "leaktrace_oldest_goroutine_age_seconds",
        "How long the oldest goroutine but the main one is known to have lived.",
        Some("seconds"),
        Gauge,
    ),
    Kind(
        "leaktrace_site_goroutines",
        "Goroutines that live, by the go statement that made them.",
        None,
        Gauge,
    ),
    Kind(
        "leaktrace_site_suspect",
        "Growth of a suspected go statement in goroutines a minute, 0 unless that is the reason. Absent while nothing is suspected.",
        None,
        Gauge,
    ),
    Kind(
        "leaktrace_process_info",
        "The Go release and the version of the process that started last.",
        None,
        Gauge,
    ),
    Kind("leaktrace_processes", "Go processes on this machine, by state.", None, Gauge),
    Kind("leaktrace_unreadable_processes", "Go processes that could not be read, by reason.", None, Gauge),
    Kind(
        "leaktrace_look_period_seconds",
        "Longest time between two reads of any process.",
        Some("seconds"),
        Gauge,
    ),
    Kind("leaktrace_agent_cpu_seconds", "Processor time that leaktrace has used.", Some("seconds"), Counter),
    Kind("leaktrace_agent_memory_bytes", "Memory that leaktrace has.", Some("bytes"), Gauge),
    Kind("leaktrace_budget", "CPU cores for regular reads, by kind of read.", None, Gauge),
    Kind("leaktrace_stuck_reads", "Reads of processes that do not return.", None, Gauge),
    Kind(
        "leaktrace_series",
        "Series that are shown, and that were left out because there are too many.",
        None,
        Gauge,
    ),
    Kind("leaktrace_series_limit", "How many series are shown at most.", None, Gauge),
    Kind(
        "leaktrace_incidents",
        "Incidents found by the last study of each process, by severity.",
        None,
        Gauge,
    ),
    Kind(
        "leaktrace_blackbox_entries",
        "Entries that were written to the black box, by reason; one that is written again counts again.",
        None,
        Counter,
    ),
    Kind("leaktrace_blackbox_failures", "Entries of the black box that could not be written.", None, Counter),
    Kind("leaktrace_agent_memory_limit_bytes", "Memory that leaktrace may have.", Some("bytes"), Gauge),
    Kind("leaktrace_agent_memory_short", "1 while studies wait for want of memory, else 0.", None, Gauge),
    Kind(
        "leaktrace_agent_dropped",
        "How often details of a process were dropped for want of memory.",
        None,
        Counter,
    ),
    Kind(
        "leaktrace_level",
        "How closely a process is watched: 0 from memory alone, 1 one go statement is probed, 2 births and ends, 3 all.",
        None,
        Gauge,
    ),
    Kind(
        "leaktrace_level_limit",
        "The highest level that leaktrace has the rights for: 0 or 3.",
        None,
        Gauge,
    ),
    Kind("leaktrace_push", "Profiles and requests with metrics for other servers, by result.", None, Counter),
    Kind(
        "leaktrace_discovery",
        "1 by what processes are found as they come and go: events of the kernel, or scans of /proc alone.",
        None,
        Gauge,
    ),
    Kind(
        "leaktrace_events_lost",
        "Execs, exits and victims of the OOM killer that the kernel had no room to tell of.",
        None,
        Counter,
    ),
];

/// The names of all metrics, as scrapers have them.
pub fn metric_names() -> impl Iterator<Item = String> {
    let name = |Kind(name, _, _, kind): &Kind| match kind {
        Counter => format!("{name}_total"),
        Gauge => (*name).to_owned(),
    };
    KINDS.iter().map(name)
}

/// All metrics. `totals` is the same one each time, or counters would fall when a process ends.
pub fn families(
    processes: &[NodeProcess],
    totals: &mut Totals,
    own: &OwnFigures,
    bounds: &Bounds,
) -> Vec<MetricFamily> {
    let mut by_labels: BTreeMap<GroupLabels, Vec<&NodeProcess>> = BTreeMap::new();
    for process in processes {
        by_labels.entry(GroupLabels::of(process)).or_default().push(process);
    }
    totals.update(&by_labels);
    let groups = by_labels.iter().map(|(labels, processes)| {
        let mut group = Group::of(processes);
        group.keep_sites(totals.places(labels), bounds.sites);
        (labels, group)
    });
    let groups: Vec<_> = groups.collect();

    let mut samples = of_node(processes, own);
    // The two states, and the limit.
    let room = bounds.series.saturating_sub(samples.len() + 3);
    let mut omitted = 0;
    for (labels, group, is_shown) in groups::admit(groups, room, bounds.series / 4) {
        let of_group = group.samples(labels, totals.of(labels));
        if is_shown { samples.extend(of_group) } else { omitted += of_group.len() }
    }
    let shown = samples.len() + 3;
    for (state, count) in [("shown", shown), ("omitted", omitted)] {
        samples.push(sample(SERIES, [("state", state)], real(count as u64)));
    }
    samples.push(sample(LIMIT, [], real(bounds.series as u64)));
    collect(samples)
}

/// What is said of the node as a whole, and of leaktrace.
fn of_node(processes: &[NodeProcess], own: &OwnFigures) -> Vec<Sample> {
    let states = [
        ("waiting", NodeState::Waiting),
        ("watched", NodeState::Watched),
        ("refused", NodeState::Refused),
        ("blocked", NodeState::Blocked),
    ];
    let count = |state| real(processes.iter().filter(|process| process.state == state).count() as u64);
    let states = states.map(|(name, state)| sample(PROCESSES, [("state", name)], count(state)));
    let reasons = own.unreadable.iter();
    let reasons = reasons.map(|(reason, count)| sample(UNREADABLE, [("reason", *reason)], real(*count)));
    let periods = own.periods.iter();
    let periods =
        periods.map(|(read, period)| sample(PERIOD, [("read", read.as_str())], period.as_secs_f64()));
    let budget = own.budget.iter().map(|(account, cores)| sample(BUDGET, [("account", *account)], *cores));
    let alone = [
        sample(CPU, [], own.cpu.as_secs_f64()),
        sample(MEMORY, [], real(own.memory_bytes)),
        sample(STUCK, [], real(own.stuck_reads)),
        sample(LEVEL_LIMIT, [], own.highest_level.number().into()),
    ];
    let black_box = own.black_box.iter().flat_map(of_black_box);
    let limit = own.memory_limit.into_iter().flat_map(|limit| of_memory(limit, own));
    states
        .into_iter()
        .chain(reasons)
        .chain(periods)
        .chain(budget)
        .chain(alone)
        .chain(of_discovery(own.events_lost))
        .chain(black_box)
        .chain(limit)
        .chain(own.pushes.iter().map(of_push))
        .collect()
}

/// Without a limit nothing is ever short or dropped.
fn of_memory(limit: u64, own: &OwnFigures) -> impl Iterator<Item = Sample> {
    let dropped = own.dropped.iter().map(|(what, count)| sample(DROPPED, [("what", *what)], real(*count)));
    let short = sample(MEMORY_SHORT, [], real(own.is_memory_short.into()));
    dropped.chain([sample(MEMORY_LIMIT, [], real(limit)), short])
}

fn of_push((to, result, count): &(&'static str, &'static str, u64)) -> Sample {
    sample(PUSHES, [("to", *to), ("result", *result)], real(*count))
}

fn of_discovery(events_lost: Option<u64>) -> impl Iterator<Item = Sample> {
    let by = if events_lost.is_some() { "events" } else { "scan" };
    let lost = events_lost.map(|lost| sample(EVENTS_LOST, [], real(lost)));
    [sample(DISCOVERY, [("by", by)], 1.0)].into_iter().chain(lost)
}

fn of_black_box(figures: &BlackBoxFigures) -> Vec<Sample> {
    let BlackBoxFigures { entries, failures } = figures;
    let entries = entries.iter().map(|(why, count)| sample(BLACK_BOX, [("reason", *why)], real(*count)));
    entries.chain([sample(BLACK_BOX_FAILURES, [], real(*failures))]).collect()
}

fn sample<const N: usize>(family: usize, labels: [(&'static str, &str); N], value: f64) -> Sample {
    let labels = labels.map(|(name, value)| (name, value.to_owned())).into();
    (family, MetricSample { labels, value })
}

/// Puts samples into their families; those that have none are left out.
fn collect(samples: Vec<Sample>) -> Vec<MetricFamily> {
    let empty = |Kind(name, help, unit, kind)| MetricFamily { name, help, unit, kind, samples: Vec::new() };
    let mut families = KINDS.map(empty);
    for (family, sample) in samples {
        families[family].samples.push(sample);
    }
    families.into_iter().filter(|family| !family.samples.is_empty()).collect()
}

#[cfg(test)]
mod tests;
