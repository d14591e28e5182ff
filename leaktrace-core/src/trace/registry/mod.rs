//! Every goroutine that is alive, folded from events and repaired from snapshots.
//!
//! Identity is the goroutine id, which Go never reuses. Events of different CPUs may arrive out of order and
//! some may be lost: an end may come before its birth, or one of them never. Nothing is counted twice, and what
//! could not be counted has its own counter. For every [`Site`], and so for all of them together,
//! `live = before_attach + born - ended` holds at any time.
//!
//! The registry knows no names; symbols and shares of a report are [`report`](crate::report)'s matter.

mod counts;
mod cycles;
mod ends;
mod lifetimes;
mod lineage;
mod reconcile;
mod sites;
mod suite;
mod tracked;
mod unmet;

pub use counts::Counts;
pub use lifetimes::Lifetimes;
pub use lineage::{Lineage, LineageId};
pub use reconcile::Reconciled;
pub use sites::{CreatorStack, Site, SiteId};
pub use suite::{Owner, Suite};
pub use tracked::{Origin, Since, Tracked};

use std::collections::hash_map::Entry as Slot;

use crate::base::hash::KeyedMap;
use ends::{Counted, Ended, RecentEnds};
use lineage::{Lineages, Parentage};
use sites::Sites;
use tracked::Entry;
use unmet::Unmet;

use crate::base::num::{Goid, Ktime};
use crate::base::time::{SHORTEST_RATED_NS, per_minute};
use crate::trace::decode::{About, BirthEvent, EndEvent, Event, ParkEvent, ReadyEvent};

/// How much a registry may hold, so that no target can exhaust us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Goroutines that are alive.
    pub goroutines: usize,
    /// Sites, at most 65,535.
    pub sites: usize,
    /// Ends that are remembered while a snapshot is taken.
    pub ends: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { goroutines: 7 << 20, sites: 1 << 15, ends: 2 << 20 }
    }
}

/// Every goroutine of one process that is alive.
#[derive(Debug)]
pub struct Registry {
    live: KeyedMap<Goid, Entry>,
    sites: Sites,
    lineages: Lineages,
    ends: RecentEnds,
    unmet: Unmet,
    /// What events said of goroutines that the snapshot being taken may yet show.
    strangers: KeyedMap<Goid, Entry>,
    counts: Counts,
    attached_at: Ktime,
    newest: Ktime,
    round: u8,
    limits: Limits,
    suite: Option<Suite>,
    /// Since when everybody who is alive is known: since the first snapshot, or the attaching to a process that had not run.
    known_since: Option<Ktime>,
}

impl Registry {
    /// No goroutines yet; the probes were attached at `attached_at`.
    pub fn new(attached_at: Ktime) -> Self {
        Self::with_limits(attached_at, Limits::default())
    }

    /// As [`new`](Self::new), with other bounds than the usual ones.
    pub fn with_limits(attached_at: Ktime, limits: Limits) -> Self {
        Self {
            live: KeyedMap::default(),
            sites: Sites::new(limits.sites),
            lineages: Lineages::new(),
            ends: RecentEnds::new(limits.ends),
            unmet: Unmet::default(),
            strangers: KeyedMap::default(),
            counts: Counts::default(),
            attached_at,
            newest: attached_at,
            round: 0,
            limits,
            suite: None,
            known_since: None,
        }
    }

    /// Says that the process has not run yet: whatever a snapshot will show was born since.
    pub(crate) const fn set_seen_from_start(&mut self) {
        self.known_since = Some(self.attached_at);
    }

    /// From now on, notes which test of `suite` each goroutine belongs to.
    pub fn follow(&mut self, suite: Suite) {
        self.suite = Some(suite);
    }

    /// Whether it is noted which test goroutines belong to.
    pub(crate) const fn follows_tests(&self) -> bool {
        self.suite.is_some()
    }

    /// The test that a goroutine belongs to, where that is known.
    pub fn owner(&self, goid: Goid) -> Option<Owner> {
        self.suite.as_ref()?.owner(goid)
    }

    /// Takes an event in. Its time need not be later than that of the last one.
    pub fn apply(&mut self, event: &Event<'_>) {
        self.newest = self.newest.max(event.about().ktime);
        if let Some(suite) = &mut self.suite {
            suite.apply(event);
        }
        match event {
            Event::Birth(birth) => self.birth(birth),
            Event::End(end) => self.end(*end),
            Event::Park(park) => self.park(*park),
            Event::Ready(ready) => self.ready(*ready),
            Event::Site(birth) => self.birth_at_site(birth),
        }
    }

