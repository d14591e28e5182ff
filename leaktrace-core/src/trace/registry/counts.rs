//! What happened so far, of all goroutines and of each site.

use super::ends::Counted;
use super::lineage::Parentage;
use super::sites::{SiteId, Sites};
use super::tracked::{Entry, Origin};
use crate::base::num::Ktime;

/// What happened to the registry so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Goroutines that existed before the probes were attached, those too that ended before any snapshot showed them.
    pub before_attach: u64,
    /// Goroutines born since: by events, and the [recovered](Self::births_recovered) ones. An event at a `go` statement
    /// counts once a snapshot has shown whether its goroutine lives.
    pub born: u64,
    /// Goroutines ended of those two: by events, and the [ghosts](Self::ghosts_removed).
    pub ended: u64,
    /// Goroutines whose birth had not been seen when a snapshot showed them.
    pub births_recovered: u64,
    /// Goroutines whose end had not been seen when a snapshot no longer showed them.
    pub ghosts_removed: u64,
    /// Ends of goroutines that the registry never knew: they were born unseen.
    pub ends_unmatched: u64,
    /// Births of a goroutine that had been born already: a site that is probed twice.
    pub births_repeated: u64,
    /// Goroutines that were left out because of [`Limits::goroutines`](super::Limits::goroutines).
    pub untracked: u64,
    /// Snapshots that were taken in.
    pub snapshots: u64,
}

/// The counters of the whole and of a site go together: this is the only place that touches either.
impl Counts {
    pub(super) fn born(&mut self, site: SiteId, sites: &mut Sites) {
        self.born += 1;
        sites.get_mut(site).born += 1;
    }

    /// One of those that are [born](Self::born) was born unseen.
    pub(super) fn recovered(&mut self, site: SiteId, sites: &mut Sites) {
        self.births_recovered += 1;
        sites.get_mut(site).births_recovered += 1;
    }

    pub(super) fn existed(&mut self, site: SiteId, sites: &mut Sites) {
        self.before_attach += 1;
        let site = sites.get_mut(site);
        site.before_attach += 1;
        site.live_at_first += 1;
    }

    pub(super) fn ended(&mut self, site: SiteId, sites: &mut Sites) {
        self.ended += 1;
        sites.get_mut(site).ended += 1;
    }

    /// Goroutines whose births were seen at their `go` statement, and that no snapshot has shown.
    pub(super) fn lived_between_snapshots(&mut self, number: u64, site: SiteId, sites: &mut Sites) {
        self.born += number;
        self.ended += number;
        let site = sites.get_mut(site);
        site.born += number;
        site.ended += number;
    }

    /// A goroutine that nobody knew, and whose end was seen before anybody could. Ends do not say of which site they are.
    pub(super) fn ended_from_before(&mut self, sites: &mut Sites) {
        self.existed(SiteId::OTHER, sites);
        self.ended(SiteId::OTHER, sites);
    }

    /// A goroutine whose end has overtaken its birth.
    pub(super) fn birth_after_end(&mut self, end: Counted, site: SiteId, sites: &mut Sites) {
        match end {
            Counted::Known => return,
            Counted::Not => self.ends_unmatched -= 1,
            Counted::FromBefore => self.not_from_before(sites),
        }
        self.born(site, sites);
        self.ended(site, sites);
    }

    /// The first snapshot shows a goroutine that [ended from before](Self::ended_from_before), and so of which site it was.
    pub(super) fn shown_after_end(&mut self, site: SiteId, sites: &mut Sites) {
        self.not_from_before(sites);
        self.existed(site, sites);
        self.ended(site, sites);
    }

    /// Takes back one that [ended from before](Self::ended_from_before).
    fn not_from_before(&mut self, sites: &mut Sites) {
        self.before_attach -= 1;
        self.ended -= 1;
        let other = sites.get_mut(SiteId::OTHER);
        other.before_attach -= 1;
        other.ended -= 1;
    }

    /// A goroutine whose birth a snapshot has overtaken.
    pub(super) fn birth_of_known(
        &mut self,
        known: &mut Entry,
        at: Ktime,
        parentage: Parentage,
        sites: &mut Sites,
    ) {
        match known.origin {
            Origin::Seen | Origin::Matched => self.births_repeated += 1,
            Origin::Recovered => {
                self.births_recovered -= 1;
                sites.get_mut(known.site).births_recovered -= 1;
            }
            Origin::BeforeAttach => {
                self.before_attach -= 1;
                sites.get_mut(known.site).before_attach -= 1;
                self.born(known.site, sites);
            }
            // Counted as born when it was first seen.
            Origin::Foreign => {}
        }
        if !matches!(known.origin, Origin::Seen | Origin::Matched) {
            known.birth_arrived(at, parentage);
        }
    }
}
