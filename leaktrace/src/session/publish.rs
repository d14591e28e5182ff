//! What a session makes known. Who writes, sends or shows it knows nothing of the session.

use std::sync::Arc;

use leaktrace_core::schema::{ProcessState, Report};

use crate::process::Pid;

/// A process that is watched, or was to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number in this session. No other process ever has the same.
    pub number: u32,
    /// Its id.
    pub pid: Pid,
    /// The path of its executable, as far as that is known.
    pub exe: Option<String>,
}

/// Something to be made known.
#[derive(Debug)]
pub enum Publication<'a> {
    /// A report. It never changes.
    Report {
        /// The process that it is on.
        process: Process,
        /// What it says.
        report: &'a Arc<Report>,
        /// Whether it is the last one on that process.
        is_last: bool,
    },
    /// A process is watched no longer, or never was.
    Ended {
        /// The process.
        process: Process,
        /// How that came about.
        state: ProcessState,
        /// The same in words, where there is more to say.
        reason: Option<String>,
    },
    /// All reports that there are now belong together.
    Round {
        /// Whether no other will come.
        is_last: bool,
    },
}

/// Whoever wants to know.
pub trait Consumer {
    /// Takes notice of it.
    fn take(&mut self, publication: &Publication<'_>) -> anyhow::Result<()>;
}
