//! Of very many goroutines that stand at one place, rules look at some, of which each counts for several: a million that
//! leak tell no more than some thousands, and take gigabytes.
//!
//! A place is a `go` statement, a stack and what is waited for. Where few stand, all are looked at: the one goroutine
//! that is different is never left out. Which ones stand for the others is told by their ids, so that they are the same
//! ones in every snapshot.

use std::hash::BuildHasher;

use crate::base::hash::{Keyed, KeyedMap};
use crate::base::num::Goid;
use crate::go::goroutines::{Goroutine, Snapshot};

/// Up to so many goroutines of one place are looked at, and at least a quarter of it where there are more.
const MOST: u32 = 4096;

/// 2^64 divided by the golden ratio, the fraction that is farthest from simple ones.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// So many goroutines in all may be looked at wherever they stand.
const ALL: usize = 16_384;

/// Chooses the goroutines of one process that rules look at.
#[derive(Debug, Default)]
pub struct Sampler {
    hasher: Keyed,
    /// One in `1 << bits` is looked at, by place.
    bits: KeyedMap<u64, u32>,
}

/// What one goroutine that is looked at stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    /// For how many it counts, so that all of a place together count for as many as there are.
    pub count: u32,
    /// One in so many was to be looked at: a power of two.
    pub share: u32,
}

impl Weight {
    /// It stands for itself.
    pub const ONE: Self = Self { count: 1, share: 1 };
}

/// The goroutines that stand for all.
#[derive(Debug)]
pub struct Sample {
    /// They, and the stacks of all.
    pub snapshot: Snapshot,
    /// What each of them stands for.
    pub weights: Vec<Weight>,
    /// Where each of all goroutines stands, in their order.
    pub(super) places: Vec<u64>,
}

impl Sampler {
    /// Chooses from `snapshot`, whose stacks are moved to the sample; `None` where rules can look at all.
    pub fn choose(&mut self, snapshot: &mut Snapshot) -> Option<Sample> {
        if snapshot.goroutines.len() <= ALL {
            self.bits.clear();
            return None;
        }
        let places = self.places(snapshot);
        let mut shares = self.shares(&places);
        let all = snapshot.goroutines.iter().zip(&places);
        let is_chosen = |(one, place): &(&Goroutine, &u64)| {
            shares.get(*place).is_none_or(|share| stands_for(one.goid, 1 << share.bits))
        };
        let chosen: Vec<(Goroutine, u64)> =
            all.filter(is_chosen).map(|(one, place)| (*one, *place)).collect();
        for (_, place) in &chosen {
            shares.entry(*place).and_modify(|share| share.chosen += 1);
        }
        self.bits = shares.iter().map(|(place, share)| (*place, share.bits)).collect();
        let mut weight = |place| shares.get_mut(&place).map_or(Weight::ONE, Share::next);
        let (goroutines, weights) = chosen.into_iter().map(|(one, place)| (one, weight(place))).unzip();
        let stacks = std::mem::take(&mut snapshot.stacks);
        Some(Sample { snapshot: Snapshot { goroutines, stacks, ..*snapshot }, weights, places })
    }

    /// The place of each goroutine: the same number for the same place in every snapshot.
    fn places(&self, snapshot: &Snapshot) -> Vec<u64> {
        let stacks: Vec<u64> =
            snapshot.stacks.iter().map(|(_, stack)| self.hasher.hash_one(stack.pcs)).collect();
        let place = |one: &Goroutine| {
            let stack = one.stack_id.and_then(|id| stacks.get(id.index()));
            self.hasher.hash_one((one.gopc, stack, one.wait_reason, one.status))
        };
        snapshot.goroutines.iter().map(place).collect()
    }

    /// The places of which only a share is looked at. It stays the same as long as that will do, because goroutines that
    /// come into the sample and leave it look as if they were born and ended.
    fn shares(&self, places: &[u64]) -> KeyedMap<u64, Share> {
        let mut counts: KeyedMap<u64, u32> = KeyedMap::default();
        for place in places {
            *counts.entry(*place).or_insert(0) += 1;
        }
        let share = |(place, count): (u64, u32)| {
            let before = self.bits.get(&place).copied().unwrap_or(0);
            let will_do = (MOST / 4..=MOST).contains(&(count >> before)) || before == 0 && count <= MOST;
            let bits = if will_do { before } else { fewest_bits(count) };
            (place, Share { bits, count, chosen: 0 })
        };
        counts.into_iter().map(share).filter(|(_, share)| share.bits > 0).collect()
    }
}

