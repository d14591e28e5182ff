//! A report on one process.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Completeness, Incident, OwnLine, Severity, SourceLine, Verdict};

/// The version of the report's fields.
pub const SCHEMA_VERSION: u32 = 2;

/// What leaktrace found in one process, from attach until now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The process.
    pub target: TargetInfo,
    /// The time that was watched.
    pub window: Window,
    /// What was asked to be listed.
    pub view: Listing,
    /// All its goroutines together.
    pub totals: Totals,
    /// What is wrong, by severity and then by size. Written with the verdicts of all of them in one list beside them, as
    /// version 1 had them.
    #[serde(flatten, with = "super::incident::with_verdicts")]
    pub incidents: Vec<Incident>,
    /// The lines of source code that the verdicts speak of, where they were at hand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceLine>,
    /// Its goroutines by the `go` statement that created them.
    pub groups: Vec<Group>,
    /// What the view leaves out of `groups`.
    pub not_listed: NotListed,
    /// How complete all this is.
    pub completeness: Completeness,
    /// What it cost.
    pub overhead: Overhead,
    /// What users should know about this run, in sentences.
    pub notices: Vec<String>,
}

/// The process that was watched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetInfo {
    /// Its id.
    pub pid: u32,
    /// The path of its executable, as it is called in its own mount namespace.
    pub exe: String,
    /// The Go release that it was built with, such as `go1.26.6`.
    pub go_version: Option<String>,
    /// The GNU or Go build id, in hexadecimal or as Go writes it.
    pub build_id: Option<String>,
    /// `amd64` or `arm64`.
    pub arch: String,
    /// The path of the main module, where the build information has one.
    #[serde(default)]
    pub main_module: Option<String>,
}

/// The time that was watched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Nanoseconds from attach to this report.
    pub duration_ns: u64,
    /// When the report was made, in nanoseconds since 1970.
    pub ended_unix_ns: Option<u64>,
    /// The kinds of events that were asked for.
    pub probes: Vec<String>,
}

/// What was asked to be listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The least age, in nanoseconds, that a goroutine of a listed group has reached.
    pub min_age_ns: u64,
    /// By what the groups are sorted.
    pub sort: String,
    /// Whether the runtime's own goroutines are among them.
    pub include_runtime: bool,
}

/// All goroutines together: `live = before_attach + born - ended`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Goroutines alive.
    pub live: u64,
    /// Goroutines born since attach.
    pub born: u64,
    /// Goroutines ended since attach.
    pub ended: u64,
    /// Goroutines that existed at attach.
    pub before_attach: u64,
    /// Births less ends in a minute since the first snapshot; `None` for as long as that would be a guess.
    pub net_per_minute: Option<f64>,
    /// The runtime's own goroutines that are alive and not counted in the numbers above.
    pub runtime_hidden: u64,
    /// The stack memory of the goroutines alive, in bytes.
    pub stack_bytes: u64,
}

/// Goroutines that one `go` statement created.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// The `go` statement.
    pub created_by: Location,
    /// The user's own line that most of them come from, if that is known.
    #[serde(default)]
    pub own_line: Option<OwnLine>,
    /// The function that it started; that of most goroutines, where they differ.
    pub start_function: Option<String>,
    /// Goroutines alive.
    pub live: u64,
    /// Those of them that have reached the least age of the view.
    pub long_lived: u64,
    /// Goroutines born since attach.
    pub born: u64,
    /// Goroutines ended since attach.
    pub ended: u64,
    /// Goroutines that existed at attach.
    pub before_attach: u64,
    /// Births less ends in a minute.
    pub net_per_minute: Option<f64>,
    /// The age of the oldest.
    pub oldest_age_ns: Option<u64>,
    /// The age that half of them have reached.
    pub median_age_ns: Option<u64>,
    /// Whether the oldest may be older.
    pub age_is_lower_bound: bool,
    /// Whether the median may be greater.
    pub median_is_lower_bound: bool,
    /// For how long the longest wait has lasted, as far as known.
    pub longest_wait_ns: Option<u64>,
    /// Whether it may have lasted longer.
    pub longest_wait_is_lower_bound: bool,
    /// What they wait for, by name, and how many do.
    pub wait_reasons: BTreeMap<String, u64>,
    /// Where most of them stand.
    pub blocked_at: Vec<Blocked>,
    /// Goroutines alive that stand elsewhere, or whose stacks are not known.
    pub blocked_elsewhere: u64,
    /// The stack that reached the `go` statement most often, innermost first.
    pub creation_stack: Vec<Frame>,
    /// How many other stacks are known to have reached it.
    pub other_creation_stacks: u64,
    /// The stack memory that they hold, in bytes.
    pub stack_bytes: u64,
}

