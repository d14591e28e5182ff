//! How old goroutines are at least, without memory for each.
//!
//! Go gives ids in order, so whoever has an id that had been given at some time is as old as that. Only Ps take ids 16 at
//! once, and give them later. Of the few that may have been in a P's cache at that time, those that lived are noted.

use std::time::Duration;

use crate::base::num::{Goid, Ktime};
use crate::base::time::{SECOND_NS, nanoseconds};

/// From which age on a goroutine counts as old.
pub const OLD: Duration = Duration::from_mins(1);

/// How many marks are kept, and how far apart they are at least.
const MAX_MARKS: usize = 8;
const APART_NS: u64 = 15 * SECOND_NS;
/// Of how many ids it is noted whether they lived: 16 for each of 256 Ps.
const MAX_NOTED: u64 = 4096;

/// What had been given at some time.
#[derive(Clone, Debug)]
struct Mark {
    at: Ktime,
    /// The highest id that was given to a P.
    given: u64,
    /// How many of the highest may not have been given to a goroutine yet.
    slack: u64,
    /// A bit for each of these, from `given` down: whether a goroutine had it.
    lived: Box<[u64]>,
}

impl Mark {
    fn new(at: Ktime, given: u64, slack: u64) -> Self {
        let words = usize::try_from(slack.min(MAX_NOTED).div_ceil(64)).unwrap_or_default();
        Self { at, given, slack, lived: vec![0; words].into() }
    }

    /// The word and the bit of an id that may have been in a cache.
    fn bit(&self, goid: Goid) -> Option<(usize, u64)> {
        let below = self.given.checked_sub(goid.0)?;
        let word = usize::try_from(below / 64).ok()?;
        (word < self.lived.len()).then_some((word, 1 << (below % 64)))
    }

    fn had(&self, goid: Goid) -> bool {
        goid.0 <= self.given.saturating_sub(self.slack)
            || self.bit(goid).is_some_and(|(word, bit)| self.lived[word] & bit != 0)
    }
}

/// Ages by what had been given at some times.
#[derive(Clone, Debug, Default)]
pub struct Ages {
    /// From the first on, which is the begin of the watch.
    marks: Vec<Mark>,
}

impl Ages {
    /// Notes that ids up to `given` had been given at `at`, of which the highest `slack` may still be in the Ps' caches.
    /// Whether it was noted, and not too soon after the one before: then it wants to know who [lived](Self::lived).
    pub fn mark(&mut self, at: Ktime, given: u64, slack: u64) -> bool {
        let last = self.marks.last();
        if last.is_some_and(|last| at.since(last.at) < APART_NS) {
            return false;
        }
        // Ids are never taken back: who says less has not seen all.
        let given = last.map_or(given, |last| given.max(last.given));
        self.marks.push(Mark::new(at, given, slack));
        if self.marks.len() > MAX_MARKS {
            self.thin(at);
        }
        true
    }

    /// Notes that the goroutine with this id lived at the last mark.
    pub fn lived(&mut self, goid: Goid) {
        if let Some(mark) = self.marks.last_mut()
            && let Some((word, bit)) = mark.bit(goid)
        {
            mark.lived[word] |= bit;
        }
    }

    /// For how long the goroutine with this id has lived at `now` at least.
    pub fn at_least(&self, goid: Goid, now: Ktime) -> Duration {
        let mark = self.marks.iter().find(|mark| mark.had(goid));
        mark.map_or(Duration::ZERO, |mark| Duration::from_nanos(now.since(mark.at)))
    }

    /// For how long there has been a watch at `now`.
    pub fn watched(&self, now: Ktime) -> Duration {
        self.marks.first().map_or(Duration::ZERO, |mark| Duration::from_nanos(now.since(mark.at)))
    }

    /// Forgets one mark: neither the first, nor one that says who is old now or soon. Of the others, the one whose
    /// neighbours are the nearest for their age.
    fn thin(&mut self, now: Ktime) {
        let age = |index: usize| now.since(self.marks[index].at);
        let old = (0..self.marks.len()).filter(|index| age(*index) >= nanoseconds(OLD)).count();
        let nearness =
            |index: &usize| u128::from(age(index + 1)) * (1 << 32) / u128::from(age(index - 1)).max(1);
        let nearest = (1..old.saturating_sub(1)).max_by_key(nearness).unwrap_or(1);
        self.marks.remove(nearest);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Ktime {
        Ktime(1_000_000).plus(seconds * SECOND_NS)
    }

    fn seconds(ages: &Ages, goid: u64, now: u64) -> u64 {
        ages.at_least(Goid(goid), at(now)).as_secs()
    }

    #[test]
    fn an_id_that_was_given_is_as_old_as_that() {
        let mut ages = Ages::default();
        assert!(ages.mark(at(0), 1000, 64));
        assert!(!ages.mark(at(14), 1100, 64), "too soon");
        assert!(ages.mark(at(20), 2000, 64));
        assert_eq!(seconds(&ages, 936, 30), 30);
        assert_eq!(seconds(&ages, 937, 30), 10, "it may have been in a cache at first");
        assert_eq!(seconds(&ages, 1936, 30), 10);
        assert_eq!(seconds(&ages, 1937, 30), 0);
        assert_eq!(ages.watched(at(30)).as_secs(), 30);
    }

    #[test]
    fn who_lived_is_as_old_as_that_whatever_is_in_caches() {
        let mut ages = Ages::default();
        // A small program on a large machine: all of its ids may be in caches.
        ages.mark(at(0), 80, 1024);
        for goid in [1, 17, 80, 81] {
            ages.lived(Goid(goid));
        }
        for (goid, age) in [(1, 60), (17, 60), (80, 60), (18, 0), (81, 0)] {
            assert_eq!(seconds(&ages, goid, 60), age, "{goid}");
        }
    }

    #[test]
    fn ids_are_never_taken_back() {
        let mut ages = Ages::default();
        ages.mark(at(0), 500, 0);
        ages.mark(at(20), 100, 0);
        assert_eq!(seconds(&ages, 500, 20), 20);
    }

    proptest! {
        #[test]
        fn ages_are_never_too_high_and_minutes_are_known(
            pauses in prop::collection::vec(5_u64..70, 1..200),
            slack in 0_u64..200,
        ) {
            let mut ages = Ages::default();
            // An id a second, so that an id says when it was given.
            let (mut now, mut marks) = (0, Vec::new());
            for pause in pauses {
                now += pause;
                if ages.mark(at(now), now, slack) {
                    (0..=now).for_each(|goid| ages.lived(Goid(goid)));
                    marks.push(now);
                }
                prop_assert!(ages.marks.len() <= MAX_MARKS);
                prop_assert_eq!(ages.watched(at(now)).as_secs(), now - marks[0]);
                for goid in 0..=now {
                    prop_assert!(seconds(&ages, goid, now) <= now - goid);
                }
                // Whoever was there at the youngest mark that is a minute old is known to be old.
                if let Some(mark) = marks.iter().rev().find(|mark| now - **mark >= 60) {
                    prop_assert!(ages.at_least(Goid(*mark), at(now)) >= OLD);
                }
            }
        }
    }
}
