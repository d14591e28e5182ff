//! The goroutines of one verdict, and who can speak for those that nobody saw start.

use std::collections::BTreeSet;

use super::most;
use super::standing::Standing;
use crate::base::hash::KeyedMap;
use crate::base::num::Goid;
use crate::judge::detect::Finding;
use crate::schema::{Frame, Location};
use crate::trace::registry::{Registry, SiteId};

/// So many others are asked at most, out of so many of a site.
const OTHERS: usize = 64;
const OF_SITE: usize = 1024;

/// The goroutines of one verdict.
pub(in crate::report) struct Accused<'f> {
    /// Some of them.
    pub(super) goids: &'f [Goid],
    /// What started them.
    sites: &'f [SiteId],
    /// Their `go` statement.
    pub(super) created_by: &'f Location,
    /// Where most of them stand.
    pub(super) stack: &'f [Frame],
}

impl<'f> Accused<'f> {
    pub(in crate::report) fn of(finding: &'f Finding) -> Self {
        let verdict = &finding.verdict;
        Self {
            goids: &finding.goids,
            sites: &finding.sites,
            created_by: &verdict.created_by,
            stack: verdict.blocked_at.first().map_or(&[], |blocked| &blocked.stack),
        }
    }

    /// Others of the same sites that stand at the same place and were seen to start: what has ended or moved on since may
    /// have come from elsewhere.
    pub(super) fn others(&self, seen: &Seen, standing: &mut Standing<'_>) -> Vec<Goid> {
        let all = self.sites.iter().filter_map(|site| seen.0.get(site)).flatten();
        let others = all.rev().filter(|goid| !self.goids.contains(goid));
        // What is shown of a stack depends on who shows it, so stacks are compared themselves; one of these may have moved on.
        let theirs = most(self.goids.iter().filter_map(|goid| standing.stack_id(*goid)));
        let mut stands_there = |goid: &Goid| theirs.is_some() && standing.stack_id(*goid) == theirs;
        others.copied().filter(|goid| stands_there(goid)).take(OTHERS).collect()
    }
}

/// The youngest of each site that verdicts are about that are alive and whose stack at birth was seen.
pub(super) struct Seen(KeyedMap<SiteId, BTreeSet<Goid>>);

impl Seen {
    pub(super) fn of(registry: &Registry, accused: &BTreeSet<SiteId>) -> Self {
        let mut all: KeyedMap<SiteId, BTreeSet<Goid>> =
            accused.iter().map(|site| (*site, BTreeSet::new())).collect();
        let is_seen = |id| registry.lineage(id).is_some_and(|lineage| !lineage.stack.is_empty());
        for goroutine in registry.goroutines() {
            let Some(of_site) = all.get_mut(&goroutine.site).filter(|_| is_seen(goroutine.lineage)) else {
                continue;
            };
            let is_full = of_site.len() == OF_SITE;
            if is_full && of_site.first().is_some_and(|oldest| goroutine.goid < *oldest) {
                continue;
            }
            of_site.insert(goroutine.goid);
            if is_full {
                of_site.pop_first();
            }
        }
        Self(all)
    }
}
