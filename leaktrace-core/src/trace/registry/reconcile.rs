//! How a snapshot repairs the registry.
//!
//! A snapshot shows each goroutine as it was at some moment between its `started` and its `finished`. So one
//! that was born before `started` and is missing has ended; one that is shown and not known was born unseen,
//! unless its end has been seen, which may have come after it was read, or its birth at its `go` statement.

use std::cmp::Reverse;

use super::cycles::CycleEnds;
use super::ends::{Counted, Ended};
use super::lineage::{LineageId, Parentage};
use super::sites::SiteId;
use super::tracked::Entry;
use super::unmet::Met;
use super::{Origin, Registry};
use crate::base::hash::KeyedMap;
use crate::base::num::{Ktime, ReturnPc};
use crate::go::goroutines::{Goroutine, Snapshot};

/// What one snapshot changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Goroutines that were known and are gone, their ends unseen.
    pub ghosts_removed: u64,
    /// Goroutines that were born unseen.
    pub births_recovered: u64,
    /// Goroutines that existed before the probes were attached.
    pub before_attach: u64,
    /// Goroutines that may have ended while the snapshot was taken: left to the next one.
    pub undecided: u64,
}

/// What is the same for every goroutine of a snapshot.
struct Round {
    started: Ktime,
    first: bool,
    /// Whether every end since `started` is remembered.
    ends_known: bool,
    /// Whether a goroutine that is missing is gone.
    complete: bool,
    cycles: CycleEnds,
}

impl Round {
    /// How a goroutine is known that was not, with the birth that it may have `met`.
    fn origin(&self, gopc: ReturnPc, met: Option<Met>, existed: bool) -> Origin {
        match (gopc, met) {
            (ReturnPc(0), _) => Origin::Foreign,
            (_, Some(met)) if met.is_exact && !self.first => Origin::Seen,
            (_, Some(_)) => Origin::Matched,
            (_, None) if existed => Origin::BeforeAttach,
            (_, None) => Origin::Recovered,
        }
    }
}

impl Registry {
    /// A snapshot is about to be taken: from now on every end is remembered until it is [taken in](Self::reconcile).
    pub fn expect_snapshot(&mut self) {
        self.ends.hold();
    }

    /// The snapshot that was expected could not be taken.
    pub(crate) fn cancel_snapshot(&mut self) {
        self.ends.release();
        self.strangers = KeyedMap::default();
    }

    /// Takes a snapshot in. Every event up to its `finished` must have been [applied](Self::apply) before, and
    /// [`expect_snapshot`](Self::expect_snapshot) called before its `started`; where that was not done, what
    /// cannot be decided is left to the next snapshot.
    pub fn reconcile(&mut self, snapshot: &Snapshot) -> Reconciled {
        let wait_times = snapshot.goroutines.iter().filter_map(|goroutine| goroutine.wait_since);
        let round = Round {
            started: snapshot.started,
            first: self.known_since.is_none(),
            ends_known: snapshot.started > self.ends.complete_after(),
            complete: snapshot.unreadable == 0 && snapshot.beyond_limit == 0,
            cycles: CycleEnds::of(wait_times, snapshot.finished),
        };
        self.round = self.round.wrapping_add(1);
        self.live
            .reserve(snapshot.goroutines.len().saturating_sub(self.live.len()).min(self.limits.goroutines));
        let mut result = Reconciled::default();
        for goroutine in self.in_order(snapshot, &round) {
            self.sight(goroutine, &round, &mut result);
        }
        self.sweep(&round, &mut result);
        for (site, ended) in self.unmet.settle(round.started, round.complete) {
            self.counts.lived_between_snapshots(ended, site, &mut self.sites);
        }
        if round.first {
            self.known_since = Some(self.newest.max(snapshot.finished));
            self.sites.note_first();
        }
        self.compact();
        self.cancel_snapshot();
        self.counts.snapshots += 1;
        self.counts.ghosts_removed += result.ghosts_removed;
        result
    }

