//! Whose turn it is to be read, without asking everybody each time.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use crate::base::num::Ktime;
use crate::schema::ProcessId;

use super::pace::Read;

/// What a process says of its next turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextRead {
    /// When it is.
    pub at: Ktime,
    /// What is read.
    pub read: Read,
    /// Whether nobody else is to be read with it.
    pub is_alone: bool,
}

/// Who is read when. An entry may be out of date, and a process have several: what counts is what the process says when its
/// time has come.
#[derive(Clone, Debug, Default)]
pub struct ReadQueue {
    later: BinaryHeap<Reverse<(Ktime, ProcessId)>>,
    due: [BTreeSet<(Ktime, ProcessId)>; 2],
}

impl ReadQueue {
    /// Of all these.
    pub fn of(all: impl IntoIterator<Item = (ProcessId, Ktime)>) -> Self {
        let later = all.into_iter().map(|(id, at)| Reverse((at, id))).collect();
        Self { later, due: Default::default() }
    }

    /// This process is to be read then.
    pub fn push(&mut self, id: ProcessId, at: Ktime) {
        self.later.push(Reverse((at, id)));
    }

    /// Takes up to `most` processes that are to be read like this by now, those that have waited longest, and says when somebody
    /// else is to be read. One that is read alone comes with nobody; one that `says` nothing cannot be read, and is forgotten.
    pub fn take(
        &mut self,
        read: Read,
        now: Ktime,
        most: usize,
        says: impl Fn(ProcessId) -> Option<NextRead>,
    ) -> (Vec<ProcessId>, Option<Ktime>) {
        self.ripen(now, &says);
        let due = &mut self.due[read as usize];
        due.retain(|(_, id)| says(*id).is_some());
        let is_alone = |id: ProcessId| says(id).is_some_and(|next| next.is_alone);
        let comes_alone = due.first().is_some_and(|(_, id)| is_alone(*id));
        let most = if comes_alone { most.min(1) } else { most };
        let with = due.iter().filter(|(_, id)| is_alone(*id) == comes_alone);
        let taken: Vec<(Ktime, ProcessId)> = with.take(most).copied().collect();
        for entry in &taken {
            due.remove(entry);
        }
        let later = self.later.peek().map(|Reverse((at, _))| *at);
        let next = due.first().map(|(at, _)| *at).into_iter().chain(later).min();
        (taken.into_iter().map(|(_, id)| id).collect(), next)
    }

    /// Finds out which of those are due whose time has come.
    fn ripen(&mut self, now: Ktime, says: impl Fn(ProcessId) -> Option<NextRead>) {
        while let Some(Reverse((_, id))) = self.later.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            self.later.pop();
            match says(id) {
                Some(next) if next.at <= now => _ = self.due[next.read as usize].insert((next.at, id)),
                Some(next) => self.later.push(Reverse((next.at, id))),
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const NOW: Ktime = Ktime(100);

    fn id(pid: u32) -> ProcessId {
        ProcessId { pid, start_ticks: 1 }
    }

    /// What processes say, by their pids.
    struct Said(BTreeMap<u32, NextRead>);

    impl Said {
        fn of(all: &[(u32, u64, Read)]) -> Self {
            let next = |at, read| NextRead { at: Ktime(at), read, is_alone: false };
            Self(all.iter().map(|(pid, at, read)| (*pid, next(*at, *read))).collect())
        }

        fn queue(&self) -> ReadQueue {
            ReadQueue::of(self.0.iter().map(|(pid, next)| (id(*pid), next.at)))
        }

        fn take(&self, queue: &mut ReadQueue, read: Read, most: usize) -> (Vec<u32>, Option<u64>) {
            let (ids, next) = queue.take(read, NOW, most, |id| self.0.get(&id.pid).copied());
            (ids.into_iter().map(|id| id.pid).collect(), next.map(|at| at.0))
        }
    }

    #[test]
    fn those_that_have_waited_longest_come_first_and_each_once() {
        let said =
            Said::of(&[(1, 90, Read::Peek), (2, 80, Read::Peek), (3, 70, Read::Count), (4, 120, Read::Peek)]);
        let mut queue = said.queue();
        queue.push(id(2), Ktime(80));
        assert_eq!(said.take(&mut queue, Read::Peek, 1), (vec![2], Some(90)));
        assert_eq!(said.take(&mut queue, Read::Peek, 9), (vec![1], Some(120)));
        assert_eq!(said.take(&mut queue, Read::Count, 9), (vec![3], Some(120)));
        assert_eq!(said.take(&mut queue, Read::Peek, 9), (vec![], Some(120)));
    }

    #[test]
    fn what_a_process_says_counts_and_not_what_was_noted() {
        let mut said = Said::of(&[(1, 90, Read::Peek), (2, 90, Read::Peek)]);
        let mut queue = said.queue();
        said.0.get_mut(&1).unwrap().at = Ktime(150);
        said.0.remove(&2);
        assert_eq!(said.take(&mut queue, Read::Peek, 9), (vec![], Some(150)), "later, and never");
        said.0.get_mut(&1).unwrap().at = Ktime(95);
        queue.push(id(1), Ktime(95));
        assert_eq!(said.take(&mut queue, Read::Peek, 9).0, [1]);
    }

    #[test]
    fn whoever_is_read_alone_comes_with_nobody() {
        let mut said = Said::of(&[(1, 90, Read::Peek), (2, 91, Read::Peek), (3, 92, Read::Peek)]);
        said.0.get_mut(&2).unwrap().is_alone = true;
        let mut queue = said.queue();
        assert_eq!(said.take(&mut queue, Read::Peek, 9), (vec![1, 3], Some(91)));
        assert_eq!(said.take(&mut queue, Read::Peek, 9), (vec![2], None));
    }
}
