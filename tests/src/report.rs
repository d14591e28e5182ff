//! leaktrace's JSON report as its documentation describes it, read independently of the code that writes it.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::process::Place;
use crate::traceback::printed_name;

/// One report.
#[derive(Clone, Debug, Deserialize)]
pub struct Report {
    /// The version of the format.
    pub schema_version: u32,
    /// What was watched.
    pub target: TargetInfo,
    /// Sums over all groups.
    pub totals: Totals,
    /// Which sites leak, the surest incident first.
    #[serde(default, rename = "incidents", deserialize_with = "flattened")]
    pub verdicts: Vec<Verdict>,
    /// The goroutines by the `go` statement that created them.
    pub groups: Vec<Group>,
    /// How complete the picture is.
    pub completeness: Completeness,
    /// What it cost.
    pub overhead: Overhead,
    /// What users should know about this run.
    pub notices: Vec<String>,
}

/// What it cost.
#[derive(Clone, Debug, Deserialize)]
pub struct Overhead {
    /// Hits of probes in a second.
    pub events_per_second: f64,
    /// What was not traced, to keep the cost below its limit.
    pub shed: Vec<Shed>,
}

/// Something that was not traced for a while.
#[derive(Clone, Debug, Deserialize)]
pub struct Shed {
    /// What.
    pub what: String,
}

/// What was watched.
#[derive(Clone, Debug, Deserialize)]
pub struct TargetInfo {
    /// The process id.
    pub pid: u32,
    /// The release that built it.
    pub go_version: Option<String>,
    /// The machine.
    pub arch: String,
}

/// What is said about a site.
#[derive(Clone, Debug, Deserialize)]
pub struct Verdict {
    /// The rule's code.
    pub code: String,
    /// `certain`, `likely` or `watch`.
    pub severity: String,
    /// The incident that it belongs to.
    #[serde(default)]
    pub incident: String,
    /// The `go` statement.
    pub created_by: Location,
    /// The user's own line, where one is known.
    pub own_line: Option<OwnLine>,
    /// How many goroutines it is about.
    pub live: u64,
    /// What most of them wait for.
    pub wait_reason: String,
    /// Where most of them stand.
    pub blocked_at: Vec<Blocked>,
    /// The stack that reached the `go` statement, innermost first.
    pub creation_stack: Vec<Location>,
    /// The numbers that it rests on, by name.
    pub evidence: BTreeMap<String, Value>,
    /// It all in a line.
    pub summary: String,
    /// The likely cause.
    pub cause: String,
    /// What to do.
    pub remedy: String,
}

/// The verdicts of all incidents, each with the id of its own.
pub fn flattened<'de, D: Deserializer<'de>>(incidents: D) -> Result<Vec<Verdict>, D::Error> {
    #[derive(Deserialize)]
    struct Incident {
        id: String,
        verdicts: Vec<Verdict>,
    }
    let incidents = Vec::<Incident>::deserialize(incidents)?;
    let named = |incident: Incident| {
        incident.verdicts.into_iter().map(move |one| Verdict { incident: incident.id.clone(), ..one })
    };
    Ok(incidents.into_iter().flat_map(named).collect())
}

/// A line of the user's own code.
#[derive(Clone, Debug, Deserialize)]
pub struct OwnLine {
    /// The function.
    pub function: String,
    /// The line in its file.
    pub line: Option<u32>,
    /// How it led to the goroutines.
    pub by: String,
}

/// Sums over all groups.
#[derive(Clone, Debug, Deserialize)]
pub struct Totals {
    /// Alive now.
    pub live: u64,
    /// Born since attach.
    pub born: u64,
    /// Ended since attach.
    pub ended: u64,
    /// Alive now, and older than the attach.
    pub before_attach: u64,
}