/// A place in the source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Location {
    /// The function.
    pub function: Option<String>,
    /// The path of the source file.
    pub file: Option<String>,
    /// The line in it.
    pub line: Option<u32>,
    /// The address, in hexadecimal.
    pub pc: String,
}

/// One call of a stack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Frame {
    /// The function.
    pub function: Option<String>,
    /// The path of the source file.
    pub file: Option<String>,
    /// The line in it.
    pub line: Option<u32>,
    /// The address, in hexadecimal, where the function is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pc: Option<String>,
}

/// Goroutines that stand at the same place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// How many.
    pub count: u64,
    /// What they wait for.
    pub wait_reason: String,
    /// The innermost function that Go's traceback shows.
    pub function: Option<String>,
    /// The file that it is in.
    pub file: Option<String>,
    /// The line.
    pub line: Option<u32>,
    /// The whole stack, innermost first.
    pub stack: Vec<Frame>,
}

/// What the view leaves out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotListed {
    /// Groups of which goroutines are alive, but none has reached the least age.
    pub young_groups: u64,
    /// The goroutines alive in them.
    pub young_live: u64,
    /// Groups of which no goroutine is alive.
    pub ended_groups: u64,
    /// Groups after the first so many.
    pub further_groups: u64,
    /// The goroutines alive in them.
    pub further_live: u64,
    /// The goroutines alive that the user ignores.
    #[serde(default)]
    pub ignored_live: u64,
    /// Incidents after the first so many.
    #[serde(default)]
    pub further_incidents: u64,
    /// What a baseline has to know of the verdicts in them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further_verdicts: Vec<FurtherVerdict>,
}

/// A verdict that is not listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FurtherVerdict {
    /// The rule's code.
    pub code: String,
    /// How sure it is.
    pub severity: Severity,
    /// The `go` statement.
    pub created_by: Location,
    /// Goroutines alive that it is about.
    pub live: u64,
}

/// What tracing cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Overhead {
    /// Hits of probes in a second.
    pub events_per_second: f64,
    /// What they cost the target, in percent of one core.
    pub target_cpu_percent_estimate: Option<f64>,
    /// What leaktrace itself uses, in percent of one core.
    pub own_cpu_percent: Option<f64>,
    /// What was not traced, to keep the cost below its limit or because we were stopped.
    pub shed: Vec<Shed>,
}

/// Something that was not traced for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shed {
    /// What, such as `park and ready`.
    pub what: String,
    /// For how long altogether.
    pub duration_ns: u64,
    /// Whether it is not traced now.
    pub now: bool,
}

impl Report {
    /// All verdicts, in the order of their incidents.
    pub fn verdicts(&self) -> impl Iterator<Item = &Verdict> {
        self.incidents.iter().flat_map(|incident| &incident.verdicts)
    }

    /// Lists the first `top` incidents only; all if that is 0.
    pub fn keep_first(&mut self, top: usize) {
        let listed = if top == 0 { self.incidents.len() } else { top.min(self.incidents.len()) };
        let further = self.incidents.split_off(listed);
        self.not_listed.further_incidents += further.len() as u64;
        let verdicts = further.into_iter().flat_map(|incident| incident.verdicts);
        self.not_listed.further_verdicts.extend(verdicts.map(|verdict| FurtherVerdict {
            code: verdict.code,
            severity: verdict.severity,
            created_by: verdict.created_by,
            live: verdict.live,
        }));
    }

    /// Lists groups with goroutines alive only, and of those the first `top`; all if that is 0.
    pub fn keep_alive(&mut self, top: usize) {
        self.not_listed.ended_groups += self.groups.extract_if(.., |group| group.live == 0).count() as u64;
        let further =
            self.groups.split_off(if top == 0 { self.groups.len() } else { top.min(self.groups.len()) });
        self.not_listed.further_groups += further.len() as u64;
        self.not_listed.further_live += further.iter().map(|group| group.live).sum::<u64>();
    }
}
