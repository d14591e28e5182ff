//! What the agent keeps of a process for the time after its end, as plain data: `event.json` of an entry of the black box.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use super::{Location, NodeProcess, PodPlace, ProcessId, Report};

/// The version of `event.json`.
pub const BLACK_BOX_SCHEMA_VERSION: u32 = 1;

/// The name of an entry, and of its folder: `4711-88123-1796064863`. Nothing that a process says of itself is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlackBoxName {
    /// When the entry was begun, in seconds since 1970.
    pub unix_s: u64,
    /// The process.
    pub id: ProcessId,
}

/// What is no name of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "not an entry of the black box: expected a process and seconds since 1970, such as 4711-88123-1796064863"
)]
pub struct NoBlackBoxName;

impl fmt::Display for BlackBoxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.id, self.unix_s)
    }
}

impl FromStr for BlackBoxName {
    type Err = NoBlackBoxName;

    fn from_str(text: &str) -> Result<Self, NoBlackBoxName> {
        let (id, unix_s) = text.rsplit_once('-').ok_or(NoBlackBoxName)?;
        let id = id.parse().map_err(|_| NoBlackBoxName)?;
        let unix_s = unix_s.bytes().all(|byte| byte.is_ascii_digit()).then(|| unix_s.parse().ok()).flatten();
        let name = Self { unix_s: unix_s.ok_or(NoBlackBoxName)?, id };
        // One entry has one name: no zeros in front of a number.
        if name.to_string() == text { Ok(name) } else { Err(NoBlackBoxName) }
    }
}

impl Serialize for BlackBoxName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BlackBoxName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Why an entry was written last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlackBoxReason {
    /// The process runs; something about it became suspicious.
    Suspicion,
    /// The process runs; its memory came close to the limit.
    Memory,
    /// It exited by itself.
    Exited,
    /// The kernel's OOM killer ended it.
    OomKilled,
    /// Another signal ended it.
    Signal,
    /// It has ended, and the system does not say how.
    Unknown,
}

impl BlackBoxReason {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Suspicion, Self::Memory, Self::Exited, Self::OomKilled, Self::Signal, Self::Unknown];

    /// In one word, as labels and JSON have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Suspicion => "suspicion",
            Self::Memory => "memory",
            Self::Exited => "exited",
            Self::OomKilled => "oom_killed",
            Self::Signal => "signal",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the process is gone.
    pub const fn is_end(self) -> bool {
        !matches!(self, Self::Suspicion | Self::Memory)
    }
}

/// How sure a reason is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sureness {
    /// The system says so of this process, or counted a kill where it was close to its limit.
    Certain,
    /// What the system says fits, and could be about another process of the same cgroup.
    Likely,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// In one word.
    pub reason: BlackBoxReason,
    /// How sure that is.
    pub sureness: Sureness,
    /// Its exit code, if it exited by itself and that is known.
    pub exit_code: Option<u32>,
    /// The signal that ended it, if one did and that is known.
    pub signal: Option<u32>,
    /// What that is concluded from.
    pub evidence: String,
}

/// Whose limit of memory is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemoryOf {
    /// The process's cgroup, or one around it: the one that is closest to its limit.
    Cgroup,
    /// The machine, where no cgroup has a limit.
    Machine,
}

/// How much memory is used, of how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryUse {
    /// Whose.
    pub of: MemoryOf,
    /// Bytes that are used and cannot simply be dropped: without cached pages of files.
    pub used: u64,
    /// The limit, or all that there is, in bytes.
    pub limit: u64,
}

/// What was counted at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlackBoxLook {
    /// In nanoseconds since 1970.
    pub unix_ns: u64,
    /// Goroutines of the program's own.
    pub goroutines: Option<u64>,
    /// How many were ever made, those of the runtime included.
    pub created: Option<u64>,
    /// The memory that is used, in bytes, as in [`MemoryUse::used`].
    pub memory: Option<u64>,
}

/// Something that became conspicuous, or is so no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlackBoxChange {
    /// When that was seen, in nanoseconds since 1970.
    pub unix_ns: u64,
    /// Whether it came; else it went.
    pub came: bool,
    /// What: `suspected: grows` or `likely LT002`.
    pub what: String,
    /// The line that it is about.
    pub at: Location,
}

