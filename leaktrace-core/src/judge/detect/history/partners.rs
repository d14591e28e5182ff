//! Whom goroutines live beside: a service that grows with its clients is no leak.
//!
//! A goroutine has a *partner* if the one that started it is still there, or waits for the network beside it, or if one that
//! it started does: the handler that waits for it, the reader of the same connection. A population that grows with partners
//! of its own follows its clients. Partners that many share say nothing, such as `main` or the loop that reads requests, but
//! for those whose goroutines were all there soon after them: the workers of one session.

use crate::base::hash::{KeyedMap, KeyedSet};
use crate::base::num::{Goid, real};
use crate::base::time::SECOND_NS;
use crate::judge::detect::connections::Opened;
use crate::judge::detect::everyone::{Everyone, Reader};
use crate::judge::detect::observation::{Observation, Sighting, Standing, Wait};

/// How many may share a partner: a reader and a writer of one connection.
pub(super) const SHARE: usize = 2;

/// How many may, if they were started soon after it.
const SHARE_FROM_ITS_START: usize = 64;

/// How soon that is, in nanoseconds.
const SOON_NS: u64 = 10 * SECOND_NS;

/// What serves a request on a connection that has many at a time, by the beginning of its name, and what stands on a stack as
/// long as that connection is read from, whichever way it came to the server. Whoever made the request waits for it as long as
/// the connection is there; that its context was cancelled is found out elsewhere.
///
/// Source: Go `src/net/http` (`h2_bundle.go`, and `internal/http2` since 1.27), `golang.org/x/net/http2`, and
/// `google.golang.org/grpc` 1.33 to 1.80 (`server.go`).
const SERVES_A_REQUEST: [(&str, &str); 4] = [
    ("net/http.(*http2serverConn).runHandler", "net/http.(*http2serverConn).serve"),
    ("net/http/internal/http2.(*serverConn).runHandler", "net/http/internal/http2.(*serverConn).serve"),
    ("golang.org/x/net/http2.(*serverConn).runHandler", "golang.org/x/net/http2.(*serverConn).serve"),
    ("google.golang.org/grpc.(*Server).serveStreams.func", "google.golang.org/grpc.(*Server).serveStreams"),
];

/// The function that serves the connection of the requests that the goroutines of this place serve, if they serve any.
pub(super) fn connection_of(standing: &Standing) -> Option<&'static str> {
    let started = standing.start_function.as_deref()?;
    SERVES_A_REQUEST.iter().find(|(name, _)| started.starts_with(name)).map(|(_, connection)| *connection)
}

/// Whether the goroutines of this place serve such requests.
pub(super) fn serves_a_request(standing: &Standing) -> bool {
    connection_of(standing).is_some()
}

/// Who may be whose partner in one observation.
#[derive(Debug, Default)]
pub(super) struct Partners<'s> {
    /// Those that are looked at.
    alive: KeyedSet<Goid>,
    /// All, where these are only some.
    everyone: Option<&'s Everyone>,
    /// By who started them, who may have gone, those that wait for the network.
    of_io: KeyedMap<Goid, Readers>,
}

/// The goroutines of one parent that wait for the network.
#[derive(Clone, Copy, Debug)]
struct Readers {
    count: u32,
    last: Goid,
    /// Whether the process itself made all of their connections.
    are_ours: bool,
}

/// Whom a goroutine lives beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Partner {
    /// An id that the other goroutines of the same partner have as well.
    pub(super) goid: Goid,
    /// Whoever waits for the network, if that is why.
    pub(super) reader: Option<Goid>,
}

impl<'s> Partners<'s> {
    pub(super) fn of(seen: &'s Observation) -> Self {
        let alive = seen.sightings.iter().map(|sighting| sighting.goid).collect();
        let mut partners = Self { alive, everyone: seen.everyone.as_ref(), of_io: KeyedMap::default() };
        let places = OurPlaces::of(seen);
        match partners.everyone {
            Some(everyone) => {
                everyone.readers.iter().for_each(|reader| partners.read(*reader, seen, &places));
            }
            None => readers(seen).for_each(|reader| partners.read(reader, seen, &places)),
        }
        partners
    }

