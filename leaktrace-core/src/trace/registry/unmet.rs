//! Births that probes on `go` statements have seen, and whose goroutines no snapshot has shown yet.
//!
//! Such a probe is hit before there is a goroutine: it says who starts one, where and when, and not which. A snapshot
//! that shows a new goroutine of the same creator and site meets one of these births; what it does not meet, although it
//! had to be there by then, has ended.

use super::lineage::LineageId;
use super::sites::SiteId;
use crate::base::hash::KeyedMap;
use crate::base::num::{Goid, Ktime};

/// Of how many births the time is remembered, and the creator.
const MOST: usize = 1 << 18;

/// Stands for every creator where snapshots do not say who created a goroutine (before Go 1.21), and for those of whom there
/// are too many.
const ANYBODY: Goid = Goid(0);

/// All births that are unmet.
#[derive(Debug, Default)]
pub(super) struct Unmet {
    sites: KeyedMap<SiteId, KeyedMap<Goid, Births>>,
    /// How many have their time remembered.
    timed: usize,
    /// When the last snapshot began.
    last_look: Ktime,
}

/// What is known of the birth of a goroutine that a snapshot shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Met {
    /// When it was born at the latest.
    pub(super) at: Ktime,
    /// Whether it can be no other birth, so that this is the very time.
    pub(super) is_exact: bool,
    /// How it came about, if all births that it can be came about in the same way.
    pub(super) lineage: LineageId,
}

/// The births of one site by one creator.
#[derive(Debug)]
struct Births {
    times: Vec<Ktime>,
    /// Those without a time, and when the last of them was.
    untimed: u64,
    newest: Ktime,
    lineage: LineageId,
    /// How many of them the snapshot at hand has met.
    met: u64,
}

impl Unmet {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.sites.is_empty()
    }

    /// A `go` statement was about to run.
    pub(super) fn add(&mut self, site: SiteId, creator: Goid, at: Ktime, lineage: LineageId) {
        let creator = if self.timed < MOST { creator } else { ANYBODY };
        let births = self.sites.entry(site).or_default().entry(creator);
        let births = births.or_insert_with(|| Births::new(lineage));
        if self.timed < MOST {
            self.timed += 1;
            births.times.push(at);
        } else {
            births.untimed += 1;
        }
        births.newest = births.newest.max(at);
        births.agree_on(lineage);
    }

    /// A snapshot shows a new goroutine of this site and, where that is known, of this creator.
    pub(super) fn meet(&mut self, site: SiteId, creator: Option<Goid>) -> Option<Met> {
        let creators = self.sites.get_mut(&site)?;
        if creator.is_none() {
            forget_creators(creators);
        }
        let known = creator.filter(|creator| creators.contains_key(creator));
        let births = creators.get_mut(&known.unwrap_or(ANYBODY))?;
        if births.met == births.count() {
            return None;
        }
        births.met += 1;
        Some(Met { at: births.newest, is_exact: births.count() == 1, lineage: births.lineage })
    }

    /// The snapshot that began at `started` has shown all that it shows: how many of each site were born before and have
    /// ended. Where it is not `complete` that is said only of those that the one before should have shown as well.
    pub(super) fn settle(&mut self, started: Ktime, complete: bool) -> Vec<(SiteId, u64)> {
        let until = if complete { started } else { self.last_look };
        self.last_look = started;
        let mut ended = Vec::new();
        for (site, creators) in &mut self.sites {
            ended.push((*site, creators.values_mut().map(|births| births.settle(until)).sum()));
            creators.retain(|_, births| births.count() > 0);
        }
        self.sites.retain(|_, creators| !creators.is_empty());
        let births = self.sites.values().flat_map(KeyedMap::values);
        self.timed = births.map(|births| births.times.len()).sum();
        ended
    }
}

impl Births {
    const fn new(lineage: LineageId) -> Self {
        Self { times: Vec::new(), untimed: 0, newest: Ktime(0), lineage, met: 0 }
    }

    const fn count(&self) -> u64 {
        self.times.len() as u64 + self.untimed
    }

