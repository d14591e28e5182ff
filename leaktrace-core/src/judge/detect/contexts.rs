//! For how long goroutines have gone on waiting with a context that has been cancelled.

use std::collections::{BTreeMap, BTreeSet};

use super::observation::Observation;
use super::watched::Watched;
use crate::base::hash::{KeyedMap, KeyedSet};
use crate::base::memory::Memory;
use crate::base::num::{GPtr, Goid, Ktime};
use crate::base::time::SECOND_NS;
use crate::go::goroutines::Snapshot;
use crate::go::program::Program;
use crate::go::reach::{Handed, cancelled_contexts};

/// After so long in one wait with a cancelled context, in nanoseconds, a goroutine is not just about to finish.
const IGNORED_NS: u64 = 20 * SECOND_NS;

/// How long lies between two looks, in nanoseconds.
const PAUSE_NS: u64 = 4 * SECOND_NS;

/// How many goroutines are looked at, the oldest first: of each place, and of all.
pub(super) const OF_PLACE: usize = 128;
const MOST: usize = 4096;

/// Since when goroutines have waited with which cancelled context.
#[derive(Debug, Default)]
pub struct Contexts {
    since: KeyedMap<Handed, Ktime>,
    looked: Option<Ktime>,
}

impl Contexts {
    /// Looks again, unless that is too early, and says in `watched` who ignores the end of its context. `seen` was made
    /// from `snapshot`.
    pub fn look(
        &mut self,
        program: &Program<'_>,
        memory: &dyn Memory,
        snapshot: &Snapshot,
        seen: &Observation,
        watched: &mut Watched,
    ) {
        if self.looked.is_none_or(|looked| seen.at.since(looked) >= PAUSE_NS) {
            let gs = waiting(snapshot, seen);
            self.add(cancelled_contexts(program, memory, &gs).ok(), seen.at);
        }
        watched.note_cancelled(&self.ignored(seen.at), seen);
    }

    /// Takes in what a look found, if memory could be read. Who was not found begins anew.
    fn add(&mut self, found: Option<Vec<Handed>>, at: Ktime) {
        self.looked = Some(at);
        let Some(found) = found else { return };
        let since = |handed: &Handed| self.since.get(handed).copied().unwrap_or(at);
        self.since = found.into_iter().map(|handed| (handed, since(&handed))).collect();
    }

    /// Who has had a cancelled context for long.
    fn ignored(&self, at: Ktime) -> BTreeSet<Goid> {
        let long = self.since.iter().filter(|(_, since)| at.since(**since) >= IGNORED_NS);
        long.map(|(handed, _)| handed.goid).collect()
    }
}

/// The `runtime.g`s of goroutines that only another one can wake.
fn waiting(snapshot: &Snapshot, seen: &Observation) -> Vec<GPtr> {
    let mut places: BTreeMap<u32, Vec<Goid>> = BTreeMap::new();
    for sighting in &seen.sightings {
        let standing = seen.standings.get(sighting.standing as usize);
        if standing.is_some_and(|standing| standing.wait.needs_goroutine() && !standing.is_main) {
            places.entry(sighting.standing).or_default().push(sighting.goid);
        }
    }
    let oldest = places.into_values().flat_map(|mut goids| {
        goids.sort_unstable();
        goids.truncate(OF_PLACE);
        goids
    });
    let chosen: KeyedSet<Goid> = oldest.take(MOST).collect();
    let all = snapshot.goroutines.iter().filter(|one| chosen.contains(&one.goid));
    all.map(|one| one.g).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::num::Avma;
    use crate::go::reach::Parked;

    fn handed(sp: u64, context: u64) -> Vec<Handed> {
        let parked =
            Parked { g: GPtr(1), sp: Avma(sp), pc: 3, waiting: Avma(4), wait_reason: 5, tracking_seq: None };
        vec![Handed { goid: Goid(7), context: Avma(context), parked }]
    }

    /// How many ignore their context after looks at these seconds.
    fn ignored(looks: &[(u64, Vec<Handed>)]) -> usize {
        let mut contexts = Contexts::default();
        for (second, found) in looks {
            contexts.add(Some(found.clone()), Ktime(second * SECOND_NS));
        }
        looks.last().map_or(0, |(second, _)| contexts.ignored(Ktime(second * SECOND_NS)).len())
    }

    #[test]
    fn who_waits_on_for_long_with_a_cancelled_context_ignores_it() {
        assert_eq!(ignored(&[(1, handed(1, 2)), (11, handed(1, 2)), (21, handed(1, 2))]), 1);
    }

    #[test]
    fn a_look_that_cannot_read_makes_nobody_begin_anew() {
        let mut contexts = Contexts::default();
        for (second, found) in [(1, Some(handed(1, 2))), (11, None), (21, Some(handed(1, 2)))] {
            contexts.add(found, Ktime(second * SECOND_NS));
        }
        assert_eq!(contexts.ignored(Ktime(21 * SECOND_NS)).len(), 1);
    }

    #[test]
    fn who_has_only_just_got_it_or_ran_meanwhile_does_not() {
        assert_eq!(ignored(&[(1, handed(1, 2)), (20, handed(1, 2))]), 0, "not for long");
        assert_eq!(ignored(&[(1, handed(1, 2)), (11, handed(9, 2)), (30, handed(9, 2))]), 0, "another wait");
        assert_eq!(
            ignored(&[(1, handed(1, 2)), (11, handed(1, 9)), (30, handed(1, 9))]),
            0,
            "another context"
        );
        assert_eq!(ignored(&[(1, handed(1, 2)), (11, Vec::new()), (30, handed(1, 2))]), 0, "not throughout");
    }
}
