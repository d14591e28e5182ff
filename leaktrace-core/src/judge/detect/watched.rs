//! What rules judge: every cohort as it is now and as it has become.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::connections::Tally;
use super::history::Trend;
use super::objects::Objects;
use super::observation::{CohortKey, Observation, SiteKey, Standing, Wait};
use super::unjudged::Unjudged;
use crate::base::num::{Avma, Goid, Ktime, nearly_all};
use crate::base::time::SECOND_NS;
use crate::goroutines::model::LockKind;

/// All cohorts of a process at the time of the last observation.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// When that was.
    pub at: Ktime,
    /// For how long the process has been observed, in nanoseconds; 0 if only once.
    pub watched_ns: u64,
    /// How often.
    pub observations: u64,
    /// Its goroutines.
    pub cohorts: Vec<Cohort>,
    /// Who holds the locks that somebody has waited for for long, by the address that they wait at, where that can be
    /// shown.
    pub holders: BTreeMap<u64, Holder>,
    /// What no rule could judge.
    pub unjudged: Unjudged,
}

/// A goroutine that holds a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its id.
    pub goid: Goid,
    /// The channel or lock that it waits for itself; 0 if it does not wait for a single one.
    pub object: u64,
    /// What it waits for, in the runtime's words, and where it stands.
    pub standing: Arc<Standing>,
}

/// For how long, in nanoseconds, somebody must have waited for a lock until it is asked who holds it.
const HELD_FOR_LONG_NS: u64 = 20 * SECOND_NS;

impl Watched {
    /// Whether it would help to know the connections: a cohort grows that may follow its clients, or waits for peers.
    pub fn asks_for_connections(&self) -> bool {
        let asks = |cohort: &Cohort| {
            let grows = cohort.trend.is_some() || cohort.site_trend.is_some();
            grows && (cohort.is_accompanied || cohort.standing.wait == Wait::Io)
        };
        self.cohorts.iter().any(asks)
    }

    /// The locks that are waited for, if anybody has waited for one for long: the addresses of their structs, and those
    /// to wait at. `seen` is the last observation.
    pub fn locks(&self, seen: &Observation) -> BTreeMap<Avma, BTreeSet<u64>> {
        let mut locks: BTreeMap<Avma, BTreeSet<u64>> = BTreeMap::new();
        let mut lasting = self.cohorts.iter().filter(|cohort| cohort.longest_still_ns >= HELD_FOR_LONG_NS);
        if !lasting.any(|cohort| mutex(cohort.standing.wait, u64::MAX).is_some()) {
            return locks;
        }
        for sighting in &seen.sightings {
            let standing = seen.standings.get(sighting.standing as usize);
            if let Some(lock) = standing.and_then(|standing| mutex(standing.wait, sighting.object)) {
                locks.entry(lock).or_default().insert(sighting.object);
            }
        }
        locks
    }

    /// Takes in who holds which of the [`locks`](Self::locks).
    pub fn held(&mut self, found: &BTreeMap<Avma, Goid>, seen: &Observation) {
        for (lock, waited_at) in self.locks(seen) {
            let Some(holder) = found.get(&lock).and_then(|goid| holder(*goid, seen)) else { continue };
            self.holders.extend(waited_at.into_iter().map(|at| (at, holder.clone())));
        }
    }

    /// Takes in which goroutines wait on for long although their context has been cancelled.
    pub(super) fn note_cancelled(&mut self, goids: &BTreeSet<Goid>, seen: &Observation) {
        let mut places: BTreeMap<u32, u64> = BTreeMap::new();
        for sighting in seen.sightings.iter().filter(|sighting| goids.contains(&sighting.goid)) {
            *places.entry(sighting.standing).or_default() += 1;
        }
        let mut cohorts: BTreeMap<CohortKey, u64> = BTreeMap::new();
        for (place, count) in places {
            let Some(standing) = seen.standings.get(place as usize) else { continue };
            *cohorts.entry(standing.key()).or_default() += count;
        }
        if cohorts.is_empty() {
            return;
        }
        for cohort in &mut self.cohorts {
            cohort.cancelled = cohorts.get(&cohort.standing.key()).copied().unwrap_or(0);
        }
    }