    fn agree_on(&mut self, lineage: LineageId) {
        if self.lineage != lineage {
            self.lineage = LineageId::UNKNOWN;
        }
    }

    /// Leaves those that may be shown yet, because they were later than `until`; how many of the others have ended.
    fn settle(&mut self, until: Ktime) -> u64 {
        let left = self.count() - self.met;
        self.times.sort_unstable();
        let early = self.times.partition_point(|at| *at <= until);
        let untimed = if self.newest > until { self.untimed } else { 0 };
        let later = (self.times.len() - early) as u64 + untimed;
        let stay = left.min(later);
        self.untimed = stay.min(untimed);
        let timed = usize::try_from(stay - self.untimed).unwrap_or(usize::MAX);
        self.times.drain(..self.times.len().saturating_sub(timed));
        self.met = 0;
        left - stay
    }

    fn take_in(&mut self, other: Self) {
        self.times.extend(other.times);
        self.untimed += other.untimed;
        self.newest = self.newest.max(other.newest);
        self.met += other.met;
        self.agree_on(other.lineage);
    }
}

/// Puts the births of all creators together.
fn forget_creators(creators: &mut KeyedMap<Goid, Births>) {
    if creators.len() == 1 && creators.contains_key(&ANYBODY) {
        return;
    }
    let mut all = creators.drain().map(|(_, births)| births);
    let Some(mut together) = all.next() else { return };
    all.for_each(|births| together.take_in(births));
    creators.insert(ANYBODY, together);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: SiteId = SiteId::OTHER;
    const CREATOR: Option<Goid> = Some(Goid(7));

    fn born(times: &[u64]) -> Unmet {
        let mut unmet = Unmet::default();
        for at in times {
            unmet.add(SITE, Goid(7), Ktime(*at), LineageId::UNKNOWN);
        }
        unmet
    }

    fn settled(unmet: &mut Unmet, started: u64, complete: bool) -> u64 {
        unmet.settle(Ktime(started), complete).iter().map(|(_, ended)| ended).sum()
    }

    #[test]
    fn what_a_snapshot_does_not_show_has_ended_unless_it_came_later() {
        let mut unmet = born(&[10, 20, 30]);
        assert_eq!(
            unmet.meet(SITE, CREATOR),
            Some(Met { at: Ktime(30), is_exact: false, lineage: LineageId::UNKNOWN })
        );
        assert_eq!(unmet.meet(SITE, Some(Goid(8))), None, "of another creator");
        assert_eq!(settled(&mut unmet, 25, true), 1, "one was shown, and one may be later");
        assert!(unmet.meet(SITE, CREATOR).is_some_and(|met| met.is_exact));
        assert_eq!(unmet.meet(SITE, CREATOR), None);
        assert_eq!(settled(&mut unmet, 40, true), 0);
        assert!(unmet.is_empty());
    }

    #[test]
    fn an_incomplete_snapshot_says_of_nobody_that_they_have_ended_at_once() {
        let mut unmet = born(&[10]);
        assert_eq!([settled(&mut unmet, 20, false), settled(&mut unmet, 30, false)], [0, 1]);
    }

    #[test]
    fn where_creators_are_not_known_all_births_of_a_site_are_one() {
        let mut unmet = born(&[10, 11]);
        unmet.add(SITE, Goid(9), Ktime(12), LineageId::UNKNOWN);
        let met = [(); 4].map(|()| unmet.meet(SITE, None).is_some());
        assert_eq!(met, [true, true, true, false]);
        assert_eq!(settled(&mut unmet, 20, true), 0);
    }

    #[test]
    fn births_without_room_are_counted_all_the_same() {
        let mut unmet = Unmet { timed: MOST, ..Unmet::default() };
        (1..=5).for_each(|at| unmet.add(SITE, Goid(7), Ktime(at), LineageId::UNKNOWN));
        assert!(unmet.meet(SITE, CREATOR).is_some());
        assert_eq!(settled(&mut unmet, 3, true), 0, "the last of them may be shown yet");
        assert_eq!(settled(&mut unmet, 6, true), 4);
    }
}
