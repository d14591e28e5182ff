//! What was observed until now, in bounded room however long that is.
//!
//! A goroutine is *settled* when it has stood at one place in every observation of the last five seconds, and *still*
//! when it has not run meanwhile either. Both are counted for each cohort and for each site, over time.

mod beside_clients;
mod creators;
mod grown;
mod partners;
mod population;
mod series;
mod stay;
mod summary;
#[cfg(test)]
mod tests;
mod trend;

pub use trend::Trend;

use std::collections::BTreeMap;

use population::Slots;
use stay::{Stay, Traffic};
use summary::Summary;
use trend::Births;

use super::observation::{Observation, Sighting, Standing};
use super::sample::stands_for;
use super::unjudged::Unjudged;
use super::watched::{Cohort, Watched};
use crate::base::hash::KeyedMap;
use crate::base::num::{Goid, Ktime};
use crate::base::time::SECOND_NS;
use crate::go::reach::Streaks;

/// After this long at one place, in nanoseconds, a goroutine counts as settled.
pub(crate) const SETTLED_NS: u64 = 5 * SECOND_NS;

/// How many cohorts and how many sites are followed. The room of one that is empty is given to a new one.
pub(crate) const MOST_PLACES: usize = 4096;

/// After so many observations in a row that are not complete, goroutines whose partners none of them shows have none.
const MOST_INCOMPLETE: u32 = 8;

/// How many channels and locks are followed.
const MOST_OBJECTS: usize = 1 << 20;

/// Everything that was observed of one process.
#[derive(Debug, Default)]
pub struct History {
    began: Option<Ktime>,
    observations: u64,
    round: u32,
    stays: KeyedMap<Goid, Stay>,
    traffic: KeyedMap<u64, Traffic>,
    cohorts: Slots,
    sites: Slots,
    /// The cohorts whose goroutines have partners of their own, and the last observation that showed that.
    accompanied: KeyedMap<u32, u32>,
}

/// Where the goroutines of one standing are counted.
#[derive(Clone, Copy)]
struct StandingIndex {
    cohort: u32,
    site: u32,
}

impl History {
    /// Takes an observation in and sums up what is known with it. `streaks` says of which goroutines nothing that can run
    /// refers to what they wait for.
    pub fn observe(&mut self, seen: &Observation, streaks: &Streaks) -> Watched {
        let began = *self.began.get_or_insert(seen.at);
        self.round += 1;
        self.observations += 1;
        let places: Vec<Option<StandingIndex>> = seen.standings.iter().map(|one| self.place(one)).collect();
        self.follow_objects(seen);
        let mut summary = Summary::new(seen, &places);
        let mut not_followed = 0;
        for sighting in &seen.sightings {
            match places.get(sighting.standing as usize).copied().flatten() {
                Some(place) => self.sight(sighting, place, seen.at),
                None => not_followed += u64::from(sighting.weight.count),
            }
        }
        self.sweep(seen);
        for sighting in &seen.sightings {
            self.sum_up(sighting, streaks, &mut summary);
        }
        self.note_accompanied(seen, &mut summary);
        if seen.at.since(began) >= SETTLED_NS {
            self.cohorts.sample(seen.at);
            self.sites.sample(seen.at);
        }
        Watched {
            at: seen.at,
            watched_ns: seen.at.since(began),
            observations: self.observations,
            cohorts: self.finish(summary, began, seen),
            holders: BTreeMap::new(),
            unjudged: Unjudged { not_followed, connections: seen.connections.is_refused() },
        }
    }

    fn place(&mut self, standing: &Standing) -> Option<StandingIndex> {
        let cohort = self.cohorts.slot(&standing.cohort_parts(), self.round, MOST_PLACES)?;
        let site = self.sites.slot(&standing.site_parts(), self.round, MOST_PLACES)?;
        Some(StandingIndex { cohort, site })
    }

