//! How complete a report is, from what was counted on the way.

use leaktrace_common::drops::DropReason;

use crate::schema::{Completeness, HeapPasses, Location, Traced};
use crate::trace::registry::{Counts, Registry};

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
        site_births_recovered: 0,
    }
}

impl Completeness {
    /// Nothing but these `go` statements is probed: notes them, and which births there `registry` knows from snapshots alone.
    pub(crate) fn note_sites(&mut self, sites: &[Location], registry: &Registry) {
        let unseen = registry.sites().map(|(_, site)| site).filter(|site| site.births_recovered > 0);
        let unseen = unseen.filter(|site| {
            let pc = site.creation_pc.to_string();
            sites.iter().any(|probed| probed.pc == pc)
        });
        self.site_births_recovered = unseen.map(|site| site.births_recovered).sum();
        self.sites = sites.to_vec();
    }
}