    /// The goroutines that wait for each other in a ring which begins with the holder of what is waited for at `first`,
    /// if there is one: each holds the lock that the one before it waits for.
    pub fn ring(&self, first: u64) -> Option<Vec<&Holder>> {
        let mut ring: Vec<&Holder> = Vec::new();
        let mut object = first;
        while ring.is_empty() || object != first {
            let next = self.holders.get(&object)?;
            if ring.iter().any(|known| known.goid == next.goid) {
                return None;
            }
            ring.push(next);
            object = next.object;
        }
        Some(ring)
    }
}

/// The address of the struct of the mutex that somebody waits for at `at`.
///
/// Source: Go `src/sync/mutex.go`, `rwmutex.go`: `state`, `sema`; `w`, `writerSem`, `readerSem`.
fn mutex(wait: Wait, at: u64) -> Option<Avma> {
    let offset = match wait {
        Wait::Lock(LockKind::Mutex) => 4,
        Wait::Lock(LockKind::RwMutexWrite) => 8,
        Wait::Lock(LockKind::RwMutexRead) => 12,
        _ => return None,
    };
    at.checked_sub(offset).map(Avma)
}

fn holder(goid: Goid, seen: &Observation) -> Option<Holder> {
    let sighting = seen.sightings.iter().find(|sighting| sighting.goid == goid)?;
    let standing = seen.standings.get(sighting.standing as usize)?.clone();
    Some(Holder { goid, object: sighting.object, standing })
}

/// The goroutines of one `go` statement that stand at one place.
#[derive(Clone, Debug)]
pub struct Cohort {
    /// What they have in common.
    pub standing: Arc<Standing>,
    /// Their `go` statement.
    pub site: SiteKey,
    /// How many they are.
    pub live: u64,
    /// Those that have stood here for five seconds at least.
    pub settled: u64,
    /// Those that have not run for five seconds at least.
    pub still: u64,
    /// Those of them that nothing has woken in the second half of their time here.
    pub unwoken: u64,
    /// Those that are a minute old at least, wherever they have been meanwhile.
    pub old: u64,
    /// Those of them that have not run in the second half of their lives.
    pub unused: u64,
    /// For how long the one that has been still for the longest time was seen to be.
    pub longest_still_ns: u64,
    /// How long the longest has waited, as the runtime reckons it.
    pub waiting_ns: Option<u64>,
    /// How many have settled here since the first observation.
    pub arrived: u64,
    /// How many that had settled went.
    pub departed: u64,
    /// The growth of those that are settled here, if they grow.
    pub trend: Option<Trend>,
    /// The growth of all that the `go` statement started and that are older than five seconds, if they grow.
    pub site_trend: Option<Trend>,
    /// How many of the `go` statement are older than five seconds, wherever they stand.
    pub site_settled: u64,
    /// The channels or locks that they wait for.
    pub objects: Objects,
    /// How many of their parents are known.
    pub parents_known: u64,
    /// How many of those are gone.
    pub parents_gone: u64,
    /// Whether nearly every one has a companion of its own that is alive: who started it, or who waits for the network beside it.
    pub is_accompanied: bool,
    /// On how many other living stacks the function stands that started them, counted where they grow.
    pub creators: u64,
    /// The connections that they or their partners wait for, as far as these are known.
    pub connections: Tally,
    /// How many have waited on for long with a context at hand that has been cancelled; of a large cohort only some are
    /// looked at.
    pub cancelled: u64,
    /// Their stacks, in bytes.
    pub stack_bytes: u64,
    /// How many the runtime itself has found to be leaked.
    pub leaked: u64,
    /// How many nothing that can still run could wake, as several passes through the heap found in a row.
    pub unreachable: u64,
    /// How many of those were found so while the process was stopped.
    pub certain: u64,
    /// How many are locked to their thread.
    pub locked: u64,
    /// Some of them, the oldest first.
    pub goids: Vec<Goid>,
    /// The youngest few.
    pub youngest: Vec<Goid>,
}