/// The goroutines of one `go` statement.
#[derive(Clone, Debug, Deserialize)]
pub struct Group {
    /// The `go` statement; without a function where no `go` statement created them.
    pub created_by: Location,
    /// The function that was started.
    pub start_function: Option<String>,
    /// Alive now.
    pub live: u64,
    /// Born since attach.
    pub born: u64,
    /// Ended since attach.
    pub ended: u64,
    /// Those that existed at attach.
    pub before_attach: u64,
    /// Whether some are older than the attach.
    pub age_is_lower_bound: bool,
    /// What they wait for, and how many.
    pub wait_reasons: BTreeMap<String, u64>,
    /// Where they stand.
    pub blocked_at: Vec<Blocked>,
    /// How many stand elsewhere.
    pub blocked_elsewhere: u64,
    /// The creating function's stack, innermost first.
    pub creation_stack: Vec<Location>,
    /// The stack memory that they hold.
    pub stack_bytes: u64,
}

/// A place in the source, as far as it is known.
#[derive(Clone, Debug, Deserialize)]
pub struct Location {
    /// The function.
    pub function: Option<String>,
    file: Option<String>,
    line: Option<u32>,
}

/// Goroutines that stand at the same place.
#[derive(Clone, Debug, Deserialize)]
pub struct Blocked {
    /// How many.
    pub count: u64,
    /// What they wait for.
    pub wait_reason: String,
    /// The whole stack, innermost first.
    pub stack: Vec<Location>,
}

/// How complete the picture is.
#[derive(Clone, Debug, Deserialize)]
pub struct Completeness {
    /// Records that the probes tried to write.
    pub produced: u64,
    /// Records that were read.
    pub decoded: u64,
    /// Records that did not arrive, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Records that made no sense.
    pub undecodable: u64,
    /// Goroutines that memory no longer had.
    pub ghosts_removed: u64,
    /// Goroutines that only memory had.
    pub births_recovered: u64,
    /// How often memory was read.
    pub snapshots: u64,
    /// How often the heap was looked through.
    pub heap: HeapPasses,
    /// The `go` statements that are probed, where no others are.
    #[serde(default)]
    pub sites: Vec<Location>,
}

/// How the search for what nothing refers to went.
#[derive(Clone, Debug, Deserialize)]
pub struct HeapPasses {
    /// How often the heap was looked through.
    pub made: u64,
    /// Why it was not.
    pub refused: Option<String>,
}

/// The verdicts of all incidents of a report as it is written.
pub fn verdicts_in(report: &Value) -> impl Iterator<Item = &Value> {
    let incidents = report["incidents"].as_array().into_iter().flatten();
    incidents.flat_map(|incident| incident["verdicts"].as_array().into_iter().flatten())
}

impl Report {
    /// The group of the `go` statement in this function.
    ///
    /// # Panics
    /// When there is not exactly one.
    #[track_caller]
    pub fn group(&self, creator: &str) -> &Group {
        let found: Vec<&Group> = self.groups.iter().filter(|group| group.creator() == creator).collect();
        assert_eq!(found.len(), 1, "groups created by {creator}, among {:#?}", self.creators());
        found[0]
    }

    /// The functions with the `go` statements of all groups.
    pub fn creators(&self) -> Vec<String> {
        self.groups.iter().map(Group::creator).collect()
    }

    /// Records that did not arrive, for whatever reason.
    pub fn dropped(&self) -> u64 {
        self.completeness.dropped.values().sum()
    }
}

impl Location {
    /// The place with its function as tracebacks print it; empty fields for what is not known.
    pub fn place(&self) -> Place {
        Place {
            function: self.function.as_deref().map(printed_name).unwrap_or_default(),
            file: self.file.clone().unwrap_or_default(),
            line: self.line.unwrap_or_default(),
        }
    }
}

impl Group {
    /// Whether this is the main goroutine, which no `go` statement created.
    pub fn is_main(&self) -> bool {
        self.start_function.as_deref() == Some("runtime.main")
    }

    /// The function with the `go` statement as tracebacks print it; empty when there is none.
    pub fn creator(&self) -> String {
        self.created_by.place().function
    }
}
