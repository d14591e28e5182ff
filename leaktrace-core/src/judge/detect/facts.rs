//! What events tell of a `go` statement.

use super::rules::SiteFacts;
use crate::base::num::{Goid, Ktime};
use crate::trace::registry::Registry;

/// What `registry` knows at `now` of the sites of some goroutines of one `go` statement, the oldest of them among
/// `goids`. `None` if it knows none of them.
pub fn facts(registry: &Registry, now: Ktime, goids: &[Goid]) -> Option<SiteFacts> {
    let tracked: Vec<_> = goids.iter().filter_map(|goid| registry.get(*goid)).collect();
    let oldest = tracked.iter().min_by_key(|goroutine| goroutine.born.at)?;
    let mut facts = SiteFacts {
        sites: tracked.iter().map(|goroutine| goroutine.site).collect(),
        oldest_age_ns: Some(now.since(oldest.born.at)),
        age_is_lower_bound: oldest.born.or_earlier,
        ..SiteFacts::default()
    };
    facts.sites.sort_unstable();
    facts.sites.dedup();
    let (mut live, mut live_at_first) = (0, 0);
    for id in &facts.sites {
        let site = registry.site(*id);
        facts.born += site.born;
        facts.ended += site.ended;
        facts.lifetimes.merge(&site.lifetimes);
        live += site.live();
        live_at_first += site.live_at_first;
    }
    facts.net_per_minute = registry.net_per_minute(live, live_at_first, now);
    Some(facts)
}