    /// Notes where a goroutine is, and what that says of where it was.
    fn sight(&mut self, sighting: &Sighting, place: StandingIndex, at: Ktime) {
        let (round, first) = (self.round, self.observations == 1);
        let stay = self.stays.entry(sighting.goid).or_insert_with(|| Stay::new(place, sighting, at, first));
        if stay.cohort != place.cohort {
            self.cohorts.left(stay.cohort, stay.weight, stay.settled);
        }
        if let Some(object) = stay.moved_on(sighting, place, at) {
            self.traffic.entry(object).and_modify(|traffic| traffic.quiet_since = at);
        }
        (stay.round, stay.weight) = (round, sighting.weight);
        let (settles, grows) = stay.settle(at, SETTLED_NS);
        self.cohorts.count(stay.cohort, stay.weight, stay.settled, settles);
        self.sites.count(stay.site, stay.weight, stay.grown, grows);
    }

    /// Forgets the goroutines that are gone.
    fn sweep(&mut self, seen: &Observation) {
        let Self { stays, traffic, cohorts, sites, round, .. } = self;
        // One that an incomplete observation does not show may be back in the next.
        let oldest = if seen.complete { *round } else { round.saturating_sub(1) };
        stays.retain(|goid, stay| {
            let stays = stay.round >= oldest;
            // One that is there, but is not looked at any more, has not left.
            if !stays && stands_for(*goid, cohorts.get(stay.cohort).share) {
                cohorts.left(stay.cohort, stay.weight, stay.settled);
                sites.left(stay.site, stay.weight, stay.grown);
                traffic.entry(stay.object).and_modify(|traffic| traffic.quiet_since = seen.at);
            }
            stays
        });
        traffic.retain(|_, traffic| traffic.round == *round);
    }

    fn follow_objects(&mut self, seen: &Observation) {
        for (&address, object) in &seen.objects {
            if self.traffic.len() < MOST_OBJECTS || self.traffic.contains_key(&address) {
                let known = self.traffic.entry(address).or_insert_with(|| Traffic::new(object, seen.at));
                known.update(object, seen.at, self.round);
            }
        }
    }

    /// Adds a goroutine to its cohort's summary.
    fn sum_up(&self, sighting: &Sighting, streaks: &Streaks, summary: &mut Summary<'_>) {
        let at = summary.seen.at;
        let Some(stay) = self.stays.get(&sighting.goid) else { return };
        let parent_is_gone = sighting.parent.is_some_and(|parent| self.is_gone(parent, summary.seen));
        let Some(cohort) = summary.cohort(sighting, stay) else { return };
        let weight = u64::from(sighting.weight.count);
        let so_many = |holds: bool| weight * u64::from(holds);
        cohort.live += weight;
        cohort.stack_bytes = cohort.stack_bytes.saturating_add(sighting.stack_bytes.saturating_mul(weight));
        cohort.leaked += so_many(sighting.leaked);
        cohort.locked += so_many(sighting.locked);
        cohort.settled += so_many(stay.settled);
        let still = at.since(stay.still);
        cohort.still += so_many(still >= SETTLED_NS);
        cohort.unwoken += so_many(still >= SETTLED_NS && stay.is_unwoken(at));
        let unused = stay.is_unused(at);
        cohort.old += so_many(unused.is_some());
        cohort.unused += so_many(unused == Some(true));
        cohort.longest_still_ns = cohort.longest_still_ns.max(still);
        cohort.waiting_ns = cohort.waiting_ns.max(sighting.waiting_ns);
        // It must not have run since the first of those passes.
        let streak =
            streaks.of(sighting.goid).filter(|streak| streak.is_strong() && stay.still <= streak.since);
        cohort.unreachable += so_many(streak.is_some());
        cohort.certain += so_many(streak.is_some_and(|streak| streak.certain));
        if sighting.parent.is_some() {
            cohort.parents_known += weight;
            cohort.parents_gone += so_many(parent_is_gone);
        }
        summary::note(cohort, sighting.goid);
        let born = |goid| self.stays.get(&goid).map(|stay| stay.born);
        summary.add_company(sighting, stay, &born);
    }