/// Of one place, the goroutines that still need somebody who stands for them.
#[derive(Clone, Copy, Debug)]
struct Share {
    bits: u32,
    count: u32,
    chosen: u32,
}

impl Share {
    /// What the next one that was chosen stands for.
    const fn next(&mut self) -> Weight {
        let count = self.count.div_ceil(if self.chosen == 0 { 1 } else { self.chosen });
        self.count -= count;
        self.chosen = self.chosen.saturating_sub(1);
        Weight { count, share: 1 << self.bits }
    }
}

const fn fewest_bits(count: u32) -> u32 {
    let mut bits = 0;
    while count >> bits > MOST {
        bits += 1;
    }
    bits
}

/// Whether this goroutine is looked at where one in `share` is, a power of two. The multiples of [`GOLDEN`] are spread
/// evenly.
pub(super) const fn stands_for(goid: Goid, share: u32) -> bool {
    goid.0.wrapping_mul(GOLDEN) >> 32 & (share as u64).saturating_sub(1) == 0
}

/// A goroutine that waits for this reason, for tests.
#[cfg(test)]
pub(super) fn goroutine(goid: u64, wait_reason: u8) -> Goroutine {
    use crate::base::num::{Avma, GPtr, Pc, ReturnPc};
    use crate::go::goroutines::{GoroutineKind, StackBounds};
    use crate::go::names::Status;
    Goroutine {
        goid: Goid(goid),
        g: GPtr(goid * 512),
        parent_goid: None,
        gopc: ReturnPc(0x40_1000),
        startpc: Pc(0x40_2000),
        stack: StackBounds { lo: Avma(0), hi: Avma(8192) },
        wait_since: None,
        labels: Avma(0),
        waiting: Avma(0),
        stack_id: None,
        stack_used: 0,
        status: Status::Waiting,
        wait_reason,
        tracking_seq: None,
        locked: false,
        moved: false,
        kind: GoroutineKind::User,
    }
}

/// What a walk found that found these, for tests.
#[cfg(test)]
pub(super) fn made_up(goroutines: Vec<Goroutine>) -> Snapshot {
    use crate::base::num::Ktime;
    use crate::go::goroutines::{StackTable, Want};
    Snapshot {
        goroutines,
        stacks: StackTable::new(),
        started: Ktime(0),
        finished: Ktime(0),
        want: Want::Stacks,
        unreadable: 0,
        moved: 0,
        dead: 0,
        beyond_limit: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many that wait, one after the other, for each reason.
    fn snapshot(counts: &[u64]) -> Snapshot {
        let mut goroutines = Vec::new();
        for (reason, &count) in (0..).zip(counts) {
            goroutines.extend((0..count).map(|index| goroutine(1 + index * 256 + u64::from(reason), reason)));
        }
        made_up(goroutines)
    }

    fn weight_of(sample: &Sample, reason: u8) -> (usize, u64) {
        let all = sample.snapshot.goroutines.iter().zip(&sample.weights);
        let these: Vec<u64> = all
            .filter(|(one, _)| one.wait_reason == reason)
            .map(|(_, weight)| u64::from(weight.count))
            .collect();
        (these.len(), these.iter().sum())
    }

    #[test]
    fn all_are_looked_at_where_there_are_few() {
        assert!(Sampler::default().choose(&mut snapshot(&[10_000, 1])).is_none());
    }

    #[test]
    fn few_stand_for_many_and_the_only_one_of_its_kind_for_itself() {
        let sample = Sampler::default().choose(&mut snapshot(&[1_000_000, 1, 3_000])).unwrap();
        let (looked_at, stand_for) = weight_of(&sample, 0);
        assert!((1_024..=5_000).contains(&looked_at), "{looked_at}");
        assert_eq!(stand_for, 1_000_000);
        assert_eq!(weight_of(&sample, 1), (1, 1));
        assert_eq!(weight_of(&sample, 2), (3_000, 3_000));
        assert_eq!(sample.places.len(), 1_003_001);
    }

    #[test]
    fn those_that_stand_for_others_do_so_as_long_as_there_are_about_as_many() {
        let mut sampler = Sampler::default();
        let mut chosen = |count| {
            sampler.choose(&mut snapshot(&[count])).unwrap().snapshot.goroutines.len() as u64 * 10_000 / count
        };
        let shares = [chosen(60_000), chosen(40_000), chosen(64_000)];
        assert!(shares.iter().all(|share| share.abs_diff(10_000 / 16) < 60), "{shares:?}");
    }
}