    fn read(&mut self, Reader { goid, parent, standing }: Reader, seen: &Observation, places: &OurPlaces) {
        let is_ours = match seen.connections.get(goid) {
            Some(connection) => connection.opened != Opened::ByPeer,
            None => self.is_left_out(goid) && places.has(standing),
        };
        let readers = self.of_io.entry(parent).or_insert(Readers { count: 0, last: goid, are_ours: true });
        readers.count += 1;
        (readers.last, readers.are_ours) = (goid, readers.are_ours && is_ours);
    }

    /// Whether a goroutine is there, but is not looked at.
    pub(super) fn is_left_out(&self, goid: Goid) -> bool {
        !self.alive.contains(&goid) && self.everyone.is_some_and(|everyone| everyone.has(goid))
    }

    /// Among how many of the same place a goroutine shares its partner, where not all are looked at.
    pub(super) fn share(&self, sighting: &Sighting, partner: Option<Partner>) -> Option<u32> {
        let is_its_parents = |partner: &Partner| Some(partner.goid) == sighting.parent;
        let everyone = self.everyone?;
        partner.map(|partner| match Some(partner).filter(is_its_parents) {
            Some(_) => everyone.siblings(sighting.goid).unwrap_or(1),
            None => 1,
        })
    }

    /// The partner of a goroutine.
    pub(super) fn partner(&self, sighting: &Sighting) -> Option<Partner> {
        if let Some(readers) = self.of_io.get(&sighting.goid) {
            return Some(Partner { goid: sighting.goid, reader: Some(readers.last) });
        }
        let parent = sighting.parent.filter(|parent| *parent != Goid(1))?;
        // Those that a client's connection is made of do not stand for whoever used it.
        let is_beside =
            |readers: &&Readers| !readers.are_ours && (readers.count > 1 || readers.last != sighting.goid);
        let reader = self.of_io.get(&parent).filter(is_beside).map(|readers| readers.last);
        let is_alive = self.alive.contains(&parent) || self.is_left_out(parent);
        (reader.is_some() || is_alive).then_some(Partner { goid: parent, reader })
    }
}

/// Those that are looked at and wait for the network.
fn readers(seen: &Observation) -> impl Iterator<Item = Reader> {
    let waits_for_io = |sighting: &&Sighting| {
        seen.standings.get(sighting.standing as usize).is_some_and(|standing| standing.wait == Wait::Io)
    };
    seen.sightings.iter().filter(waits_for_io).filter_map(|sighting| {
        let Sighting { goid, standing, .. } = *sighting;
        Some(Reader { goid, parent: sighting.parent?, standing })
    })
}

/// The places at which most connections that are known were made by the process itself: those of goroutines that are not looked
/// at are of the same kind.
#[derive(Debug, Default)]
struct OurPlaces(KeyedMap<u32, (u32, u32)>);

impl OurPlaces {
    fn of(seen: &Observation) -> Self {
        let mut places = Self::default();
        for reader in readers(seen) {
            let Some(connection) = seen.connections.get(reader.goid) else { continue };
            let (known, ours) = places.0.entry(reader.standing).or_default();
            *known += 1;
            *ours += u32::from(connection.opened != Opened::ByPeer);
        }
        places
    }

    fn has(&self, standing: u32) -> bool {
        self.0.get(&standing).is_some_and(|(known, ours)| ours * 2 > *known)
    }
}

/// The partners of one cohort.
#[derive(Debug, Default)]
pub(super) struct Company {
    partners: Vec<Goid>,
    /// How many partners that makes where not all are looked at: one shared with three others counts as a quarter.
    of_all: Option<f64>,
    /// Of so many of those it is known when their partners came,
    known: usize,
    /// and so many have had theirs since soon after its own start.
    from_its_start: usize,
    /// How many serve a request of their partner's connection.
    serving: usize,
    alone: usize,
}