    fn birth(&mut self, birth: &BirthEvent<'_>) {
        let about = birth.about;
        let id = self.sites.intern(birth.creation_pc, birth.start_pc);
        let reached = Sites::reached(id, birth);
        self.sites.note_creator(id, reached);
        let lineage = self.lineages.intern(self.lineage_of(birth.parent), id, reached);
        let parentage = Parentage::new(birth.parent, lineage);
        let (full, round) = (self.live.len() >= self.limits.goroutines, self.round);
        match self.live.entry(about.goid) {
            Slot::Occupied(known) => {
                let at = birth.about.ktime;
                self.counts.birth_of_known(known.into_mut(), at, parentage, &mut self.sites);
            }
            Slot::Vacant(slot) => match self.ends.count(about.goid) {
                Some(Ended { counted: Counted::Known, .. }) => self.counts.births_repeated += 1,
                Some(Ended { counted, at }) => {
                    self.counts.birth_after_end(counted, id, &mut self.sites);
                    self.sites.get_mut(id).lifetimes.add(at.since(about.ktime));
                }
                None if full => self.counts.untracked += 1,
                None => {
                    let known = self.strangers.remove(&about.goid);
                    let born = Entry::new(id, Origin::Seen, about.ktime, parentage, round);
                    slot.insert(born.with_state_of(known));
                    self.counts.born(id, &mut self.sites);
                }
            },
        }
    }

    /// A `go` statement is about to run. Its goroutine is for a snapshot to show.
    fn birth_at_site(&mut self, birth: &BirthEvent<'_>) {
        let About { goid: creator, ktime, .. } = birth.about;
        let id = self.sites.intern(birth.creation_pc, birth.start_pc);
        let reached = Sites::reached(id, birth);
        self.sites.note_creator(id, reached);
        let lineage = self.lineages.intern(self.lineage_of(Some(creator)), id, reached);
        self.unmet.add(id, creator, ktime, lineage);
    }

    fn end(&mut self, end: EndEvent) {
        let about = end.about;
        let known = self.live.remove(&about.goid);
        if known.is_none() && self.ends.get(about.goid).is_some() {
            return;
        }
        let counted = match known {
            Some(entry) => {
                self.counts.ended(entry.site, &mut self.sites);
                if entry.origin == Origin::Seen {
                    self.sites.get_mut(entry.site).lifetimes.add(about.ktime.since(entry.born));
                }
                Counted::Known
            }
            None if self.known_since.is_none() => {
                self.counts.ended_from_before(&mut self.sites);
                Counted::FromBefore
            }
            None => {
                self.counts.ends_unmatched += 1;
                Counted::Not
            }
        };
        self.ends.insert(about.goid, Ended { at: about.ktime, counted }, self.newest);
    }

    fn park(&mut self, park: ParkEvent) {
        if let Some(entry) = self.known_or_stranger(park.about.goid) {
            entry.park(park.about.ktime, park.wait_reason);
        }
    }

    fn ready(&mut self, ready: ReadyEvent) {
        if let Some(entry) = self.known_or_stranger(ready.about.goid) {
            entry.ready(ready.about.ktime);
        }
    }

    /// What an event about `goid` is to be noted in. A goroutine that is not known is left to the next snapshot,
    /// which will show its state; but while one is being taken that state may already be the older one.
    fn known_or_stranger(&mut self, goid: Goid) -> Option<&mut Entry> {
        let known = self.live.get_mut(&goid);
        if known.is_some() || !self.ends.is_held() || self.strangers.len() >= self.limits.ends {
            return known;
        }
        Some(self.strangers.entry(goid).or_insert_with(Entry::stranger))
    }

    /// When the probes were attached.
    pub fn attached_at(&self) -> Ktime {
        self.attached_at
    }

    /// Births less ends in a minute of goroutines of which `live` are alive at `now`, and `live_at_first` were
    /// [at first](Site::live_at_first). `None` until they have been known for long enough: what was born before then may
    /// have replaced what nobody knew.
    pub fn net_per_minute(&self, live: u64, live_at_first: u64, now: Ktime) -> Option<f64> {
        let elapsed = now.since(self.known_since?);
        per_minute(live, live_at_first, elapsed).filter(|_| elapsed >= SHORTEST_RATED_NS)
    }

    /// How many goroutines are alive.
    pub fn live(&self) -> usize {
        self.live.len()
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Every site, in the order of their numbers.
    pub fn sites(&self) -> impl ExactSizeIterator<Item = (SiteId, &Site)> {
        self.sites.iter()
    }

    /// The site with this number.
    pub fn site(&self, id: SiteId) -> &Site {
        self.sites.get(id)
    }

    /// How goroutines of this lineage came about, if that is known.
    pub fn lineage(&self, id: LineageId) -> Option<&Lineage> {
        self.lineages.get(id)
    }

    /// The lineage of a goroutine, as far as it is alive and known.
    fn lineage_of(&self, goid: Option<Goid>) -> LineageId {
        let known = goid.and_then(|goid| self.live.get(&goid));
        known.map_or(LineageId::UNKNOWN, |entry| entry.parentage.lineage())
    }

    /// The goroutine with this id, if it is alive.
    pub fn get(&self, goid: Goid) -> Option<Tracked> {
        self.live.get(&goid).map(|entry| entry.tracked(goid))
    }

    /// Every goroutine that is alive, in no particular order.
    pub fn goroutines(&self) -> impl Iterator<Item = Tracked> {
        self.live.iter().map(|(goid, entry)| entry.tracked(*goid))
    }
}