    /// Notes which cohorts have partners of their own.
    fn note_accompanied(&mut self, seen: &Observation, summary: &mut Summary<'_>) {
        // Of whom an incomplete observation does not show the partner has not lost it, but for how long?
        let oldest = self.round.saturating_sub(if seen.complete { 0 } else { MOST_INCOMPLETE });
        self.accompanied.retain(|_, round| *round >= oldest);
        let beside = beside_clients::beside_clients(seen, &self.stays);
        let of_sites = summary.sites.iter().filter(|(_, site)| beside.contains(*site)).map(|(slot, _)| *slot);
        self.accompanied.extend(of_sites.map(|slot| (slot, self.round)));
        self.accompanied.extend(summary.take_accompanied().map(|slot| (slot, self.round)));
    }

    fn is_gone(&self, goid: Goid, seen: &Observation) -> bool {
        let is_left_out = || seen.everyone.as_ref().is_some_and(|everyone| everyone.has(goid));
        !self.stays.contains_key(&goid) && !is_left_out()
    }

    fn finish(&self, summary: Summary<'_>, began: Ktime, seen: &Observation) -> Vec<Cohort> {
        let Summary { mut cohorts, sites, mut objects, tallies, .. } = summary;
        for (slot, tally) in tallies {
            cohorts.entry(slot).and_modify(|cohort| cohort.connections = tally);
        }
        for slot in self.accompanied.keys() {
            cohorts.entry(*slot).and_modify(|cohort| cohort.is_accompanied = true);
        }
        objects.sort_unstable();
        for run in objects.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let Some((slot, address, _)) = run.first().copied() else { continue };
            let Some(cohort) = cohorts.get_mut(&slot) else { continue };
            let waiters = run.iter().map(|(_, _, weight)| u64::from(*weight)).sum();
            let quiet = self.traffic.get(&address).map_or(0, |traffic| seen.at.since(traffic.quiet_since));
            let object = seen.objects.get(&address).copied();
            cohort.objects.add(run.len() as u64, waiters, address, object, quiet);
        }
        let began = began.plus(SETTLED_NS);
        let mut all: Vec<(u32, Cohort)> = cohorts.into_iter().filter(|(_, cohort)| cohort.live > 0).collect();
        all.sort_unstable_by_key(|(slot, _)| *slot);
        let mut of_sites: KeyedMap<u32, Option<Trend>> = KeyedMap::default();
        for (slot, cohort) in &mut all {
            let population = self.cohorts.get(*slot);
            cohort.trend = trend::rising(&population.series, began, seen.at);
            (cohort.arrived, cohort.departed) = (population.arrived.into(), population.departed.into());
            let Some(site) = sites.get(slot) else { continue };
            let population = self.sites.get(*site);
            let rising = || trend::rising(&population.series, began, seen.at);
            cohort.site_trend = *of_sites.entry(*site).or_insert_with(rising);
            cohort.site_settled = population.settled.into();
        }
        self.keep_births(&mut all, seen.at);
        creators::find_creators(&mut all);
        all.into_iter().map(|(_, cohort)| cohort).collect()
    }

    /// Keeps of the growth of each cohort what is growth of the population.
    fn keep_births(&self, cohorts: &mut [(u32, Cohort)], now: Ktime) {
        let growing = cohorts.iter().filter_map(|(slot, cohort)| Some((*slot, cohort.trend?)));
        let mut births: KeyedMap<u32, (Trend, Births)> =
            growing.map(|(slot, trend)| (slot, (trend, Births::default()))).collect();
        if births.is_empty() {
            return;
        }
        for stay in self.stays.values().filter(|stay| stay.settled) {
            let Some((trend, births)) = births.get_mut(&stay.cohort) else { continue };
            if let Some(window) = trend.window(stay.born, now) {
                births[window] += stay.weight.count;
            }
        }
        for (slot, cohort) in cohorts {
            let births = births.get(slot).map(|(_, births)| births);
            cohort.trend = cohort.trend.zip(births).and_then(|(trend, births)| trend.of_born(births));
        }
    }
}
