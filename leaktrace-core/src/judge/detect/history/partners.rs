//! Whom goroutines live beside: a service that grows with its clients is no leak.
//!
//! A goroutine has a *partner* if the one that started it is still there, or waits for the network beside it, or if one that
//! it started does: the handler that waits for it, the reader of the same connection. A population that grows with partners
//! of its own follows its clients. Partners that many share say nothing: `main`, or the loop that reads requests.

use crate::base::hash::{KeyedMap, KeyedSet};
use crate::base::num::Goid;
use crate::judge::detect::observation::{Observation, Sighting, Wait};

/// How many may share a partner: a reader and a writer of one connection.
const SHARE: usize = 2;

/// Who may be whose partner in one observation.
#[derive(Debug, Default)]
pub(super) struct Partners {
    alive: KeyedSet<Goid>,
    /// Those who started some that wait for the network, how many, and the last of them; they may have gone.
    of_io: KeyedMap<Goid, (u32, Goid)>,
}

impl Partners {
    pub(super) fn of(seen: &Observation) -> Self {
        let mut partners = Self::default();
        for sighting in &seen.sightings {
            partners.alive.insert(sighting.goid);
            let waits_for_io = standing_wait(seen, sighting) == Some(Wait::Io);
            if let Some(parent) = sighting.parent.filter(|_| waits_for_io) {
                let (count, last) = partners.of_io.entry(parent).or_insert((0, sighting.goid));
                (*count, *last) = (*count + 1, sighting.goid);
            }
        }
        partners
    }

    /// The partner of a goroutine, by an id that its other goroutines have as well.
    pub(super) fn partner(&self, sighting: &Sighting) -> Option<Goid> {
        if self.of_io.contains_key(&sighting.goid) {
            return Some(sighting.goid);
        }
        let beside = |parent: &Goid| {
            self.alive.contains(parent)
                || self.of_io.get(parent).is_some_and(|(count, last)| *count > 1 || *last != sighting.goid)
        };
        sighting.parent.filter(|parent| *parent != Goid(1)).filter(beside)
    }
}

fn standing_wait(seen: &Observation, sighting: &Sighting) -> Option<Wait> {
    seen.standings.get(sighting.standing as usize).map(|standing| standing.wait)
}

/// The partners of one cohort.
#[derive(Debug, Default)]
pub(super) struct Company {
    partners: Vec<Goid>,
    alone: usize,
}

impl Company {
    pub(super) fn add(&mut self, partner: Option<Goid>) {
        match partner {
            Some(partner) => self.partners.push(partner),
            None => self.alone += 1,
        }
    }

    /// Whether next to all have a partner, and next to none shares it with many.
    pub(super) fn accompanies_all(mut self) -> bool {
        let with = self.partners.len();
        self.partners.sort_unstable();
        self.partners.dedup();
        with > self.alone * 9 && self.partners.len() * SHARE >= with
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::num::Ktime;
    use crate::judge::detect::observation::{Standing, made_up};
    use crate::judge::detect::sample::Weight;

    const IO: u32 = 1;

    /// Goroutines with their ids, who started them, and whether they wait for the network.
    fn seen(all: &[(u64, u64, bool)]) -> Observation {
        let sighting = |&(goid, parent, io): &(u64, u64, bool)| Sighting {
            goid: Goid(goid),
            parent: Some(Goid(parent)),
            standing: if io { IO } else { 0 },
            object: 0,
            moves: None,
            waiting_ns: None,
            stack_bytes: 0,
            leaked: false,
            locked: false,
            weight: Weight::ONE,
        };
        Observation {
            at: Ktime(1),
            standings: vec![made_up(), Standing { wait: Wait::Io, ..made_up() }],
            sightings: all.iter().map(sighting).collect(),
            ..Observation::default()
        }
    }

    /// Whether those who do not wait for the network are accompanied.
    fn accompanied(all: &[(u64, u64, bool)]) -> bool {
        let seen = seen(all);
        let (partners, mut company) = (Partners::of(&seen), Company::default());
        for sighting in seen.sightings.iter().filter(|sighting| sighting.standing != IO) {
            company.add(partners.partner(sighting));
        }
        company.accompanies_all()
    }

    #[test]
    fn the_writers_of_connections_live_beside_their_readers() {
        let pumps: Vec<_> =
            (0..20).flat_map(|n| [(100 + n, 50 + n, false), (200 + n, 50 + n, true)]).collect();
        assert!(accompanied(&pumps));
    }

    #[test]
    fn handlers_live_beside_what_watches_their_connection() {
        let handlers = (0..20).flat_map(|n| [(100 + n, 7, false), (200 + n, 100 + n, true)]);
        let with_listener: Vec<_> = handlers.chain([(7, 1, true)]).collect();
        assert!(accompanied(&with_listener));
    }

    #[test]
    fn many_of_one_connection_or_of_main_are_alone() {
        let of_few = (0..20).map(|n| (100 + n, 50 + n % 4, false)).chain((50..54).map(|n| (n, 1, true)));
        assert!(!accompanied(&of_few.collect::<Vec<_>>()));
        let of_main: Vec<_> = (0..20).map(|n| (100 + n, 1, false)).chain([(1, 0, false)]).collect();
        assert!(!accompanied(&of_main));
        let orphans: Vec<_> = (0..20).map(|n| (100 + n, 50 + n, false)).collect();
        assert!(!accompanied(&orphans));
    }
}
