//! What is kept of a process for the time after its end, and when a snapshot of it is wanted.
//!
//! It is told numbers with their time, and decides; others read, take and write. All that it keeps is bounded.

mod ending;
mod file;
mod looks;
mod memory;
mod rotation;
mod steps;
mod text;

use std::collections::{BTreeMap, VecDeque};

use crate::base::num::{Ktime, Pc, ReturnPc};
use crate::base::time::{MINUTE_NS, SECOND_NS};
use crate::schema::{BlackBoxChange, BlackBoxLook, BlackBoxName, Location, MemoryUse, Severity};

use super::suspicion::SuspicionKind;
use looks::Looks;

pub use ending::{EndFacts, ExitStatus, KillsBefore, OomKills, StatusSource, ending};
pub use file::{EVENT_FILE, EventError, MAX_EVENT, decode, encode};
pub use memory::{Level, available, cgroup_limit, event_count, file_cache, percent_of, tightest, until_next};
pub use rotation::{Bounds, Kept, surplus};
pub use steps::{Steps, StepsError};
pub use text::render;

/// How many changes are remembered of a process.
const MOST_CHANGES: usize = 64;

/// After this time there is a snapshot again of what has become conspicuous.
const CONSPICUOUS_AGAIN_NS: u64 = 10 * MINUTE_NS;

/// The least part of a limit that a process has itself for its snapshot to be wanted, in percent.
const LEAST_PART: u32 = 10;

/// The least time between two snapshots because of memory.
const MEMORY_AGAIN_NS: u64 = SECOND_NS;

/// Something conspicuous, whichever line it is on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// A `go` statement is suspected, with the function that it starts.
    Suspected(ReturnPc, Pc, SuspicionKind),
    /// A study has found an incident, with its id.
    Incident(String, Severity),
}

/// Why a snapshot is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// So many percent of the memory that it may have are used.
    Memory(u32),
    /// Something about it has become conspicuous.
    Conspicuous,
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Memory(percent) => write!(f, "memory reached {percent}% of its limit"),
            Self::Conspicuous => f.write_str("something was suspected or found"),
        }
    }
}

/// What is kept of one process.
#[derive(Clone, Debug)]
pub struct BlackBox {
    looks: Looks,
    changes: VecDeque<BlackBoxChange>,
    marks: BTreeMap<Mark, (String, Location)>,
    /// Whether something has become conspicuous since the last snapshot.
    is_news: bool,
    steps: Steps,
    memory: Option<MemoryUse>,
    /// When a snapshot was last begun, because of memory and at all.
    last_of_memory: Option<Ktime>,
    last: Option<Ktime>,
    is_under_way: bool,
    /// Whether there is something to be kept of it.
    is_worth_keeping: bool,
    /// Its entry, if one was begun.
    pub name: Option<BlackBoxName>,
}

impl BlackBox {
    /// Of a process of which nothing is known, with snapshots at these steps of memory.
    pub fn new(steps: Steps) -> Self {
        Self {
            looks: Looks::default(),
            changes: VecDeque::new(),
            marks: BTreeMap::new(),
            is_news: false,
            steps,
            memory: None,
            last_of_memory: None,
            last: None,
            is_under_way: false,
            is_worth_keeping: false,
            name: None,
        }
    }

    /// This was counted.
    pub fn looked(&mut self, look: BlackBoxLook) {
        self.looks.push(look);
    }

    /// This much memory is used, of which the process itself has `resident` bytes, if that is known. One that has little of it
    /// is not why it is used, and no snapshot of it is wanted.
    pub fn memory_is(&mut self, used: MemoryUse, resident: Option<u64>) {
        self.memory = Some(used);
        if resident.is_some_and(|resident| percent_of(resident, used.limit) < LEAST_PART) {
            return;
        }
        self.steps.at(percent_of(used.used, used.limit));
        self.is_worth_keeping |= self.steps.pending().is_some();
    }

    /// All that is conspicuous now: what, and at which line.
    pub fn marked(&mut self, unix_ns: u64, marks: BTreeMap<Mark, (String, Location)>) {
        let before = std::mem::replace(&mut self.marks, marks);
        let gone =
            before.iter().filter(|(mark, _)| !self.marks.contains_key(mark)).map(|(_, it)| (it, false));
        let come = self.marks.iter().filter(|(mark, _)| !before.contains_key(mark)).map(|(_, it)| (it, true));
        for ((what, at), came) in gone.chain(come) {
            self.is_news |= came;
            self.is_worth_keeping |= came;
            if self.changes.len() == MOST_CHANGES {
                self.changes.pop_front();
            }
            self.changes.push_back(BlackBoxChange { unix_ns, came, what: what.clone(), at: at.clone() });
        }
    }

    /// Whether a snapshot is to be taken at `now`, and why.
    pub fn wants(&self, now: Ktime) -> Option<Why> {
        let is_over = |last: Option<Ktime>, pause| last.is_none_or(|last| now.since(last) >= pause);
        if self.is_under_way {
            return None;
        }
        if let Some(percent) = self.steps.pending().filter(|_| is_over(self.last_of_memory, MEMORY_AGAIN_NS))
        {
            return Some(Why::Memory(percent));
        }
        (self.is_news && is_over(self.last, CONSPICUOUS_AGAIN_NS)).then_some(Why::Conspicuous)
    }

    /// A snapshot is being taken.
    pub fn began(&mut self, why: Why, now: Ktime) {
        (self.is_under_way, self.is_news, self.last) = (true, false, Some(now));
        if let Why::Memory(percent) = why {
            self.last_of_memory = Some(now);
            self.steps.took(percent);
        }
    }

    /// It is there, or is not to be had.
    pub fn ended(&mut self) {
        self.is_under_way = false;
    }

    /// Whether a snapshot is being taken.
    pub const fn is_under_way(&self) -> bool {
        self.is_under_way
    }

    /// Whether something is to be kept of it when it ends otherwise than by the OOM killer.
    pub const fn is_worth_keeping(&self) -> bool {
        self.is_worth_keeping
    }

    /// Its memory when that was last read.
    pub const fn memory(&self) -> Option<MemoryUse> {
        self.memory
    }

    /// What was counted over time, the oldest first.
    pub fn looks(&self) -> Vec<BlackBoxLook> {
        self.looks.all()
    }

    /// What has become conspicuous over time, the oldest first.
    pub fn changes(&self) -> Vec<BlackBoxChange> {
        self.changes.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests;