    /// The goroutines of a snapshot. The first one shows those too that were there before: the newest of a site come first
    /// then, because they are the ones to meet its births.
    fn in_order<'s>(&self, snapshot: &'s Snapshot, round: &Round) -> Vec<&'s Goroutine> {
        let mut goroutines: Vec<&Goroutine> = snapshot.goroutines.iter().collect();
        if round.first && !self.unmet.is_empty() {
            goroutines.sort_unstable_by_key(|goroutine| Reverse(goroutine.goid));
        }
        goroutines
    }

    fn sight(&mut self, goroutine: &Goroutine, round: &Round, result: &mut Reconciled) {
        let surely = goroutine.wait_since.and_then(|since| round.cycles.surely_waiting(since));
        if !self.live.contains_key(&goroutine.goid) && !self.discover(goroutine, surely, round, result) {
            return;
        }
        let Some(entry) = self.live.get_mut(&goroutine.goid) else { return };
        entry.seen_in = self.round;
        entry.in_doubt = false;
        entry.sighted(round.started, goroutine.status, goroutine.wait_reason, surely);
        if let Some(surely) = surely.filter(|_| entry.origin != Origin::Seen) {
            entry.born = entry.born.min(surely);
        }
    }

    /// Whether a goroutine has ended since it was read.
    fn has_ended(&mut self, shown: &Goroutine) -> bool {
        let Some(ended) = self.ends.get(shown.goid) else { return false };
        if ended.counted == Counted::FromBefore {
            self.ends.count(shown.goid);
            let site = self.sites.intern(shown.gopc, shown.startpc);
            self.counts.shown_after_end(site, &mut self.sites);
        }
        true
    }

    /// Adds a goroutine that was not known, unless it has ended since it was read.
    fn discover(
        &mut self,
        new: &Goroutine,
        surely: Option<Ktime>,
        round: &Round,
        result: &mut Reconciled,
    ) -> bool {
        if self.has_ended(new) {
            return false;
        }
        if !round.ends_known {
            result.undecided += 1;
            return false;
        }
        if self.live.len() >= self.limits.goroutines {
            self.counts.untracked += 1;
            return false;
        }
        let site = self.sites.intern(new.gopc, new.startpc);
        let is_old = surely.is_some_and(|surely| surely < self.attached_at);
        let met = if is_old { None } else { self.unmet.meet(site, new.parent_goid) };
        let existed = met.is_none() && (round.first || is_old);
        if existed {
            self.counts.existed(site, &mut self.sites);
            result.before_attach += 1;
        } else {
            self.counts.born(site, &mut self.sites);
        }
        let origin = round.origin(new.gopc, met, existed);
        if origin == Origin::Recovered {
            self.counts.recovered(site, &mut self.sites);
            result.births_recovered += 1;
        }
        let unseen = if existed { self.attached_at.min(round.started) } else { round.started };
        let born = met.map_or(unseen, |met| met.at);
        let parentage = self.parentage_of(new, site, met);
        let entry = Entry::new(site, origin, born, parentage, self.round);
        self.live.insert(new.goid, entry.with_state_of(self.strangers.remove(&new.goid)));
        true
    }

    /// Where a goroutine comes from that a snapshot shows first, with the birth that it may have `met`.
    fn parentage_of(&mut self, new: &Goroutine, site: SiteId, met: Option<Met>) -> Parentage {
        let known = met.map(|met| met.lineage).filter(|lineage| *lineage != LineageId::UNKNOWN);
        let parent = self.lineage_of(new.parent_goid);
        Parentage::new(new.parent_goid, known.unwrap_or_else(|| self.lineages.intern(parent, site, None)))
    }

    /// Removes what the snapshot does not show. It is remembered as ended, should its end still arrive.
    fn sweep(&mut self, round: &Round, result: &mut Reconciled) {
        let Self { live, sites, counts, ends, newest, round: number, .. } = self;
        live.retain(|goid, entry| {
            if entry.seen_in == *number || entry.born >= round.started {
                return true;
            }
            if !round.complete && !entry.in_doubt {
                entry.in_doubt = true;
                return true;
            }
            counts.ended(entry.site, sites);
            result.ghosts_removed += u64::from(entry.origin != Origin::Foreign);
            ends.insert(*goid, Ended { at: round.started, counted: Counted::Known }, *newest);
            false
        });
    }

    /// Gives memory back after a peak.
    fn compact(&mut self) {
        let wanted = self.live.len().max(1 << 14) * 2;
        if self.live.capacity() > wanted * 2 {
            self.live.shrink_to(wanted);
        }
    }
}
