//! What the programs of a target have counted: hits, and hits that became no record.

use std::fmt;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use aya::maps::{Map, MapData, MapError, PerCpuArray};
use leaktrace_common::drops::DropReason;
use leaktrace_common::event::Kind;
use leaktrace_common::layout::KindCounters;
use leaktrace_core::trace::budget::Kinds;

/// Hits and drops of one target since its programs were loaded, over all CPUs.
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

    /// What should never happen and did, in the process with this id.
    pub(super) fn mishaps(&self, pid: u32) -> impl Iterator<Item = Mishap> {
        let unreadable = |kind: Kind| self.drops[kind.index()][DropReason::GFault as usize];
        let mishaps =
            Kind::ALL.into_iter().map(move |kind| Mishap { pid, kind, unreadable: unreadable(kind) });
        mishaps.filter(|mishap| mishap.unreadable > 0)
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

/// Something that is wrong with us, the target or the kernel. What is lost by it is counted whether or not it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mishap {
    /// The process.
    pub pid: u32,
    /// What its probes are for.
    pub kind: Kind,
    /// How many hits had a `runtime.g` that could not be read, by now.
    pub unreadable: u64,
}

impl fmt::Display for Mishap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, kind, unreadable } = self;
        let help = DropReason::GFault.help();
        write!(f, "{} in process {pid}: unreadable runtime.g at {unreadable} hits: {help}", kind.as_str())
    }
}

/// The map that the programs count in.
pub(super) struct CounterMap {
    map: PerCpuArray<MapData, KindCounters>,
    /// The same map, for somebody else to read.
    fd: OwnedFd,
}

impl CounterMap {
    pub(super) fn new(map: MapData) -> Result<Self, MapError> {
        let fd = map.fd().as_fd().try_clone_to_owned().map_err(MapError::IoError)?;
        Ok(Self { map: PerCpuArray::try_from(Map::from_map_data(map)?)?, fd })
    }

    /// What the kernel knows it by.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Hits of these kinds, over all CPUs; 0 for others.
    pub(super) fn hits_of(&self, kinds: Kinds) -> Result<[u64; Kind::ALL.len()], MapError> {
        let mut hits = [0; Kind::ALL.len()];
        for (kind, index) in Kind::ALL.into_iter().zip(0..).filter(|(kind, _)| kinds.contains(*kind)) {
            hits[kind.index()] = self.map.get(&index, 0)?.iter().map(|of_cpu| of_cpu.hits).sum();
        }
        Ok(hits)
    }

    /// Adds up what all CPUs have counted. There are never more drops than hits.
    pub(super) fn read(&self) -> Result<Counters, MapError> {
        let mut counters = Counters::default();
        for (kind, index) in Kind::ALL.into_iter().zip(0..) {
            for of_cpu in self.map.get(&index, 0)?.iter() {
                counters.add(kind, of_cpu);
            }
        }
        Ok(counters)
    }
}

impl Counters {
    fn add(&mut self, kind: Kind, of_cpu: &KindCounters) {
        self.hits[kind.index()] += of_cpu.hits;
        for (sum, drops) in self.drops[kind.index()].iter_mut().zip(of_cpu.drops) {
            *sum += drops;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cpu_counts_and_every_kind_is_apart() {
        let mut counters = Counters::default();
        let of_cpu = KindCounters { hits: 5, drops: [1, 2, 0] };
        counters.add(Kind::Park, &of_cpu);
        counters.add(Kind::Park, &of_cpu);
        assert_eq!((counters.hits_of(Kind::Park), counters.dropped_of(Kind::Park)), (10, 6));
        assert_eq!(counters.hits_of(Kind::End), 0);
        let mishaps: Vec<Mishap> = counters.mishaps(7).collect();
        assert_eq!(mishaps, [Mishap { pid: 7, kind: Kind::Park, unreadable: 4 }]);
        let told = mishaps[0].to_string();
        assert!(told.starts_with("park in process 7: unreadable runtime.g at 4 hits: "), "{told}");
    }

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
