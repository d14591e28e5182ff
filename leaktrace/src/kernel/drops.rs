//! What the programs have counted: hits, and hits that became no record.

use aya::maps::{MapData, MapError, PerCpuArray};
use leaktrace_common::drops::DropReason;
use leaktrace_common::event::Kind;

/// Hits and drops since the programs were loaded, over all CPUs and all targets.
///
/// While nothing is being probed, `hits(kind) = records of that kind in the ring so far + dropped(kind)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Hits by [`Kind::index`].
    pub hits: [u64; Kind::ALL.len()],
    /// Hits that became no record, by [`Kind::index`] and [`DropReason`].
    pub drops: [[u64; DropReason::COUNT]; Kind::ALL.len()],
}

impl Counters {
    /// How often probes of this kind were hit.
    pub fn hits_of(&self, kind: Kind) -> u64 {
        self.hits[kind.index()]
    }

    /// How many hits of this kind became no record, for whatever reason.
    pub fn dropped_of(&self, kind: Kind) -> u64 {
        self.drops[kind.index()].iter().sum()
    }

    /// How many hits of all kinds became no record for this reason.
    pub fn dropped_for(&self, reason: DropReason) -> u64 {
        self.drops.iter().map(|reasons| reasons[reason as usize]).sum()
    }

    /// How many events of the targets were lost, for whatever reason.
    pub fn lost(&self) -> u64 {
        DropReason::ALL
            .into_iter()
            .filter(|reason| reason.is_loss())
            .map(|reason| self.dropped_for(reason))
            .sum()
    }

    /// What has been counted since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut delta = *self;
        for kind in Kind::ALL {
            let index = kind.index();
            delta.hits[index] -= earlier.hits[index];
            for reason in DropReason::ALL {
                delta.drops[index][reason as usize] -= earlier.drops[index][reason as usize];
            }
        }
        delta
    }
}

/// The maps that the programs count in.
pub(super) struct CounterMaps {
    pub(super) hits: PerCpuArray<MapData, u64>,
    pub(super) drops: PerCpuArray<MapData, u64>,
}

impl CounterMaps {
    /// Adds up what all CPUs have counted. Drops are read first, so that there are never more than hits.
    pub(super) fn read(&self) -> Result<Counters, MapError> {
        let mut counters = Counters::default();
        let flat = counters.drops.as_flattened_mut();
        for (index, drops) in (0..).zip(flat) {
            *drops = self.drops.get(&index, 0)?.iter().sum();
        }
        for (index, hits) in (0..).zip(&mut counters.hits) {
            *hits = self.hits.get(&index, 0)?.iter().sum();
        }
        Ok(counters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fork_of_the_target_is_not_a_loss() {
        let mut counters = Counters::default();
        counters.hits[Kind::Park.index()] = 10;
        counters.drops[Kind::Park.index()][DropReason::RingFull as usize] = 3;
        counters.drops[Kind::Park.index()][DropReason::OtherProcess as usize] = 2;
        assert_eq!((counters.dropped_of(Kind::Park), counters.lost()), (5, 3));
        assert_eq!(counters.since(&counters), Counters::default());
    }
}
