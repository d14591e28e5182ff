//! Who lives beside the clients of a server whose loop starts several goroutines for each connection: the loop is the parent of
//! all, and outlives them, so it says nothing of any. That as many of one `go` statement as of another came at the same time
//! does, if those of the other serve connections that are open.

use std::collections::BTreeMap;

use super::stay::Stay;
use crate::base::hash::{KeyedMap, KeyedSet};
use crate::base::num::{Goid, Ktime, nearly_all};
use crate::judge::detect::connections::Connection;
use crate::judge::detect::observation::{Observation, Sighting};

/// Goroutines by who started them and at which site.
type Family = (Goid, u32);

/// The sites of which nearly every goroutine has one of another site that the same parent started at the same time and that
/// serves an open connection of a client, and shares it with none of its own site.
pub(super) fn beside_clients(seen: &Observation, stays: &KeyedMap<Goid, Stay>) -> KeyedSet<u32> {
    let servers = servers(seen, stays);
    if servers.is_empty() {
        return KeyedSet::default();
    }
    let mut born: BTreeMap<(Family, Ktime), u64> = BTreeMap::new();
    let mut live: KeyedMap<u32, (u64, u64)> = KeyedMap::default();
    for (sighting, stay, family) in families(seen, stays) {
        live.entry(family.1).or_default().0 += count(sighting);
        if servers.contains_key(&family.0) {
            *born.entry((family, time(seen, stay))).or_default() += count(sighting);
        }
    }
    for (((parent, site), at), came) in &born {
        let Some(server) = servers.get(parent).filter(|server| *server != site) else { continue };
        let beside = born.get(&((*parent, *server), *at)).copied().unwrap_or(0);
        live.entry(*site).and_modify(|(_, beside_all)| *beside_all += beside.min(*came));
    }
    let with_clients = live.into_iter().filter(|(_, (live, beside))| nearly_all(*beside, *live));
    with_clients.map(|(site, _)| site).collect()
}

/// The site at which each parent started those who serve most clients, if half of those do.
fn servers(seen: &Observation, stays: &KeyedMap<Goid, Stay>) -> KeyedMap<Goid, u32> {
    let mut clients: BTreeMap<Family, (u64, u64)> = BTreeMap::new();
    for (sighting, _, family) in families(seen, stays) {
        let is_clients = seen.connections.get(sighting.goid).is_some_and(Connection::is_of_client);
        let (served, live) = clients.entry(family).or_default();
        (*served, *live) = (*served + count(sighting) * u64::from(is_clients), *live + count(sighting));
    }
    let mut most: KeyedMap<Goid, (u64, u32)> = KeyedMap::default();
    for ((parent, site), (served, live)) in clients {
        let known = most.get(&parent).map_or(0, |(served, _)| *served);
        if served > known && served * 2 >= live {
            most.insert(parent, (served, site));
        }
    }
    most.into_iter().map(|(parent, (_, site))| (parent, site)).collect()
}

fn families<'s>(
    seen: &'s Observation,
    stays: &'s KeyedMap<Goid, Stay>,
) -> impl Iterator<Item = (&'s Sighting, &'s Stay, Family)> {
    seen.sightings.iter().filter_map(|sighting| {
        let stay = stays.get(&sighting.goid)?;
        Some((sighting, stay, (sighting.parent?, stay.site)))
    })
}

/// When a goroutine came. Where only some are looked at, those that came together are hardly ever chosen together.
const fn time(seen: &Observation, stay: &Stay) -> Ktime {
    if seen.everyone.is_some() { Ktime(0) } else { stay.born }
}

const fn count(sighting: &Sighting) -> u64 {
    sighting.weight.count as u64
}