impl Company {
    /// Adds a goroutine by its partner, if it has one, by how long after that one it came, by whether it serves a request, and,
    /// where not all are looked at, by how many have that partner.
    pub(super) fn add(
        &mut self,
        partner: Option<Partner>,
        after_ns: Option<u64>,
        serves: bool,
        share: Option<u32>,
    ) {
        match partner {
            Some(_) if serves => self.serving += 1,
            Some(partner) => {
                self.partners.push(partner.goid);
                if let Some(share) = share {
                    *self.of_all.get_or_insert(0.0) += 1.0 / f64::from(share.max(1));
                }
                self.known += usize::from(after_ns.is_some());
                self.from_its_start += usize::from(after_ns.is_some_and(|after| after <= SOON_NS));
            }
            None => self.alone += 1,
        }
    }

    /// Whether next to all have a partner, and next to none shares it with many.
    pub(super) fn accompanies_all(mut self) -> bool {
        let with = self.partners.len();
        self.partners.sort_unstable();
        self.partners.dedup();
        let came_with_it = self.from_its_start * 10 >= self.known * 9 && (self.known > 0 || with == 0);
        let share = if came_with_it { SHARE_FROM_ITS_START } else { SHARE };
        let partners = self.of_all.unwrap_or_else(|| real(self.partners.len() as u64));
        let own =
            partners * real(share as u64) >= real(with as u64) && (with == 0 || self.partners.len() > 1);
        with + self.serving > self.alone * 9 && own
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::num::Ktime;
    use crate::judge::detect::observation::made_up;
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
            standings: vec![made_up().into(), Standing { wait: Wait::Io, ..made_up() }.into()],
            sightings: all.iter().map(sighting).collect(),
            ..Observation::default()
        }
    }

    /// Whether those who do not wait for the network are accompanied, so long after their partners came.
    fn accompanied_after(all: &[(u64, u64, bool)], after_ns: u64) -> bool {
        let seen = seen(all);
        let (partners, mut company) = (Partners::of(&seen), Company::default());
        for sighting in seen.sightings.iter().filter(|sighting| sighting.standing != IO) {
            company.add(partners.partner(sighting), Some(after_ns), false, None);
        }
        company.accompanies_all()
    }

    fn accompanied(all: &[(u64, u64, bool)]) -> bool {
        accompanied_after(all, SOON_NS + 1)
    }

    #[test]
    fn the_workers_of_a_session_may_be_many_if_they_came_with_it() {
        let sessions = 50..60;
        let workers: Vec<_> =
            sessions.clone().flat_map(|n| (0..8).map(move |i| (n * 100 + i, n, false))).collect();
        let all: Vec<_> = sessions.map(|n| (n, 1, true)).chain(workers).collect();
        assert!(accompanied_after(&all, SOON_NS));
        assert!(!accompanied_after(&all, SOON_NS + 1), "one by one, while the connection is there");
        let of_one: Vec<_> = (0..50).map(|n| (100 + n, 50, false)).chain([(50, 1, true)]).collect();
        assert!(!accompanied_after(&of_one, 0), "one connection, whose messages are handled");
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
    fn requests_of_one_connection_may_be_many_while_it_is_there() {
        let [mut streams, mut lost] = [Company::default(), Company::default()];
        let connection = Partner { goid: Goid(7), reader: None };
        (0..50).for_each(|_| streams.add(Some(connection), Some(u64::MAX), true, None));
        (0..50).for_each(|_| lost.add(None, None, true, None));
        assert!(streams.accompanies_all() && !lost.accompanies_all());
        let started = |function: &str| Standing { start_function: Some(function.to_owned()), ..made_up() };
        assert!(serves_a_request(&started("net/http.(*http2serverConn).runHandler")));
        assert!(serves_a_request(&started("google.golang.org/grpc.(*Server).serveStreams.func2.1")));
        assert!(!serves_a_request(&started("main.work")) && !serves_a_request(&made_up()));
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
