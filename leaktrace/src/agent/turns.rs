//! Who is read next.

use leaktrace_core::base::num::Ktime;
use leaktrace_core::node::{NextRead, Read, ReadQueue};
use leaktrace_core::schema::ProcessId;

use super::roster::{Process, Roster};

impl Roster {
    /// When this process is read next has changed.
    pub(super) fn queue(&mut self, id: ProcessId) {
        if let Some(next) = self.processes.get(&id).and_then(Process::next_read) {
            self.queue.push(id, next.at);
        }
    }

    /// The same of all.
    pub(super) fn queue_all(&mut self) {
        let all = self.processes.iter();
        self.queue = ReadQueue::of(all.filter_map(|(id, process)| Some((*id, process.next_read()?.at))));
    }

    /// Takes up to `most` processes that are to be read like this by now, and says when somebody else is. Whoever reads them
    /// [queues](Self::queue) them again.
    pub(super) fn due(&mut self, read: Read, now: Ktime, most: usize) -> (Vec<ProcessId>, Option<Ktime>) {
        let processes = &self.processes;
        self.queue.take(read, now, most, |id| processes.get(&id).and_then(Process::next_read))
    }
}

impl Process {
    /// Nothing while it cannot be read.
    fn next_read(&self) -> Option<NextRead> {
        let (at, read) = self.row.due();
        self.can_be_read().then_some(NextRead { at, read, is_alone: self.is_read_alone })
    }
}
