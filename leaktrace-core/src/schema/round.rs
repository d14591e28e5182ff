//! The reports on several processes that belong together.

use serde::{Deserialize, Serialize};

use super::Report;

/// All that is known of several processes at one time. `R` is a [`Report`], or a reference to one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round<R = Report> {
    /// [`SCHEMA_VERSION`](super::SCHEMA_VERSION).
    pub schema_version: u32,
    /// The processes, by pid.
    pub processes: Vec<ProcessReport<R>>,
    /// Processes that have ended and of which there is no room for more than the number.
    pub ended_and_forgotten: u64,
}

/// What is known of one process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessReport<R = Report> {
    /// Its id.
    pub pid: u32,
    /// The path of its executable, if that is known.
    pub exe: Option<String>,
    /// How it is watched.
    pub state: ProcessState,
    /// More about that, in words.
    pub reason: Option<String>,
    /// The last report on it, if there is one.
    pub report: Option<R>,
}

/// How a process is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessState {
    /// It is watched, or was to the end of the session.
    Watched,
    /// It has exited.
    Exited,
    /// It has become another program.
    Execed,
    /// Reading its memory does not return.
    Blocked,
    /// It cannot be watched.
    Refused,
}

impl ProcessState {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Watched => "watched",
            Self::Exited => "exited",
            Self::Execed => "execed",
            Self::Blocked => "blocked",
            Self::Refused => "refused",
        }
    }
}
