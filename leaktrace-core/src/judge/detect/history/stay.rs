//! How long a goroutine has stood where it stands, and what happens on what it waits for.

use super::StandingIndex;
use crate::base::num::Ktime;
use crate::base::time::MINUTE_NS;
use crate::judge::detect::observation::{Object, Sighting};
use crate::judge::detect::sample::Weight;

/// After this long, in nanoseconds, what is used now and then has been used again.
const OLD_NS: u64 = MINUTE_NS;

/// One goroutine at one place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stay {
    pub(super) cohort: u32,
    pub(super) site: u32,
    /// The last observation that showed it.
    pub(super) round: u32,
    /// What it stood for there.
    pub(super) weight: Weight,
    moves: Option<u8>,
    /// Whether it has settled at this place.
    pub(super) settled: bool,
    /// Whether it has settled in its site, wherever it stands.
    pub(super) grown: bool,
    /// Whether it was there in the first observation.
    first: bool,
    pub(super) object: u64,
    /// Since when the site is known to have it.
    pub(super) born: Ktime,
    /// Since when it has stood here in every observation.
    since: Ktime,
    /// Since when it has not run.
    pub(super) still: Ktime,
}

impl Stay {
    pub(super) fn new(place: StandingIndex, sighting: &Sighting, at: Ktime, first: bool) -> Self {
        Self {
            cohort: place.cohort,
            site: place.site,
            round: 0,
            weight: sighting.weight,
            moves: sighting.moves,
            settled: false,
            grown: false,
            first,
            object: sighting.object,
            born: at,
            since: at,
            still: at,
        }
    }

    /// Notes where it is now. If it has run since it was last seen, the object that it waited for then is returned.
    pub(super) fn moved_on(&mut self, sighting: &Sighting, place: StandingIndex, at: Ktime) -> Option<u64> {
        let moved = self.cohort != place.cohort;
        let ran = moved || self.moves != sighting.moves || self.object != sighting.object;
        let before = std::mem::replace(&mut self.object, sighting.object);
        self.moves = sighting.moves;
        if moved {
            (self.cohort, self.since, self.settled, self.first) = (place.cohort, at, false, false);
        }
        if ran {
            self.still = at;
        }
        (ran && before != 0).then_some(before)
    }

    /// Whether nothing has woken it in the second half of its time here. What is left behind may have worked at first; what is
    /// served, even once in a minute, is woken again and again.
    pub(super) const fn is_unwoken(&self, at: Ktime) -> bool {
        at.since(self.still) * 2 >= at.since(self.since)
    }

    /// Whether it has not run in the second half of its life, once that is long enough to tell.
    pub(super) fn is_unused(&self, at: Ktime) -> Option<bool> {
        let age = at.since(self.born);
        (age >= OLD_NS).then(|| at.since(self.still).saturating_mul(2) >= age)
    }

    /// Whether it settles at this place just now, and whether it does in its site: not if it was there before us.
    pub(super) fn settle(&mut self, at: Ktime, after: u64) -> (bool, bool) {
        let settles = !self.settled && at.since(self.since) >= after;
        let grows = !self.grown && at.since(self.born) >= after;
        self.settled |= settles;
        self.grown |= grows;
        (settles && !self.first, grows && !self.first)
    }
}

/// What happens on a channel or a lock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traffic {
    /// Since when nothing has.
    pub(super) quiet_since: Ktime,
    pub(super) round: u32,
    length: u64,
}

impl Traffic {
    pub(super) fn new(object: &Object, at: Ktime) -> Self {
        Self { quiet_since: at, round: 0, length: length(object) }
    }

    pub(super) fn update(&mut self, object: &Object, at: Ktime, round: u32) {
        let met = matches!(object, Object::Channel(channel) if channel.senders > 0 && channel.receivers > 0);
        if met || self.length != length(object) {
            self.quiet_since = at;
        }
        (self.round, self.length) = (round, length(object));
    }
}

const fn length(object: &Object) -> u64 {
    match object {
        Object::Channel(channel) => channel.length,
        Object::Lock { .. } => 0,
    }
}
