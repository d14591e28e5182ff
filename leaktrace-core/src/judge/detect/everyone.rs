//! All goroutines of a process of which rules look at some: who is there, and whom those that are looked at live beside. The
//! reader, the writer and the handler of one connection are hardly ever chosen together.

use crate::base::hash::{KeyedMap, KeyedSet};
use crate::base::num::Goid;
use crate::go::goroutines::Goroutine;
use crate::judge::detect::observation::{Sighting, Standing, Wait};

/// A goroutine that waits for the network, and who started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reader {
    pub(super) goid: Goid,
    pub(super) parent: Goid,
    /// Where it stands.
    pub(super) standing: u32,
}

/// All goroutines, as far as those that are looked at ask for them.
#[derive(Clone, Debug, Default)]
pub struct Everyone {
    /// The ids of all, ascending.
    goids: Vec<Goid>,
    /// Those that one that is looked at, or its parent, has started.
    pub(super) readers: Vec<Reader>,
    /// For each that is looked at, how many stand at the same place and have the same parent, itself included.
    siblings: KeyedMap<Goid, u32>,
}

impl Everyone {
    /// What `all` tells of those who are seen; `places` says of each of all where it stands.
    pub(super) fn of(
        all: &[Goroutine],
        places: &[u64],
        standings: &[impl AsRef<Standing>],
        seen: &[Sighting],
    ) -> Self {
        let by_goid: KeyedMap<Goid, &Sighting> = seen.iter().map(|one| (one.goid, one)).collect();
        let mut standing_at: KeyedMap<u64, u32> = KeyedMap::default();
        let mut families: KeyedMap<(Goid, u64), u32> = KeyedMap::default();
        for (one, place) in all.iter().zip(places) {
            let Some(sighting) = by_goid.get(&one.goid) else { continue };
            standing_at.entry(*place).or_insert(sighting.standing);
            families.extend(one.parent_goid.map(|parent| ((parent, *place), 0)));
        }
        let asked: KeyedSet<Goid> =
            seen.iter().flat_map(|one| std::iter::once(one.goid).chain(one.parent)).collect();
        let waits_for_io = |standing: &u32| {
            standings.get(*standing as usize).is_some_and(|one| one.as_ref().wait == Wait::Io)
        };
        let mut readers = Vec::new();
        for (one, place) in all.iter().zip(places) {
            let Some(parent) = one.parent_goid else { continue };
            if let Some(count) = families.get_mut(&(parent, *place)) {
                *count += 1;
            }
            let standing = standing_at.get(place).copied().filter(waits_for_io);
            if let Some(standing) = standing.filter(|_| asked.contains(&parent)) {
                readers.push(Reader { goid: one.goid, parent, standing });
            }
        }
        let family = |(one, place): (&Goroutine, &u64)| {
            by_goid.get(&one.goid).and(one.parent_goid).and_then(|parent| families.get(&(parent, *place)))
        };
        let siblings =
            all.iter().zip(places).filter_map(|pair| Some((pair.0.goid, *family(pair)?))).collect();
        let mut goids: Vec<Goid> = all.iter().map(|one| one.goid).collect();
        goids.sort_unstable();
        Self { goids, readers, siblings }
    }

    /// Whether this one is there.
    pub(super) fn has(&self, goid: Goid) -> bool {
        self.goids.binary_search(&goid).is_ok()
    }

    /// How many of its parent's goroutines stand where this one does, itself included, where its parent is known.
    pub(super) fn siblings(&self, goid: Goid) -> Option<u32> {
        self.siblings.get(&goid).copied()
    }

