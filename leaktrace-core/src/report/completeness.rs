//! How complete a report is, from what was counted on the way.

use leaktrace_common::drops::DropReason;

use crate::schema::{Completeness, HeapPasses, Traced};
use crate::trace::registry::Counts;

/// What `traced` and the registry's `counts` say together.
pub fn completeness(traced: &Traced, counts: Counts, unreadable: u64) -> Completeness {
    let names = DropReason::ALL.map(|reason| reason.as_str().to_owned());
    let accounted = traced.decoded + traced.undecodable + traced.dropped.iter().sum::<u64>();
    Completeness {
        produced: traced.produced,
        decoded: traced.decoded,
        dropped: names.into_iter().zip(traced.dropped).collect(),
        undecodable: traced.undecodable,
        in_flight: traced.produced.saturating_sub(accounted),
        ghosts_removed: counts.ghosts_removed,
        births_recovered: counts.births_recovered,
        ends_unmatched: counts.ends_unmatched,
        untracked: counts.untracked,
        snapshots: counts.snapshots,
        unreadable,
        unreached: false,
        heap: HeapPasses::default(),
        sites: Vec::new(),
    }
}