/// A snapshot of all goroutines beside the event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlackBoxSnapshot {
    /// The name of the file, in the same folder: `snapshot-1.ltr`.
    pub file: String,
    /// When it was taken, in nanoseconds since 1970.
    pub unix_ns: u64,
    /// Why.
    pub why: String,
}

/// What is kept of one process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BlackBoxEvent {
    /// [`BLACK_BOX_SCHEMA_VERSION`].
    pub schema_version: u32,
    /// leaktrace's own version.
    pub leaktrace: String,
    /// The entry.
    pub name: BlackBoxName,
    /// When this was written, in nanoseconds since 1970.
    pub unix_ns: u64,
    /// Why it was.
    pub reason: BlackBoxReason,
    /// How the process ended, if it has.
    pub ending: Option<Ending>,
    /// What was last known of it.
    pub process: NodeProcess,
    /// Its memory when that was last read.
    pub memory: Option<MemoryUse>,
    /// What was counted over time, the oldest first.
    pub looks: Vec<BlackBoxLook>,
    /// What became conspicuous over time, the oldest first.
    pub changes: Vec<BlackBoxChange>,
    /// The last snapshot, if one was taken.
    pub snapshot: Option<BlackBoxSnapshot>,
    /// Why none could be taken later than that, if so.
    pub no_snapshot: Option<String>,
    /// The report of the last study, if there was one.
    pub report: Option<Report>,
}

/// An entry in one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlackBoxEntry {
    /// Its name.
    pub name: BlackBoxName,
    /// When it was written last, in nanoseconds since 1970.
    pub unix_ns: u64,
    /// Why.
    pub reason: BlackBoxReason,
    /// How sure that is, of an end.
    pub sureness: Option<Sureness>,
    /// The file name of the process's executable.
    pub exe: String,
    /// Its container, if it was in one.
    pub container_id: Option<String>,
    /// Its systemd unit, if it had one.
    pub unit: Option<String>,
    /// Where Kubernetes had its container, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<PodPlace>,
    /// The line that looks worst, if one does.
    pub at: Option<Location>,
    /// Whether there is a snapshot.
    pub has_snapshot: bool,
}

impl BlackBoxEvent {
    /// The name of the file with the snapshot, in the folder of the entry; nothing if it is none that we would have given.
    pub fn snapshot_file(&self) -> Option<&str> {
        let file = self.snapshot.as_ref()?.file.as_str();
        let number = file.strip_prefix("snapshot-")?.strip_suffix(".ltr")?;
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then_some(file)
    }

    /// It in one line.
    pub fn entry(&self) -> BlackBoxEntry {
        let process = &self.process;
        let incident = process.incidents.first().map(|incident| &incident.at);
        let suspect = process.sites.iter().find(|site| site.suspect.is_some()).map(|site| &site.created_by);
        BlackBoxEntry {
            name: self.name,
            unix_ns: self.unix_ns,
            reason: self.reason,
            sureness: self.ending.as_ref().map(|ending| ending.sureness),
            exe: process.exe.clone(),
            container_id: process.container_id.clone(),
            unit: process.unit.clone(),
            kubernetes: process.kubernetes.clone(),
            at: incident.or(suspect).cloned(),
            has_snapshot: self.snapshot.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_process_and_a_time_and_never_a_path() {
        let name = BlackBoxName { unix_s: 1_796_064_863, id: ProcessId { pid: 4711, start_ticks: 88_123 } };
        assert_eq!(name.to_string(), "4711-88123-1796064863");
        assert_eq!(name.to_string().parse(), Ok(name));
        for text in [
            "",
            "4711-88123",
            "4711-88123-",
            "../4711-88123-1",
            "4711-88123-1/..",
            "4711-88123-01",
            "4711-88123-+1",
            "1-2-3-4",
            "1-2-18446744073709551616",
            ".",
        ] {
            assert_eq!(text.parse::<BlackBoxName>(), Err(NoBlackBoxName), "{text:?}");
        }
    }

    #[test]
    fn reasons_are_called_the_same_in_labels_and_json() {
        for reason in BlackBoxReason::ALL {
            assert_eq!(serde_json::to_string(&reason).unwrap(), format!("\"{}\"", reason.as_str()));
        }
    }
}
