//! Which goroutines ended lately, so that a birth that arrives late or a snapshot that began before the end
//! does not bring them back to life.

use crate::base::hash::KeyedMap;
use crate::base::num::{Goid, Ktime};
use crate::base::time::SECOND_NS;

/// How long an end is remembered at least while no snapshot is being taken, in nanoseconds of event time.
/// Records of different CPUs are at most some milliseconds out of order.
const WINDOW_NS: u64 = SECOND_NS / 2;

/// An end that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// When it happened.
    pub(super) at: Ktime,
    /// As whose end it has been counted.
    pub(super) counted: Counted,
}

/// As whose end an end has been counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// That of a goroutine whose birth has been counted as well.
    Known,
    /// That of one from before the probes were attached, which no snapshot has shown.
    FromBefore,
    /// That of nobody yet.
    Not,
}

/// The ends of the last while, in two generations of which the older is dropped as a whole.
#[derive(Debug)]
pub(super) struct RecentEnds {
    young: KeyedMap<Goid, Ended>,
    old: KeyedMap<Goid, Ended>,
    young_since: Ktime,
    old_since: Ktime,
    /// While a snapshot is being taken nothing is dropped.
    held: bool,
    limit: usize,
}

impl RecentEnds {
    /// Remembers at most `limit` ends.
    pub(super) fn new(limit: usize) -> Self {
        let (young, old) = (KeyedMap::default(), KeyedMap::default());
        Self { young, old, young_since: Ktime(0), old_since: Ktime(0), held: false, limit }
    }

    /// Every end after this time is remembered.
    pub(super) fn complete_after(&self) -> Ktime {
        self.old_since
    }

    /// What is known of the end of `goid`.
    pub(super) fn get(&self, goid: Goid) -> Option<Ended> {
        self.young.get(&goid).or_else(|| self.old.get(&goid)).copied()
    }

    /// Remembers an end; `now` is the newest time that any event has had.
    pub(super) fn insert(&mut self, goid: Goid, ended: Ended, now: Ktime) {
        if self.young.len() + self.old.len() >= self.limit {
            self.age(now);
        }
        if !self.held && now.since(self.young_since) > WINDOW_NS {
            self.age(now);
        }
        self.young.insert(goid, ended);
    }

    /// Notes that the end of `goid` has been counted; says what was known of it until now.
    pub(super) fn count(&mut self, goid: Goid) -> Option<Ended> {
        let ended = self.young.get_mut(&goid).or_else(|| self.old.get_mut(&goid))?;
        let before = *ended;
        ended.counted = Counted::Known;
        Some(before)
    }

    /// Keeps every end until [`release`](Self::release), as far as the limit allows.
    pub(super) fn hold(&mut self) {
        self.held = true;
    }

    /// Whether a snapshot is being taken.
    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    /// The snapshot is done.
    pub(super) fn release(&mut self) {
        self.held = false;
    }

    fn age(&mut self, now: Ktime) {
        self.old.clear();
        std::mem::swap(&mut self.old, &mut self.young);
        self.old_since = self.young_since;
        self.young_since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ns: u64) -> Ended {
        Ended { at: Ktime(ns), counted: Counted::Known }
    }

    #[test]
    fn an_end_outlives_the_window_and_not_much_more() {
        let mut ends = RecentEnds::new(1_000);
        ends.insert(Goid(1), at(10), Ktime(10));
        ends.insert(Goid(2), at(WINDOW_NS + 20), Ktime(WINDOW_NS + 20));
        assert_eq!(ends.get(Goid(1)), Some(at(10)));
        ends.insert(Goid(3), at(2 * WINDOW_NS + 30), Ktime(2 * WINDOW_NS + 30));
        assert_eq!(ends.get(Goid(1)), None);
        assert_eq!(ends.complete_after(), Ktime(WINDOW_NS + 20));
    }

    #[test]
    fn during_a_snapshot_only_the_limit_forgets_and_that_is_known() {
        let mut ends = RecentEnds::new(4);
        ends.hold();
        for n in 1..=3 {
            ends.insert(Goid(n), at(n * WINDOW_NS * 2), Ktime(n * WINDOW_NS * 2));
        }
        assert_eq!((ends.get(Goid(1)), ends.complete_after()), (Some(at(WINDOW_NS * 2)), Ktime(0)));
        for n in 4..=9 {
            ends.insert(Goid(n), at(n * WINDOW_NS * 2), Ktime(n * WINDOW_NS * 2));
        }
        assert_eq!(ends.get(Goid(1)), None);
        assert!(ends.complete_after() > Ktime(WINDOW_NS * 2));
        assert_eq!(ends.get(Goid(9)), Some(at(9 * WINDOW_NS * 2)));
    }

    #[test]
    fn an_end_is_counted_once() {
        let mut ends = RecentEnds::new(10);
        ends.insert(Goid(1), Ended { at: Ktime(1), counted: Counted::Not }, Ktime(1));
        let mut counted = |goid| ends.count(Goid(goid)).map(|ended| ended.counted);
        assert_eq!([counted(1), counted(1), counted(2)], [Some(Counted::Not), Some(Counted::Known), None]);
    }
}
