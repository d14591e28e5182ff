//! The agent's own memory: what is given up where it is more than it may be.

use super::main_loop::Agent;
use super::roster::{Process, Roster};
use crate::allocator;
use crate::process::Pid;
use crate::process::stat::anonymous;

/// One in so many of the processes gives something up at a time.
const PART: usize = 4;

/// How often something was given up.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dropped {
    pub(super) reports: u64,
    pub(super) names: u64,
}

impl Agent<'_> {
    /// Gives up what is known of those processes that matter least, if there is too little memory: reports first, and names
    /// where there are none.
    pub(super) fn keep_within_memory(&mut self) {
        if self.memory.most().is_none() {
            return;
        }
        if self.memory.see(anonymous(self.procfs, Pid::own()).unwrap_or(0)) {
            let reports = self.roster.drop_of_least(Process::drop_report);
            let names = if reports == 0 { self.roster.drop_of_least(Process::drop_names) } else { 0 };
            self.dropped.reports += reports;
            self.dropped.names += names;
            self.is_news |= reports + names > 0;
            allocator::give_back();
        } else if !self.memory.is_short() {
            self.roster.allow_names();
        }
    }
}

impl Roster {
    /// Has some of those that matter least drop something, and says how many had it.
    fn drop_of_least(&mut self, mut drop: impl FnMut(&mut Process) -> bool) -> u64 {
        let mut ids: Vec<_> = self.iter().map(|(id, process)| (importance(process), id)).collect();
        ids.sort_unstable();
        let most = ids.len().div_ceil(PART);
        let mut dropped = 0;
        for (_, id) in ids {
            if dropped < most && self.get_mut(id).is_some_and(&mut drop) {
                dropped += 1;
            }
        }
        dropped as u64
    }
}

impl Process {
    /// The incidents that it told of stay known.
    fn drop_report(&mut self) -> bool {
        self.told_before = self.incidents();
        self.asked.take().is_some() | self.studied.take().is_some()
    }

    fn drop_names(&mut self) -> bool {
        self.is_nameless = true;
        !std::mem::take(&mut self.names).is_empty()
    }
}

/// What matters least comes first.
fn importance(process: &Process) -> (bool, bool, Option<u64>) {
    (process.has_incidents(), process.row().is_suspect(), process.row().goroutines())
}
