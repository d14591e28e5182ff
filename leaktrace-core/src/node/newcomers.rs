//! Processes that are to be looked at soon, each once however often something happens to it.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::num::Ktime;

/// How many wait at most.
const MOST: usize = 1 << 16;

/// Those that wait, and until when. A process that ends before its turn costs nobody a look.
#[derive(Clone, Debug, Default)]
pub struct Newcomers {
    due: BTreeMap<u32, Ktime>,
    order: BTreeSet<(Ktime, u32)>,
}

impl Newcomers {
    /// This process is to be looked at then, whatever was said of it before. Says whether there is room for it.
    pub fn wait(&mut self, pid: u32, until: Ktime) -> bool {
        self.remove(pid);
        let has_room = self.due.len() < MOST;
        if has_room {
            self.due.insert(pid, until);
            self.order.insert((until, pid));
        }
        has_room
    }

    /// This one need not be looked at any more: it has ended, or has been.
    pub fn remove(&mut self, pid: u32) {
        if let Some(until) = self.due.remove(&pid) {
            self.order.remove(&(until, pid));
        }
    }

    /// Whether it waits.
    pub fn has(&self, pid: u32) -> bool {
        self.due.contains_key(&pid)
    }

    /// Up to `most` whose turn it is by now, those that have waited longest first. They wait no more.
    pub fn take(&mut self, now: Ktime, most: usize) -> Vec<u32> {
        let taken: Vec<u32> = self.order.range(..=(now, u32::MAX)).take(most).map(|(_, pid)| *pid).collect();
        for pid in &taken {
            self.remove(*pid);
        }
        taken
    }

    /// When the next one is to be looked at.
    pub fn next(&self) -> Option<Ktime> {
        self.order.first().map(|(until, _)| *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_looked_at_once_when_it_has_rested() {
        let mut newcomers = Newcomers::default();
        for (pid, until) in [(7, 100), (5, 90), (7, 200), (6, 95)] {
            assert!(newcomers.wait(pid, Ktime(until)));
        }
        assert_eq!(newcomers.next(), Some(Ktime(90)));
        assert_eq!(newcomers.take(Ktime(150), 1), [5]);
        newcomers.remove(6);
        assert!(newcomers.take(Ktime(150), 9).is_empty(), "7 has begun anew, and 6 has ended");
        assert!(newcomers.has(7));
        assert_eq!(newcomers.take(Ktime(200), 9), [7]);
        assert_eq!((newcomers.next(), newcomers.has(7)), (None, false));
    }

    #[test]
    fn there_is_no_room_for_any_number() {
        let mut newcomers = Newcomers::default();
        let most = u32::try_from(MOST).unwrap();
        assert!((0..most).all(|pid| newcomers.wait(pid, Ktime(1))));
        assert!(!newcomers.wait(most, Ktime(1)));
        assert!(newcomers.wait(3, Ktime(2)), "it has its place already");
        newcomers.remove(4);
        assert!(newcomers.wait(most, Ktime(1)));
    }
}
