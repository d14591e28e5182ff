//! The processes of a node, as the agent tells of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use super::{BlackBoxEntry, Incident, Location, OwnLine, Report, Severity};

/// The version of what the agent says in JSON.
pub const NODE_SCHEMA_VERSION: u32 = 1;

/// A process and no other that has its pid later: `4711-88123`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessId {
    /// Its pid.
    pub pid: u32,
    /// When it started, in clock ticks since the system did (`/proc/PID/stat`, field 22).
    pub start_ticks: u64,
}

/// What is no id of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a process: expected its pid, a dash, and its start in clock ticks, such as 4711-88123")]
pub struct NoProcessId;

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.pid, self.start_ticks)
    }
}

impl FromStr for ProcessId {
    type Err = NoProcessId;

    fn from_str(text: &str) -> Result<Self, NoProcessId> {
        let (pid, start_ticks) = text.split_once('-').ok_or(NoProcessId)?;
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(pid) || !digits(start_ticks) {
            return Err(NoProcessId);
        }
        let pid = pid.parse().map_err(|_| NoProcessId)?;
        let start_ticks = start_ticks.parse().map_err(|_| NoProcessId)?;
        Ok(Self { pid, start_ticks })
    }
}

impl Serialize for ProcessId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ProcessId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// All processes of a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Node {
    /// [`NODE_SCHEMA_VERSION`].
    pub schema_version: u32,
    /// leaktrace's own version.
    pub leaktrace: String,
    /// When this was put together, in nanoseconds since 1970.
    pub unix_ns: u64,
    /// The processes, those that look worst first.
    pub processes: Vec<NodeProcess>,
    /// What the black box has, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub black_box: Vec<BlackBoxEntry>,
}

/// How far a process is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// It is too young to be looked at, or it is not its turn yet.
    Waiting,
    /// It is looked at.
    Watched,
    /// It could not be looked at.
    Refused,
    /// A read of its memory does not return.
    Blocked,
}

/// How closely a process is watched: by what is probed in it. The higher, the more is known and the more that costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum Level {
    /// Nothing is probed: all is from memory.
    #[default]
    Memory,
    /// One `go` statement.
    Site,
    /// All births and ends.
    Lives,
    /// All four kinds of events.
    All,
}

/// What is no level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{0} is no level: expected 0 to 3")]
pub struct NoLevel(u8);

impl Level {
    /// All, the lowest first.
    pub const ALL: [Self; 4] = [Self::Memory, Self::Site, Self::Lives, Self::All];

    /// Its number, from 0 to 3.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The one that a report is of, by what is probed.
    pub fn of(report: &Report) -> Self {
        let has = |kind| report.window.probes.iter().any(|probe| probe == kind);
        match () {
            () if report.completeness.unreached => Self::Memory,
            () if has("park") || has("ready") => Self::All,
            () if has("birth") || has("end") => Self::Lives,
            () if has("site") => Self::Site,
            () => Self::Memory,
        }
    }
}

impl From<Level> for u8 {
    fn from(level: Level) -> Self {
        level.number()
    }
}

impl TryFrom<u8> for Level {
    type Error = NoLevel;

    fn try_from(number: u8) -> Result<Self, NoLevel> {
        Self::ALL.into_iter().find(|level| level.number() == number).ok_or(NoLevel(number))
    }
}

