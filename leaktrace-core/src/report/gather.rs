//! What the goroutines of a `go` statement have in common, summed up without any names.

use std::collections::BTreeMap;

use crate::base::hash::KeyedMap;
use crate::base::num::Ktime;
use crate::go::goroutines::{Snapshot, StackId};
use crate::go::names::Status;
use crate::trace::registry::{LineageId, Origin, Registry, Since, Site, SiteId, Tracked};

/// An age, or a bound that it has reached at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Age {
    pub(super) ns: u64,
    pub(super) at_least: bool,
}

/// What a goroutine is doing: its state, and its wait reason while that has a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Doing {
    Waiting(u8),
    Other(&'static str),
}

/// The goroutines of one site, or of all sites of one group.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) sites: Vec<SiteId>,
    pub(super) before_attach: u64,
    pub(super) born: u64,
    pub(super) ended: u64,
    pub(super) live_at_first: u64,
    pub(super) ages: Vec<Age>,
    pub(super) long_lived: u64,
    pub(super) longest_wait: Option<Age>,
    pub(super) doing: BTreeMap<Doing, u64>,
    pub(super) lineages: BTreeMap<LineageId, u64>,
    pub(super) places: KeyedMap<Place, u64>,
    /// The place that the last goroutines stand at, and how many of them are not among `places` yet.
    run: Option<(Place, u64)>,
    pub(super) stack_bytes: u64,
}

type Place = (StackId, Doing);

impl Age {
    const fn since(since: Since, now: Ktime) -> Self {
        Self { ns: now.since(since.at), at_least: since.or_earlier }
    }
}

impl Doing {
    fn of(status: Status, wait_reason: u8) -> Self {
        if status.is_waiting() { Self::Waiting(wait_reason) } else { Self::Other(status.as_str()) }
    }
}

impl Tally {
    fn new(id: SiteId, site: &Site) -> Self {
        let Site { before_attach, born, ended, live_at_first, .. } = *site;
        Self { sites: vec![id], before_attach, born, ended, live_at_first, ..Self::default() }
    }

    pub(super) fn live(&self) -> u64 {
        self.ages.len() as u64
    }

    pub(super) fn oldest(&self) -> Option<Age> {
        self.ages.iter().copied().max()
    }

    /// The age that half of them have reached, and whether it is a bound only: that is so if any age that is
    /// not greater is one.
    pub(super) fn median(&mut self) -> Option<Age> {
        let middle = self.ages.len().checked_sub(1)? / 2;
        let (below, median, _) = self.ages.select_nth_unstable(middle);
        let at_least = median.at_least || below.iter().any(|age| age.at_least);
        Some(Age { ns: median.ns, at_least })
    }

    fn add(&mut self, goroutine: &Tracked, now: Ktime, min_age: u64) {
        let age = Age::since(goroutine.born, now);
        // What was there before us may be as old as any.
        let long_lived = age.ns >= min_age || goroutine.origin == Origin::BeforeAttach;
        self.ages.push(age);
        self.long_lived += u64::from(long_lived);
        let wait = goroutine.waiting.map(|since| Age::since(since, now));
        self.longest_wait = self.longest_wait.max(wait);
        *self.doing.entry(Doing::of(goroutine.status, goroutine.wait_reason)).or_default() += 1;
        *self.lineages.entry(goroutine.lineage).or_default() += 1;
    }

    /// One more stands there. Goroutines of a site mostly stand where the one before them does, so the map is seldom asked.
    fn stands_at(&mut self, place: Place) {
        match &mut self.run {
            Some((same, count)) if *same == place => *count += 1,
            _ => {
                self.end_run();
                self.run = Some((place, 1));
            }
        }
    }

    fn end_run(&mut self) {
        if let Some((place, count)) = self.run.take() {
            *self.places.entry(place).or_default() += count;
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.sites.extend(other.sites);
        self.before_attach += other.before_attach;
        self.born += other.born;
        self.ended += other.ended;
        self.live_at_first += other.live_at_first;
        self.ages.extend(other.ages);
        self.long_lived += other.long_lived;
        self.longest_wait = self.longest_wait.max(other.longest_wait);
        self.stack_bytes += other.stack_bytes;
        for (doing, count) in other.doing {
            *self.doing.entry(doing).or_default() += count;
        }
        for (lineage, count) in other.lineages {
            *self.lineages.entry(lineage).or_default() += count;
        }
        for (place, count) in other.places {
            *self.places.entry(place).or_default() += count;
        }
    }
}

/// One tally for each site of the registry, in the order of their numbers.
pub(super) fn by_site(
    registry: &Registry,
    snapshot: Option<&Snapshot>,
    now: Ktime,
    min_age: u64,
) -> Vec<Tally> {
    let mut tallies: Vec<Tally> = registry.sites().map(|(id, site)| Tally::new(id, site)).collect();
    for goroutine in registry.goroutines() {
        tallies[goroutine.site.index()].add(&goroutine, now, min_age);
    }
    if let Some(snapshot) = snapshot {
        add_stacks(&mut tallies, registry, snapshot);
    }
    tallies
}

/// Adds where goroutines stand, unless an event has told since that they are doing something else.
fn add_stacks(tallies: &mut [Tally], registry: &Registry, snapshot: &Snapshot) {
    for shown in &snapshot.goroutines {
        let Some(known) = registry.get(shown.goid) else { continue };
        let tally = &mut tallies[known.site.index()];
        tally.stack_bytes += shown.stack.size();
        let doing = Doing::of(shown.status, shown.wait_reason);
        if let Some(stack) = shown.stack_id.filter(|_| doing == Doing::of(known.status, known.wait_reason)) {
            tally.stands_at((stack, doing));
        }
    }
    tallies.iter_mut().for_each(Tally::end_run);
}
