//! The goroutines of a cohort or of a site, counted over time.

use std::hash::{BuildHasher as _, Hash};

use super::series::{Sample, Series};
use crate::base::hash::{Keyed, KeyedMap};
use crate::base::num::Ktime;
use crate::judge::detect::sample::Weight;

/// The goroutines of one cohort or one site.
#[derive(Clone, Debug, Default)]
pub(super) struct Population {
    /// Those that are settled, of the observation that is being taken in.
    pub(super) settled: u32,
    /// How many have settled since the beginning; not those that were there before.
    pub(super) arrived: u32,
    /// How many of those that had settled went.
    pub(super) departed: u32,
    pub(super) series: Series,
    /// One in so many of its goroutines is looked at, at the least.
    pub(super) share: u32,
    /// The last observation that showed one.
    round: u32,
}

/// Two hashes, with keys that no target knows, of what a population is of: comparing all of it took most of the time.
type Print = (u64, u64);

/// Populations by number, and by what they are of.
#[derive(Debug, Default)]
pub(super) struct Slots {
    keys: (Keyed, Keyed),
    all: Vec<(Print, Population)>,
    by_print: KeyedMap<Print, u32>,
}

impl Slots {
    /// The number of the population of what `is`, of which the observation number `round` shows a goroutine. `None` if
    /// there are `most` already and none of them is empty.
    pub(super) fn slot(&mut self, is: &impl Hash, round: u32, most: usize) -> Option<u32> {
        let print = (self.keys.0.hash_one(is), self.keys.1.hash_one(is));
        if let Some(&slot) = self.by_print.get(&print) {
            let population = &mut self.all[slot as usize].1;
            if population.round != round {
                (population.round, population.settled, population.share) = (round, 0, 1);
            }
            return Some(slot);
        }
        let new = (print, Population { round, ..Population::default() });
        let slot = if self.all.len() < most {
            self.all.push(new);
            self.all.len() - 1
        } else {
            let empty = self.longest_empty(round)?;
            self.by_print.remove(&std::mem::replace(&mut self.all[empty], new).0);
            empty
        };
        let slot = u32::try_from(slot).ok()?;
        self.by_print.insert(print, slot);
        Some(slot)
    }

    /// The one that has been empty for the longest time; not one whose goroutines may just be about to be missed.
    fn longest_empty(&self, round: u32) -> Option<usize> {
        let empty = self.all.iter().enumerate().filter(|(_, (_, one))| one.round.saturating_add(2) < round);
        empty.min_by_key(|(_, (_, one))| one.round).map(|(slot, _)| slot)
    }

    pub(super) fn get(&self, slot: u32) -> &Population {
        &self.all[slot as usize].1
    }

    /// A goroutine is here that stands for several, settled or not; `arrives` if it has only just settled.
    pub(super) fn count(&mut self, slot: u32, weight: Weight, settled: bool, arrives: bool) {
        let population = &mut self.all[slot as usize].1;
        population.share = population.share.max(weight.share);
        population.settled += weight.count * u32::from(settled);
        population.arrived = population.arrived.saturating_add(weight.count * u32::from(arrives));
    }

    /// A goroutine went that stood for several.
    pub(super) fn left(&mut self, slot: u32, weight: Weight, settled: bool) {
        let population = &mut self.all[slot as usize].1;
        population.departed = population.departed.saturating_add(weight.count * u32::from(settled));
    }

    /// Takes a sample of all, those that are empty too.
    pub(super) fn sample(&mut self, at: Ktime) {
        let newest = self.all.iter().map(|(_, one)| one.round).max().unwrap_or(0);
        for (_, population) in &mut self.all {
            if population.round != newest {
                population.settled = 0;
            }
            let Population { settled, arrived, departed, .. } = *population;
            population.series.push(Sample { at, settled, arrived, departed });
        }
    }
}
