//! What the registry keeps of one goroutine: 40 bytes, so that a million fit.

use super::lineage::{LineageId, Parentage};
use super::sites::SiteId;
use crate::base::num::{Goid, Ktime};
use crate::go::names::Status;

/// How the registry came to know a goroutine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Its birth was seen.
    Seen,
    /// It existed before the probes were attached.
    BeforeAttach,
    /// A later snapshot showed it, and its birth had not been seen.
    Recovered,
    /// A snapshot showed it, and its birth is one of those that a probe on its `go` statement has seen.
    Matched,
    /// It belongs to a thread of C code that called into Go: no `go` statement made it, and none ends it.
    Foreign,
}

/// The time from which on something has been so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    /// The time.
    pub at: Ktime,
    /// Whether it may have been so for longer.
    pub or_earlier: bool,
}

/// A goroutine that is alive, as events and snapshots together tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracked {
    /// Its id.
    pub goid: Goid,
    /// Who started it, where that is known.
    pub parent: Option<Goid>,
    /// What started it.
    pub site: SiteId,
    /// How it came about, where that is known.
    pub lineage: LineageId,
    /// How the registry came to know it.
    pub origin: Origin,
    /// When it was born; or earlier unless its birth was [seen](Origin::Seen).
    pub born: Since,
    /// Its state, by whatever is newest: a park, a ready or a snapshot.
    pub status: Status,
    /// Why it waits, a number of the target's own table; meaningful while it [waits](Status::is_waiting).
    pub wait_reason: u8,
    /// Since when it waits, where that is known.
    pub waiting: Option<Since>,
    /// When its state was last told.
    pub state_known_at: Ktime,
}

/// [`Tracked`] as it is stored under its id.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) born: Ktime,
    state_at: Ktime,
    /// 0 if unknown.
    waits_since: Ktime,
    pub(super) parentage: Parentage,
    pub(super) site: SiteId,
    pub(super) origin: Origin,
    status: Status,
    wait_reason: u8,
    waits_longer: bool,
    /// The last snapshot that showed it, by number modulo 256.
    pub(super) seen_in: u8,
    /// Missing in the last snapshot, which was not complete.
    pub(super) in_doubt: bool,
}

const _: () = assert!(size_of::<Entry>() == 40);

impl Entry {
    pub(super) fn new(site: SiteId, origin: Origin, born: Ktime, parentage: Parentage, round: u8) -> Self {
        Self {
            born,
            state_at: if origin == Origin::Seen { born } else { Ktime(0) },
            waits_since: Ktime(0),
            parentage,
            site,
            origin,
            status: Status::Runnable,
            wait_reason: 0,
            waits_longer: false,
            seen_in: round,
            in_doubt: false,
        }
    }

    /// A goroutine of which only its events are known.
    pub(super) fn stranger() -> Self {
        Self::new(SiteId::OTHER, Origin::Recovered, Ktime(0), Parentage::default(), 0)
    }

    /// This goroutine, of which events have told `known` before it was known itself.
    pub(super) fn with_state_of(mut self, known: Option<Self>) -> Self {
        if let Some(known) = known.filter(|known| known.state_at >= self.state_at) {
            (self.state_at, self.status, self.wait_reason) =
                (known.state_at, known.status, known.wait_reason);
            (self.waits_since, self.waits_longer) = (known.waits_since, known.waits_longer);
        }
        self
    }

    /// Its birth arrived after it was already known.
    pub(super) fn birth_arrived(&mut self, born: Ktime, parentage: Parentage) {
        (self.origin, self.born) = (Origin::Seen, born);
        let parent = parentage.parent().or_else(|| self.parentage.parent());
        self.parentage = Parentage::new(parent, parentage.lineage());
    }

    /// An event said at `at` that it waits.
    pub(super) fn park(&mut self, at: Ktime, reason: u8) {
        if at >= self.state_at {
            (self.state_at, self.waits_since, self.waits_longer) = (at, at, false);
            (self.status, self.wait_reason) = (Status::Waiting, reason);
        } else if self.status.is_waiting() && (self.waits_longer || at > self.waits_since) {
            // The state is newer than this event, but not when it began.
            (self.waits_since, self.waits_longer) = (at, false);
        }
    }

    /// An event said at `at` that it may run again.
    pub(super) fn ready(&mut self, at: Ktime) {
        if at >= self.state_at {
            (self.state_at, self.status) = (at, Status::Runnable);
        }
        if at >= self.waits_since {
            self.waits_since = Ktime(0);
        }
    }

    /// A snapshot that began at `at` showed its state; `surely` is a time at which it was waiting already.
    pub(super) fn sighted(&mut self, at: Ktime, status: Status, wait_reason: u8, surely: Option<Ktime>) {
        if at < self.state_at {
            return;
        }
        let waited = self.status.is_waiting() && self.wait_reason == wait_reason;
        if !(waited && status.is_waiting()) {
            self.waits_since = Ktime(0);
        }
        (self.state_at, self.status, self.wait_reason) = (at, status, wait_reason);
        if let Some(surely) = surely.filter(|_| status.is_waiting())
            && (self.waits_since == Ktime(0) || (self.waits_longer && surely < self.waits_since))
        {
            (self.waits_since, self.waits_longer) = (surely, true);
        }
    }

    pub(super) fn tracked(&self, goid: Goid) -> Tracked {
        let waits = self.status.is_waiting() && self.waits_since != Ktime(0);
        Tracked {
            goid,
            parent: self.parentage.parent(),
            site: self.site,
            lineage: self.parentage.lineage(),
            origin: self.origin,
            born: Since { at: self.born, or_earlier: self.origin != Origin::Seen },
            status: self.status,
            wait_reason: self.wait_reason,
            waiting: waits.then_some(Since { at: self.waits_since, or_earlier: self.waits_longer }),
            state_known_at: self.state_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry::new(SiteId::OTHER, Origin::Seen, Ktime(100), Parentage::default(), 0)
    }

    fn waiting(entry: &Entry) -> Option<(u8, u64)> {
        let tracked = entry.tracked(Goid(1));
        tracked
            .status
            .is_waiting()
            .then(|| (tracked.wait_reason, tracked.waiting.map_or(0, |since| since.at.0)))
    }

    #[test]
    fn the_newer_of_event_and_snapshot_wins() {
        let mut entry = entry();
        entry.park(Ktime(200), 7);
        entry.sighted(Ktime(300), Status::Waiting, 7, None);
        assert_eq!(waiting(&entry), Some((7, 200)), "a snapshot that agrees keeps the exact time");
        entry.ready(Ktime(250));
        assert_eq!(waiting(&entry), Some((7, 0)), "it waits again, from an unknown time on");
        entry.park(Ktime(260), 7);
        assert_eq!(waiting(&entry), Some((7, 260)));
        entry.ready(Ktime(310));
        assert_eq!(waiting(&entry), None);
        entry.sighted(Ktime(305), Status::Waiting, 7, None);
        assert_eq!(waiting(&entry), None, "an older snapshot changes nothing");
        entry.sighted(Ktime(400), Status::Waiting, 9, Some(Ktime(350)));
        assert_eq!(waiting(&entry), Some((9, 350)));
        assert!(entry.tracked(Goid(1)).waiting.unwrap().or_earlier);
    }

    #[test]
    fn a_ready_that_overtakes_its_park_is_undone_by_nothing_older() {
        let mut entry = entry();
        entry.ready(Ktime(210));
        entry.park(Ktime(200), 7);
        assert_eq!(waiting(&entry), None);
    }
}
