//! What was observed until now, in bounded room however long that is.
//!
//! A goroutine is *settled* when it has stood at one place in every observation of the last five seconds, and *still*
//! when it has not run meanwhile either. Both are counted for each cohort and for each site, over time.

mod grown;
mod partners;
mod population;
mod series;
mod stay;
mod summary;
mod trend;

pub use trend::Trend;

use std::collections::BTreeMap;

use population::Slots;
use stay::{Stay, Traffic};
use summary::Summary;
use trend::Births;

use super::observation::{CohortKey, Observation, Sighting, SiteKey, Standing};
use super::sample::stands_for;
use super::watched::{Cohort, Unjudged, Watched};
use crate::base::hash::{KeyedMap, KeyedSet};
use crate::base::num::{Goid, Ktime};
use crate::base::time::SECOND_NS;
use crate::go::reach::Streaks;

/// After this long at one place, in nanoseconds, a goroutine counts as settled.
pub(crate) const SETTLED_NS: u64 = 5 * SECOND_NS;

/// How many cohorts and how many sites are followed. The room of one that is empty is given to a new one.
pub(crate) const MOST_PLACES: usize = 4096;

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
    cohorts: Slots<CohortKey>,
    sites: Slots<SiteKey>,
    /// The cohorts whose goroutines have partners of their own.
    accompanied: KeyedSet<u32>,
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
        // Of whom an incomplete observation does not show the partner has not lost it.
        if seen.complete {
            self.accompanied.clear();
        }
        self.accompanied.extend(summary.take_accompanied());
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
        let cohort = self.cohorts.slot(standing.key(), self.round, MOST_PLACES)?;
        let site = self.sites.slot(standing.site_key(), self.round, MOST_PLACES)?;
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
        let born = |goid| self.stays.get(&goid).map_or(Ktime(0), |stay| stay.born);
        summary.add_company(sighting, stay, &born);
    }

    fn is_gone(&self, goid: Goid, seen: &Observation) -> bool {
        let is_left_out = || seen.all.as_ref().is_some_and(|all| all.binary_search(&goid).is_ok());
        !self.stays.contains_key(&goid) && !is_left_out()
    }

    fn finish(&self, summary: Summary<'_>, began: Ktime, seen: &Observation) -> Vec<Cohort> {
        let Summary { mut cohorts, mut objects, tallies, .. } = summary;
        for (slot, tally) in tallies {
            cohorts.entry(slot).and_modify(|cohort| cohort.connections = tally);
        }
        for slot in &self.accompanied {
            cohorts.entry(*slot).and_modify(|cohort| cohort.is_accompanied = true);
        }
        objects.sort_unstable();
        for run in objects.chunk_by(|a, b| a == b) {
            let Some(cohort) = run.first().and_then(|(slot, _)| cohorts.get_mut(slot)) else { continue };
            let address = run[0].1;
            let quiet = self.traffic.get(&address).map_or(0, |traffic| seen.at.since(traffic.quiet_since));
            cohort.objects.add(run.len() as u64, address, seen.objects.get(&address).copied(), quiet);
        }
        let began = began.plus(SETTLED_NS);
        let mut all: Vec<(u32, Cohort)> = cohorts.into_iter().filter(|(_, cohort)| cohort.live > 0).collect();
        all.sort_unstable_by_key(|(slot, _)| *slot);
        for (slot, cohort) in &mut all {
            let population = self.cohorts.get(*slot);
            let site = self.sites.slot_of(&cohort.site).map(|slot| self.sites.get(slot));
            cohort.trend = trend::rising(&population.series, began, seen.at);
            cohort.site_trend = site.and_then(|site| trend::rising(&site.series, began, seen.at));
            (cohort.arrived, cohort.departed) = (population.arrived.into(), population.departed.into());
            cohort.site_settled = site.map_or(0, |site| site.settled.into());
        }
        self.keep_births(&mut all, seen.at);
        partners::find_creators(&mut all);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::go::reach::{STRONG, made_up};
    use crate::judge::detect::observation::{self, Wait};
    use crate::judge::detect::sample::Weight;

    /// How many are unreachable, and how many of them for certain, of one that has waited since second 10.
    fn unreachable(streaks: &Streaks) -> (u64, u64) {
        let sighting = Sighting {
            goid: Goid(7),
            parent: None,
            standing: 0,
            object: 0,
            moves: Some(1),
            waiting_ns: None,
            stack_bytes: 0,
            leaked: false,
            locked: false,
            weight: Weight::ONE,
        };
        let seen = |seconds: u64, moves| Observation {
            at: Ktime(seconds * SECOND_NS),
            standings: vec![observation::made_up()],
            sightings: vec![Sighting { moves: Some(moves), ..sighting }],
            ..Observation::default()
        };
        let mut history = History::default();
        history.observe(&seen(1, 0), streaks);
        history.observe(&seen(10, 1), streaks);
        let watched = history.observe(&seen(20, 1), streaks);
        watched.cohorts.first().map(|cohort| (cohort.unreachable, cohort.certain)).unwrap()
    }

    #[test]
    fn nobody_is_unreachable_by_few_passes_or_by_those_before_it_ran() {
        let second = |seconds: u64| Ktime(seconds * SECOND_NS);
        assert_eq!(unreachable(&made_up(Goid(7), STRONG, second(11), false)), (1, 0));
        assert_eq!(unreachable(&made_up(Goid(7), 1, second(11), true)), (1, 1));
        assert_eq!(unreachable(&made_up(Goid(7), STRONG - 1, second(11), false)), (0, 0));
        assert_eq!(unreachable(&made_up(Goid(7), STRONG, second(9), false)), (0, 0));
        assert_eq!(unreachable(&made_up(Goid(8), STRONG, second(11), false)), (0, 0));
    }

    #[test]
    fn what_most_of_a_cohort_wait_for_is_what_it_waits_for() {
        let select = || Standing { wait: Wait::Select, ..observation::made_up() };
        let ticking = Standing { wait: Wait::Time, ..select() };
        let mut seen = many(1, 3, 1);
        (seen.sightings[1].standing, seen.sightings[2].standing) = (1, 1);
        seen.standings = vec![select(), ticking];
        let watched = History::default().observe(&seen, &Streaks::default());
        let waits: Vec<_> =
            watched.cohorts.iter().map(|cohort| (cohort.standing.wait, cohort.live)).collect();
        assert_eq!(waits, [(Wait::Time, 3)]);
    }

    #[test]
    fn goroutines_at_more_places_than_are_followed_are_said_not_to_be_judged() {
        let places = MOST_PLACES as u64 + 3;
        let mut seen = many(1, places, 1);
        for (index, sighting) in (0..).zip(&mut seen.sightings) {
            sighting.standing = index;
        }
        let doing = |place: u64| Standing { doing: format!("wait {place}"), ..observation::made_up() };
        seen.standings = (0..places).map(doing).collect();
        let unjudged = History::default().observe(&seen, &Streaks::default()).unjudged;
        assert_eq!((unjudged.not_followed, unjudged.notices().count()), (3, 1));
        assert_eq!(
            History::default().observe(&many(1, 9, 1), &Streaks::default()).unjudged.notices().count(),
            0
        );
    }

    /// `count` goroutines at one place, of which one in `share` is looked at.
    fn many(seconds: u64, count: u64, share: u32) -> Observation {
        let goids = (1..=count).map(|index| Goid(index * 3)).filter(|goid| stands_for(*goid, share));
        let sighting = |goid| Sighting {
            goid,
            parent: Some(Goid(1)),
            standing: 0,
            object: 0,
            moves: Some(1),
            waiting_ns: None,
            stack_bytes: 8192,
            leaked: false,
            locked: false,
            weight: Weight { count: share, share },
        };
        Observation {
            at: Ktime(seconds * SECOND_NS),
            standings: vec![observation::made_up()],
            sightings: goids.map(sighting).collect(),
            complete: true,
            all: Some(vec![Goid(1)]),
            ..Observation::default()
        }
    }

    #[test]
    fn goroutines_that_are_not_looked_at_any_more_have_not_left() {
        let mut history = History::default();
        for (seconds, count, weight) in [(1, 20_000, 4), (10, 20_000, 4), (20, 80_000, 16)] {
            history.observe(&many(seconds, count, weight), &Streaks::default());
        }
        let watched = history.observe(&many(30, 80_000, 16), &Streaks::default());
        let cohort = watched.cohorts.first().unwrap();
        assert_eq!((cohort.departed, cohort.parents_gone), (0, 0));
        assert!(cohort.live.abs_diff(80_000) < 4_000, "{}", cohort.live);
        assert!(cohort.arrived.abs_diff(60_000) < 4_000, "{}", cohort.arrived);
        let watched = history.observe(&many(40, 40_000, 16), &Streaks::default());
        assert!(watched.cohorts.first().unwrap().departed.abs_diff(40_000) < 4_000);
    }
}