/// One Go process of a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeProcess {
    /// Which one.
    pub id: ProcessId,
    /// The file name of its executable.
    pub exe: String,
    /// Its container, if it is in one.
    pub container_id: Option<String>,
    /// Its systemd unit, if it has one.
    pub unit: Option<String>,
    /// Where Kubernetes has its container, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<PodPlace>,
    /// The Go release that it was built with, once that is known.
    pub go_version: Option<String>,
    /// The version of its main module, if it says so.
    pub version: Option<String>,
    /// How far it is watched.
    pub state: NodeState,
    /// Why not further, if so.
    pub reason: Option<String>,
    /// How many goroutines of the program's own it has.
    pub goroutines: Option<u64>,
    /// How many it has ever made, those of the runtime included.
    pub created: Option<u64>,
    /// How many of these have ended.
    pub ended: Option<u64>,
    /// For how long its oldest goroutine but the main one is known to have lived, in nanoseconds.
    pub oldest_ns: Option<u64>,
    /// How long ago its memory was looked at, in nanoseconds.
    pub look_age_ns: Option<u64>,
    /// The `go` statements that most goroutines come from.
    pub sites: Vec<NodeSite>,
    /// How many goroutines come from others.
    pub other_sites: u64,
    /// How long ago it was studied for incidents, in nanoseconds, if it was.
    pub study_age_ns: Option<u64>,
    /// Whether it is being studied.
    pub is_studied: bool,
    /// How closely it is watched at present, by the last report of the study that is under way.
    #[serde(default)]
    pub level: Level,
    /// Why not more closely although that was meant, if so.
    #[serde(default)]
    pub level_reason: Option<String>,
    /// What the last study found, the surest first.
    pub incidents: Vec<NodeIncident>,
}

/// Where Kubernetes has a container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PodPlace {
    /// The namespace of the pod.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The container's name in the pod.
    pub container: String,
    /// What the pod's replicas have in common: the name of what controls it, which is the Deployment and not its `ReplicaSet`,
    /// and the `CronJob` and not its Job; of a pod that nothing controls, and of a static one, its own name.
    pub workload: String,
    /// What kind of thing that is: `Deployment`, `StatefulSet`, `Pod`.
    pub workload_kind: String,
}

impl fmt::Display for PodPlace {
    /// For people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.namespace, self.pod, self.container)
    }
}

/// One problem that a study has found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeIncident {
    /// The same in each report on the program.
    pub id: String,
    /// How sure it is.
    pub severity: Severity,
    /// The code of the rule with the best evidence: `LT002`.
    pub code: String,
    /// What that rule is called.
    pub name: String,
    /// The user's own line that led there, else the `go` statement.
    pub at: Location,
    /// How many goroutines it is about.
    pub live: u64,
    /// Births less ends in a minute, as far as known.
    pub per_minute: Option<f64>,
}

impl NodeIncident {
    /// What there is to tell of an incident in one line; nothing of one without a verdict.
    pub fn of(incident: &Incident) -> Option<Self> {
        let (lead, _) = incident.lead()?;
        let own = |own: &OwnLine| Location {
            function: Some(own.function.clone()),
            file: own.file.clone(),
            line: own.line,
            pc: lead.created_by.pc.clone(),
        };
        Some(Self {
            id: incident.id.clone(),
            severity: incident.severity,
            code: lead.code.clone(),
            name: lead.name.clone(),
            at: incident.own_line.as_ref().map_or_else(|| lead.created_by.clone(), own),
            live: incident.live,
            per_minute: incident.net_per_minute,
        })
    }
}

/// One `go` statement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeSite {
    /// Where it is.
    pub created_by: Location,
    /// How many of its goroutines live.
    pub live: u64,
    /// How many of these have lived for more than a minute, as far as that is known.
    pub old: u64,
    /// For how long the oldest is known to have lived, in nanoseconds.
    pub oldest_ns: u64,
    /// Why it looks as if it leaked, if it does.
    pub suspect: Option<String>,
    /// How fast its old ones become more, in goroutines a minute, if they do.
    pub per_minute: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_a_number_from_0_to_3() {
        assert_eq!(serde_json::to_string(&Level::ALL).unwrap(), "[0,1,2,3]");
        assert_eq!(serde_json::from_str::<Level>("2").unwrap(), Level::Lives);
        let unknown = serde_json::from_str::<Level>("4").unwrap_err();
        assert!(unknown.to_string().starts_with("4 is no level"), "{unknown}");
    }

    #[test]
    fn an_id_is_a_pid_and_a_start() {
        let id = ProcessId { pid: 4711, start_ticks: 88_123 };
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in [
            "",
            "4711",
            "4711-",
            "-1",
            "+1-2",
            "1-2-3",
            "1 -2",
            "4294967296-1",
            "1-18446744073709551616",
            "../1-2",
        ] {
            assert_eq!(text.parse::<ProcessId>(), Err(NoProcessId), "{text:?}");
        }
    }
}
