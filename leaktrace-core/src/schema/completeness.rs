//! How complete a report is.

use std::collections::BTreeMap;

use leaktrace_common::drops::DropReason;
use serde::{Deserialize, Serialize};

use super::Location;

/// How complete the picture is. Once the probes are detached and the ring is drained,
/// `produced = decoded + dropped + undecodable`; before that, what is in the ring is missing on the right.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completeness {
    /// Times that a probe was hit.
    pub produced: u64,
    /// Records that became events.
    pub decoded: u64,
    /// Hits that became no record, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Records that could not be read.
    pub undecodable: u64,
    /// Hits that are not yet decoded: `produced` less all of the above.
    pub in_flight: u64,
    /// Goroutines whose end was not seen.
    pub ghosts_removed: u64,
    /// Goroutines whose birth was not seen.
    pub births_recovered: u64,
    /// Ends of goroutines that were never known.
    pub ends_unmatched: u64,
    /// Goroutines beyond the number that is tracked.
    pub untracked: u64,
    /// Snapshots of memory that were taken.
    pub snapshots: u64,
    /// Goroutines that the last snapshot could not read.
    pub unreadable: u64,
    /// Whether there were probes, and none that the running code came to: all is from memory.
    #[serde(default)]
    pub unreached: bool,
    /// How the search for what nothing refers to went.
    #[serde(default)]
    pub heap: HeapPasses,
    /// The `go` statements that are probed, where no others are: births there are seen by probes, and all else is what
    /// snapshots show.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<Location>,
    /// Goroutines of these statements whose birth was not seen: they are among [`births_recovered`](Self::births_recovered).
    #[serde(default)]
    pub site_births_recovered: u64,
}

/// Passes through the heap, to find out what nothing that can still run refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeapPasses {
    /// How many were made.
    pub made: u64,
    /// Why the last one had nothing to say.
    pub refused: Option<String>,
}

/// What the kernel side and the decoder counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traced {
    /// Times that a probe was hit, read after the ring was drained.
    pub produced: u64,
    /// Records that became events.
    pub decoded: u64,
    /// Records that could not be read.
    pub undecodable: u64,
    /// Hits that became no record, in the order of [`DropReason::ALL`].
    pub dropped: [u64; DropReason::COUNT],
}

impl Completeness {
    /// Whether every hit is accounted for and none is under way.
    pub fn balances(&self) -> bool {
        self.produced == self.accounted()
    }

    /// Hits of the target that became no record, or one that could not be read.
    pub fn lost(&self) -> u64 {
        let losses = DropReason::ALL.into_iter().filter(|reason| reason.is_loss());
        losses.map(|reason| self.dropped_for(reason)).fold(self.undecodable, u64::saturating_add)
    }

    /// Hits that became no record for this reason.
    pub fn dropped_for(&self, reason: DropReason) -> u64 {
        self.dropped.get(reason.as_str()).copied().unwrap_or(0)
    }

    /// Whether the `go` statement at `location` is one of those that are probed.
    pub(crate) fn is_probed(&self, location: &Location) -> bool {
        let place = |at: &Location| (at.function.clone(), at.file.clone(), at.line);
        self.sites.iter().any(|site| place(site) == place(location))
    }

    fn accounted(&self) -> u64 {
        let dropped = self.dropped.values().copied().fold(self.undecodable, u64::saturating_add);
        self.decoded.saturating_add(dropped)
    }
}