impl Cohort {
    /// An empty one.
    pub fn new(standing: impl Into<Arc<Standing>>) -> Self {
        let standing = standing.into();
        Self {
            site: standing.site_key(),
            standing,
            live: 0,
            settled: 0,
            still: 0,
            unwoken: 0,
            old: 0,
            unused: 0,
            longest_still_ns: 0,
            waiting_ns: None,
            arrived: 0,
            departed: 0,
            trend: None,
            site_trend: None,
            site_settled: 0,
            objects: Objects::default(),
            parents_known: 0,
            parents_gone: 0,
            is_accompanied: false,
            creators: 0,
            connections: Tally::default(),
            cancelled: 0,
            stack_bytes: 0,
            leaked: 0,
            unreachable: 0,
            certain: 0,
            locked: 0,
            goids: Vec::new(),
            youngest: Vec::new(),
        }
    }

    /// Whether it is worth finding out what still refers to what they wait for: one has been still for some seconds, and
    /// only another goroutine could wake it.
    pub(crate) fn may_be_stuck(&self) -> bool {
        self.still > 0 && self.standing.wait.needs_goroutine() && !self.standing.is_main
    }

    /// Whether nearly all that are settled are [unwoken](Self::unwoken). Of a coroutine that is not known: a switch to it and back
    /// leaves no trace in its `runtime.g`.
    pub(crate) fn is_still(&self) -> bool {
        !matches!(self.standing.wait, Wait::Coroutine)
            && self.settled > 0
            && self.unwoken * 20 >= self.settled * 19
    }

    /// Whether most of those that are a minute old have not been used for long: what they stand for is not shared.
    pub(crate) const fn is_unused(&self) -> bool {
        self.old > 0 && self.unused * 2 >= self.old
    }

    /// Whether the goroutines of this place grow in number, keep still, and do not leave.
    pub fn leaks(&self) -> Option<&Trend> {
        self.trend.as_ref().filter(|trend| trend.nobody_leaves() && self.is_still())
    }

    /// Whether they may outlive what they were started for: the functions that did so have returned. The goroutine that ran
    /// them may be there for other work: it serves a connection, and not one request.
    pub(crate) const fn may_outlive(&self) -> bool {
        !self.is_accompanied && self.creators * 2 < self.live
    }

    /// Whether each waits for a channel or lock of its own.
    pub(crate) const fn own_objects(&self) -> bool {
        let Objects { distinct, looked_at, waiters, .. } = self.objects;
        distinct > 0 && nearly_all(distinct, looked_at) && nearly_all(waiters, self.live)
    }

    /// Whether next to all wait for the same channel or lock.
    pub(crate) const fn one_object(&self) -> bool {
        self.objects.most > 1 && nearly_all(self.objects.most, self.live)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::detect::observation::made_up;

    /// Each lock's holder and what that one waits for.
    fn watched(held: &[(u64, u64, u64)]) -> Watched {
        let holder = |goid, object| Holder { goid: Goid(goid), object, standing: Arc::new(made_up()) };
        let holders = held.iter().map(|(lock, goid, object)| (*lock, holder(*goid, *object)));
        Watched { holders: holders.collect(), ..Watched::default() }
    }

    fn ring(held: &[(u64, u64, u64)], first: u64) -> Option<Vec<u64>> {
        let watched = watched(held);
        watched.ring(first).map(|ring| ring.iter().map(|holder| holder.goid.0).collect())
    }

    #[test]
    fn a_ring_comes_back_to_where_it_began() {
        assert_eq!(ring(&[(10, 1, 20), (20, 2, 10)], 10), Some(vec![1, 2]));
        assert_eq!(ring(&[(10, 1, 10)], 10), Some(vec![1]), "it locks again what it holds");
        assert_eq!(ring(&[(10, 1, 20), (20, 2, 30), (30, 3, 10)], 20), Some(vec![2, 3, 1]));
    }

    #[test]
    fn a_chain_is_no_ring() {
        assert_eq!(ring(&[(10, 1, 20), (20, 2, 0)], 10), None);
        assert_eq!(ring(&[(10, 1, 20), (20, 2, 20)], 10), None, "the ring is further on");
        assert_eq!(ring(&[], 10), None);
    }

    #[test]
    fn a_mutex_begins_before_what_is_waited_at() {
        let lock = |kind| mutex(Wait::Lock(kind), 0x100c).map(|at| at.0);
        assert_eq!(lock(LockKind::RwMutexRead), Some(0x1000));
        assert_eq!(lock(LockKind::Mutex), Some(0x1008));
        assert_eq!(lock(LockKind::WaitGroup), None);
    }
}
