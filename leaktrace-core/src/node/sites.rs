//! The `go` statements of a process, and how many goroutines each has.

use std::cmp::Reverse;
use std::time::Duration;

use crate::base::hash::KeyedMap;
use crate::base::num::{Goid, Ktime, Pc, ReturnPc};
use crate::base::time::{MINUTE_NS, nanoseconds};
use crate::go::goroutines::{Goroutine, GoroutineKind, Snapshot};
use crate::go::names::WaitReasons;

use super::ages::{Ages, OLD};
use super::floors::{Clock, Floors, Turns};
use super::suspicion::LEAST_WAITERS;

/// How many `go` statements of a process are told apart.
pub const MAX_SITES: usize = 1024;
/// How many that are not in the table are counted apart during one look, to find out who belongs in it.
const MAX_NEW: usize = 4 * MAX_SITES;
/// For how long a site without goroutines is remembered if it never had old ones.
const EMPTY_NS: u64 = 10 * MINUTE_NS;
/// What Go says of who waits for a lock.
const LOCK_REASONS: [&str; 3] = ["sync.Mutex.Lock", "sync.RWMutex.RLock", "sync.RWMutex.Lock"];

/// The main goroutine: it ends with the program, so its age says nothing.
const MAIN: Goid = Goid(1);

/// The `go` statement, and the function that it starts.
type Key = (ReturnPc, Pc);

/// What one look counted of one site.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    live: u32,
    old: u32,
    in_lock: u32,
    /// The lowest id but the main goroutine's, the highest age, and the lowest id of who waits for a lock.
    least: Option<Goid>,
    oldest: Duration,
    least_locked: Option<Goid>,
}

impl Tally {
    fn add(&mut self, goroutine: &Goroutine, age: Duration, in_lock: bool) {
        let goid = goroutine.goid;
        let least_of = |least: Option<Goid>| Some(least.map_or(goid, |least| least.min(goid)));
        self.live += 1;
        if in_lock {
            self.in_lock += 1;
            self.least_locked = least_of(self.least_locked);
        }
        if goid != MAIN {
            self.old += u32::from(age >= OLD);
            self.least = least_of(self.least);
            self.oldest = self.oldest.max(age);
        }
    }
}

/// That the same goroutine was the first to wait for a lock at each of some looks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Locked {
    goid: Goid,
    since: Ktime,
    until: Ktime,
    pub(super) looks: u8,
}

impl Locked {
    pub(super) const fn lasted(&self) -> u64 {
        self.until.since(self.since)
    }
}

/// One `go` statement with one function that it starts.
#[derive(Clone, Debug)]
pub struct SiteRow {
    /// The return address of the `go` statement.
    pub gopc: ReturnPc,
    /// The entry of the function that it starts.
    pub startpc: Pc,
    tally: Tally,
    /// Since when the goroutine with the lowest id is known.
    known_since: Ktime,
    /// When it last had goroutines.
    last_live: Ktime,
    pub(super) locked: Option<Locked>,
    pub(super) floors: Floors,
}

// A thousand processes have some thirty each.
const _: () = assert!(size_of::<SiteRow>() <= 384);

impl SiteRow {
    fn new((gopc, startpc): Key, tally: Tally, now: Ktime) -> Self {
        let (locked, floors) = (None, Floors::default());
        Self { gopc, startpc, tally, known_since: now, last_live: now, locked, floors }
    }

    const fn key(&self) -> Key {
        (self.gopc, self.startpc)
    }

    /// How many of its goroutines live.
    pub const fn live(&self) -> u32 {
        self.tally.live
    }

    /// How many of these are [`OLD`], as far as that is known.
    pub const fn old(&self) -> u32 {
        self.tally.old
    }

    /// How many of these wait for a lock.
    pub const fn in_lock(&self) -> u32 {
        self.tally.in_lock
    }

    /// For how long its oldest goroutine but the main one was known to have lived at the last look.
    pub fn oldest(&self) -> Option<Duration> {
        self.tally.least.map(|_| self.tally.oldest)
    }

    /// Takes up what the look at `now` counted; the table has counted it into `tally`.
    fn settle(&mut self, now: Ktime, before: Option<Goid>, turns: Option<&Turns>) {
        // Marks get fewer as they get older; since when the first of them is known is not forgotten.
        let seen_since = Ktime(now.0.saturating_sub(nanoseconds(self.tally.oldest)));
        let is_same = before.is_some() && before == self.tally.least;
        self.known_since = if is_same { self.known_since.min(seen_since) } else { seen_since };
        self.tally.oldest = Duration::from_nanos(now.since(self.known_since));
        if self.tally.live > 0 {
            self.last_live = now;
        }
        self.locked = self.tally.least_locked.filter(|_| self.tally.in_lock >= LEAST_WAITERS).map(|goid| {
            match self.locked.filter(|locked| locked.goid == goid) {
                Some(locked) => Locked { until: now, looks: locked.looks.saturating_add(1), ..locked },
                None => Locked { goid, since: now, until: now, looks: 1 },
            }
        });
        if let Some(turns) = turns {
            self.floors.look(turns, self.tally.old);
        }
    }