    /// All of these ids and nothing else, for tests.
    #[cfg(test)]
    pub(super) fn made_up(goids: Vec<Goid>) -> Self {
        Self { goids, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::base::num::{Ktime, ReturnPc};
    use crate::base::time::SECOND_NS;
    use crate::go::reach::Streaks;
    use crate::judge::detect::connections::{Connection, Opened, Waited};
    use crate::judge::detect::observation::{Observation, made_up};
    use crate::judge::detect::sample::{Sampler, goroutine, made_up as snapshot};
    use crate::judge::detect::{History, Policy, findings};
    use crate::schema::{Location, Severity};

    /// The wait reasons of what is made up here, which are the indexes of its standings as well.
    const WRITES: u8 = 0;
    const READS: u8 = 1;

    fn standing(function: &str, wait: Wait) -> Standing {
        let created_by = Location { function: Some(function.to_owned()), ..made_up().created_by };
        Standing { created_by, wait, ..made_up() }
    }

    /// What a program shows rules of its goroutines; `opened` says by whom the connections were that are read from.
    fn observe(sampler: &mut Sampler, all: Vec<Goroutine>, at: Ktime, opened: Option<Opened>) -> Observation {
        let mut snapshot = snapshot(all);
        let sample = sampler.choose(&mut snapshot).unwrap();
        let sighting = |(one, weight): (&Goroutine, _)| Sighting {
            goid: one.goid,
            parent: one.parent_goid,
            standing: one.wait_reason.into(),
            object: 0,
            moves: Some(1),
            waiting_ns: None,
            stack_bytes: 8192,
            leaked: false,
            locked: false,
            weight,
        };
        let seen = sample.snapshot.goroutines.iter().zip(sample.weights.iter().copied());
        let sightings: Vec<Sighting> = seen.map(sighting).collect();
        let standings =
            vec![standing("main.serve", Wait::Select).into(), standing("main.accept", Wait::Io).into()];
        let everyone = Everyone::of(&snapshot.goroutines, &sample.places, &standings, &sightings);
        let readers = sightings.iter().filter(|one| one.standing == u32::from(READS));
        let peer = IpAddr::from([10, 0, 0, 7]);
        let connection = |one: &Sighting| {
            Some((one.goid, Connection { opened: opened?, peer, is_open: true, is_idle: false }))
        };
        let connections = Waited::made_up(readers.filter_map(connection));
        Observation {
            at,
            standings,
            sightings,
            complete: true,
            everyone: Some(everyone),
            connections,
            ..Observation::default()
        }
    }

    /// The surest verdict on the writers if such goroutines come, four hundred more every quarter of a minute.
    fn verdict_on_writers(start: &dyn Fn(u64) -> Vec<Goroutine>, opened: Option<Opened>) -> Option<Severity> {
        let (mut sampler, mut history) = (Sampler::default(), History::default());
        let mut watched = None;
        for look in 0..15 {
            let all = (0..8_500 + look * 400).flat_map(start).collect();
            let seen = observe(&mut sampler, all, Ktime((1 + look * 15) * SECOND_NS), opened);
            watched = Some(history.observe(&seen, &Streaks::default()));
        }
        let findings = findings(&watched?, &Policy::default(), &|_| None);
        let of_writers = |function: &Option<String>| function.as_deref() == Some("main.serve");
        findings
            .iter()
            .filter(|one| of_writers(&one.verdict.created_by.function))
            .map(|one| one.verdict.severity)
            .min()
    }

    fn child(goid: u64, parent: u64, reason: u8) -> Goroutine {
        let gopc = ReturnPc(0x40_1000 + u64::from(reason));
        Goroutine { parent_goid: Some(Goid(parent)), gopc, ..goroutine(goid, reason) }
    }

    /// A reader and a writer that one handler started, which has returned.
    fn pumps(client: u64) -> Vec<Goroutine> {
        let handler = 100 + client * 3;
        vec![child(handler + 1, handler, READS), child(handler + 2, handler, WRITES)]
    }

    #[test]
    fn who_is_not_looked_at_is_a_companion_as_well() {
        assert_eq!(
            verdict_on_writers(&pumps, None),
            Some(Severity::Watch),
            "readers of the same connections"
        );
        assert_eq!(verdict_on_writers(&pumps, Some(Opened::ByPeer)), Some(Severity::Watch), "of clients");
        let handled = |client: u64| {
            let reader = 100 + client * 3;
            vec![child(reader, 7, READS), child(reader + 1, reader, WRITES)]
        };
        assert_eq!(verdict_on_writers(&handled, None), Some(Severity::Watch), "the reader started it");
    }

    #[test]
    fn among_many_a_leak_is_told_as_among_few() {
        let orphan = |client: u64| vec![child(100 + client * 2, 99 + client * 2, WRITES)];
        let leak = |client: u64| [orphan(client), vec![child(100_000 + client, 7, READS)]].concat();
        assert_eq!(verdict_on_writers(&leak, None), Some(Severity::Likely), "nobody is beside them");
        assert_eq!(verdict_on_writers(&pumps, Some(Opened::ByUs)), Some(Severity::Likely), "our own clients");
        let of_few = |client: u64| {
            let reader = 100 + client % 300;
            let first = (client < 300).then(|| child(reader, 7, READS));
            let writer = |number| child(1_000 + client * 2 + number, reader, WRITES);
            first.into_iter().chain([writer(0), writer(1)]).collect()
        };
        assert_eq!(verdict_on_writers(&of_few, None), Some(Severity::Likely), "many of each connection");
    }
}
