//! Whose turn it is to be read, without asking everybody each time.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use leaktrace_core::base::num::Ktime;
use leaktrace_core::node::Read;
use leaktrace_core::schema::ProcessId;

use super::roster::{Process, Roster};

/// Who is read when. An entry may be out of date, and a process have several: what counts is what the process says when its
/// time has come.
#[derive(Default)]
pub(super) struct Turns {
    later: BinaryHeap<Reverse<(Ktime, ProcessId)>>,
    due: [BTreeSet<(Ktime, ProcessId)>; 2],
}

impl Roster {
    /// When this process is read next has changed.
    pub(super) fn queue(&mut self, id: ProcessId) {
        if let Some(process) = self.processes.get(&id).filter(|process| process.can_be_read()) {
            self.turns.later.push(Reverse((process.row.due().0, id)));
        }
    }

    /// The same of all.
    pub(super) fn queue_all(&mut self) {
        let readable = self.processes.iter().filter(|(_, process)| process.can_be_read());
        let later = readable.map(|(id, process)| Reverse((process.row.due().0, *id))).collect();
        self.turns = Turns { later, due: Default::default() };
    }

    /// Up to `most` processes that are to be read like this by now, those that have waited longest, and when somebody else is
    /// to be read. They are [queued](Self::queue) again by whoever reads them. One that is read alone comes with nobody.
    pub(super) fn due(&mut self, read: Read, now: Ktime, most: usize) -> (Vec<ProcessId>, Option<Ktime>) {
        self.ripen(now);
        let Self { processes, turns, .. } = self;
        let due = &mut turns.due[read as usize];
        due.retain(|(_, id)| processes.get(id).is_some_and(Process::can_be_read));
        let is_alone = |id: &ProcessId| processes.get(id).is_some_and(|process| process.is_read_alone);
        let comes_alone = due.first().is_some_and(|(_, id)| is_alone(id));
        let most = if comes_alone { 1 } else { most };
        let with = due.iter().filter(|(_, id)| is_alone(id) == comes_alone);
        let taken: Vec<(Ktime, ProcessId)> = with.take(most).copied().collect();
        for entry in &taken {
            due.remove(entry);
        }
        let next = turns.later.peek().map(|Reverse((at, _))| *at);
        let next = due.first().map(|(at, _)| *at).into_iter().chain(next).min();
        (taken.into_iter().map(|(_, id)| id).collect(), next)
    }

    /// Finds out which of those are due whose time has come.
    fn ripen(&mut self, now: Ktime) {
        let Turns { later, due } = &mut self.turns;
        while let Some(Reverse((_, id))) = later.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            later.pop();
            let Some(process) = self.processes.get(&id).filter(|process| process.can_be_read()) else {
                continue;
            };
            let (is_at, read) = process.row.due();
            if is_at <= now {
                due[read as usize].insert((is_at, id));
            } else {
                later.push(Reverse((is_at, id)));
            }
        }
    }
}