    fn is_forgotten(&self, now: Ktime) -> bool {
        self.tally.live == 0 && now.since(self.last_live) > EMPTY_NS && self.floors.are_nothing()
    }
}

/// The `go` statements of a process. Those that it has no room for are counted together.
#[derive(Clone, Debug, Default)]
pub struct SiteTable {
    rows: Vec<SiteRow>,
    places: KeyedMap<Key, u16>,
    other: u64,
    clock: Clock,
    /// Which wait reasons are locks.
    locks: Vec<u8>,
}

impl SiteTable {
    /// What the numbers of wait reasons mean here.
    pub fn know_reasons(&mut self, reasons: &WaitReasons) {
        self.locks = LOCK_REASONS.iter().filter_map(|name| reasons.number(name)).collect();
    }

    /// The `go` statements, in no particular order.
    pub fn rows(&self) -> &[SiteRow] {
        &self.rows
    }

    /// How many goroutines come from `go` statements that the table has no room for.
    pub const fn other(&self) -> u64 {
        self.other
    }

    /// How many goroutines of the program's own the last look counted.
    pub fn live(&self) -> u64 {
        self.rows.iter().map(|row| u64::from(row.live())).sum::<u64>() + self.other
    }

    /// Takes up a look that ended at `now`.
    pub fn counted(&mut self, now: Ktime, look: &Snapshot, ages: &Ages) {
        let before: Vec<_> = self.rows.iter().map(|row| (row.gopc, row.startpc, row.tally.least)).collect();
        let new = self.tally(now, look, ages);
        self.admit(new, now);
        // Who is old is known only after so long, and a look that has not seen all says nothing of the least.
        let is_whole = look.unreadable == 0 && look.beyond_limit == 0;
        let turns = (is_whole && ages.watched(now) >= OLD).then(|| self.clock.look(now));
        for (index, row) in self.rows.iter_mut().enumerate() {
            let before = before.get(index).filter(|(gopc, startpc, _)| (*gopc, *startpc) == row.key());
            row.settle(now, before.and_then(|(_, _, least)| *least), turns.as_ref());
        }
        self.forget_empty(now);
    }

    /// Counts the goroutines of a look by their sites, and answers those that are not in the table.
    fn tally(&mut self, now: Ktime, look: &Snapshot, ages: &Ages) -> KeyedMap<Key, Tally> {
        self.rows.iter_mut().for_each(|row| row.tally = Tally::default());
        self.other = 0;
        let mut new: KeyedMap<Key, Tally> = KeyedMap::default();
        for one in look.goroutines.iter().filter(|one| one.kind == GoroutineKind::User) {
            let key = (one.gopc, one.startpc);
            let tally = match self.places.get(&key) {
                Some(place) => &mut self.rows[usize::from(*place)].tally,
                None if new.len() < MAX_NEW || new.contains_key(&key) => new.entry(key).or_default(),
                None => {
                    self.other += 1;
                    continue;
                }
            };
            let waited = one.wait_since.map_or(0, |since| now.since(since));
            let age = ages.at_least(one.goid, now).max(Duration::from_nanos(waited));
            tally.add(one, age, one.status.is_waiting() && self.locks.contains(&one.wait_reason));
        }
        new
    }

    /// Gives new sites a place, the largest first; where there is no room, those that have the least give way.
    fn admit(&mut self, new: KeyedMap<Key, Tally>, now: Ktime) {
        if new.is_empty() {
            return;
        }
        let mut new: Vec<_> = new.into_iter().collect();
        new.sort_unstable_by_key(|(key, tally)| (Reverse(tally.live), *key));
        let room = MAX_SITES.saturating_sub(self.rows.len()).min(new.len());
        let mut least: Vec<_> = (0..self.rows.len()).map(|place| (self.rows[place].live(), place)).collect();
        least.sort_unstable();
        let mut least = least.into_iter();
        for (key, tally) in new.drain(..room) {
            self.places.insert(key, u16::try_from(self.rows.len()).unwrap_or(u16::MAX));
            self.rows.push(SiteRow::new(key, tally, now));
        }
        for (key, tally) in new {
            match least.next().filter(|(live, _)| *live < tally.live) {
                Some((live, place)) => {
                    self.other += u64::from(live);
                    self.places.remove(&self.rows[place].key());
                    self.places.insert(key, u16::try_from(place).unwrap_or(u16::MAX));
                    self.rows[place] = SiteRow::new(key, tally, now);
                }
                None => self.other += u64::from(tally.live),
            }
        }
    }

    fn forget_empty(&mut self, now: Ktime) {
        let rows = self.rows.len();
        self.rows.retain(|row| !row.is_forgotten(now));
        if self.rows.len() < rows {
            self.places = (0..).zip(&self.rows).map(|(place, row)| (row.key(), place)).collect();
        }
    }
}

#[cfg(test)]
mod tests;
