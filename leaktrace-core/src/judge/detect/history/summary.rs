//! The cohorts of one observation, and whom their goroutines live beside.

use std::sync::Arc;

use super::StandingIndex;
use super::partners::{self, Company, Partners};
use super::stay::Stay;
use crate::base::hash::KeyedMap;
use crate::base::num::{Goid, Ktime};
use crate::judge::detect::connections::Tally;
use crate::judge::detect::observation::{Observation, Sighting};
use crate::judge::detect::watched::Cohort;

/// The ids that a cohort is told by.
const EXAMPLES: usize = 8;

/// The cohorts of one observation, as they are being summed up.
pub(super) struct Summary<'s> {
    pub(super) cohorts: KeyedMap<u32, Cohort>,
    /// The site of each.
    pub(super) sites: KeyedMap<u32, u32>,
    /// The cohort and the object of every goroutine that waits for a single one, and for how many it stands.
    pub(super) objects: Vec<(u32, u64, u32)>,
    /// Whom the goroutines of each cohort live beside.
    pub(super) company: KeyedMap<u32, Company>,
    pub(super) partners: Partners<'s>,
    /// The connections of each cohort.
    pub(super) tallies: KeyedMap<u32, Tally>,
    /// How many of each cohort the connection of each reader beside them was counted for.
    told_by: KeyedMap<(u32, Goid), usize>,
    /// Which places are of those that serve requests.
    pub(super) serving: Vec<bool>,
    pub(super) seen: &'s Observation,
}

impl<'s> Summary<'s> {
    pub(super) fn new(seen: &'s Observation, places: &[Option<StandingIndex>]) -> Self {
        // Some of a place may look as if they waited for something else, because they were just being looked at or moved: what
        // most do is what the cohort does.
        let mut counts = vec![0_u32; seen.standings.len()];
        for sighting in &seen.sightings {
            if let Some(count) = counts.get_mut(sighting.standing as usize) {
                *count += 1;
            }
        }
        let (mut cohorts, mut sites) = (KeyedMap::default(), KeyedMap::default());
        let mut most = KeyedMap::<u32, u32>::default();
        for ((standing, place), count) in seen.standings.iter().zip(places).zip(counts) {
            let Some(place) = place else { continue };
            if most.get(&place.cohort).is_none_or(|known| *known < count) {
                most.insert(place.cohort, count);
                sites.insert(place.cohort, place.site);
                cohorts.insert(place.cohort, Cohort::new(Arc::clone(standing)));
            }
        }
        let partners = Partners::of(seen);
        let serving = seen.standings.iter().map(|standing| partners::serves_a_request(standing)).collect();
        Self {
            cohorts,
            sites,
            objects: Vec::new(),
            company: KeyedMap::default(),
            partners,
            tallies: KeyedMap::default(),
            told_by: KeyedMap::default(),
            serving,
            seen,
        }
    }

    pub(super) fn cohort(&mut self, sighting: &Sighting, stay: &Stay) -> Option<&mut Cohort> {
        if sighting.object != 0 && self.seen.objects.contains_key(&sighting.object) {
            self.objects.push((stay.cohort, sighting.object, sighting.weight.count));
        }
        self.cohorts.get_mut(&stay.cohort)
    }

    /// The cohorts of which next to all have a partner of their own.
    pub(super) fn take_accompanied(&mut self) -> impl Iterator<Item = u32> + use<> {
        let all = std::mem::take(&mut self.company).into_iter();
        all.filter_map(|(slot, company)| company.accompanies_all().then_some(slot))
    }

    /// Notes whom a goroutine lives beside, and whose connection that is about; `born` says when others were.
    pub(super) fn add_company(
        &mut self,
        sighting: &Sighting,
        stay: &Stay,
        born: &dyn Fn(Goid) -> Option<Ktime>,
    ) {
        let partner = self.partners.partner(sighting);
        let after_ns = partner.and_then(|partner| match born(partner.goid) {
            Some(born) => Some(stay.born.since(born)),
            // One that has gone came long before; of one that is just not looked at that is not known.
            None => (!self.partners.is_left_out(partner.goid)).then_some(u64::MAX),
        });
        let serves = self.serving.get(sighting.standing as usize).is_some_and(|serves| *serves);
        let share = self.partners.share(sighting, partner);
        self.company.entry(stay.cohort).or_default().add(partner, after_ns, serves, share);
        let connections = &self.seen.connections;
        let connection = connections.get(sighting.goid).or_else(|| {
            let reader = partner?.reader?;
            let told = self.told_by.entry((stay.cohort, reader)).or_default();
            *told += 1;
            (*told <= partners::SHARE).then(|| connections.get(reader))?
        });
        if let Some(connection) = connection {
            self.tallies.entry(stay.cohort).or_default().add(connection, sighting.weight.count.into());
        }
    }
}

/// Notes one of its goroutines, if it is among the oldest or the youngest.
pub(super) fn note(cohort: &mut Cohort, goid: Goid) {
    insert_least(&mut cohort.goids, goid);
    insert_greatest(&mut cohort.youngest, goid);
}

/// Keeps the least few of all that are inserted: the oldest goroutines.
fn insert_least(goids: &mut Vec<Goid>, goid: Goid) {
    if goids.len() == EXAMPLES && goids.last().is_some_and(|greatest| *greatest < goid) {
        return;
    }
    let at = goids.partition_point(|known| *known < goid);
    goids.insert(at, goid);
    goids.truncate(EXAMPLES);
}

/// Keeps the greatest few: the youngest goroutines.
fn insert_greatest(goids: &mut Vec<Goid>, goid: Goid) {
    let at = goids.partition_point(|known| *known < goid);
    if at > 0 || goids.len() < EXAMPLES {
        goids.insert(at, goid);
    }
    if goids.len() > EXAMPLES {
        goids.remove(0);
    }
}
