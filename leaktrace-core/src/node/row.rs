//! One Go process of a node: what is known of it, and when it is read next.

use std::cmp::Reverse;
use std::time::Duration;

use crate::base::num::Ktime;
use crate::base::time::{MINUTE_NS, SECOND_NS, nanoseconds};
use crate::go::counts::Counts;
use crate::go::goroutines::Snapshot;
use crate::go::names::WaitReasons;
use crate::schema::{Location, NodeSite, ProcessId};

use super::ages::Ages;
use super::pace::{Load, Pace, Read, for_target};
use super::sites::{SiteRow, SiteTable};
use super::suspicion::{Suspicion, suspect};

/// How often a process is peeked at, and its goroutines are counted where nothing or something moves.
const PEEK: Duration = Duration::from_secs(5);
const COUNT_STILL: Duration = Duration::from_mins(1);
const COUNT_MOVING: Duration = Duration::from_secs(10);
/// For how long a process is new: then it is counted as if something moved.
const NEW_NS: u64 = 2 * MINUTE_NS;

/// The runtime's counts are not believed any more when they differ from the list by a tenth and so many, so often running.
const FORGIVEN: u64 = 64;
const STRIKES: u8 = 3;
/// They are believed again after so many looks at which they did not.
const ATONED: u8 = 10;
/// A count that could not be read this time is as it was, unless that is longer ago.
const KEPT_NS: u64 = 15 * SECOND_NS;
/// Counts that are older than this are not compared.
const COMPARED_NS: u64 = 5 * SECOND_NS;

/// When something was read, and what it costs.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    last: Option<Ktime>,
    cost: Option<Duration>,
    /// The least time from one to the next that all of the node and the target itself allow.
    allowed: Duration,
}

impl Turn {
    fn took(&mut self, took: Duration) {
        self.cost = Some(self.cost.map_or(took, |cost| (cost * 3 + took) / 4));
    }
}

/// What the last look found.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: Ktime,
    /// Goroutines of the program's own, and of the runtime.
    own: u64,
    of_runtime: u64,
}

/// One process.
#[derive(Clone, Debug)]
pub struct Row {
    /// Which one.
    pub id: ProcessId,
    began: Ktime,
    counts: Option<(Ktime, Counts)>,
    /// When they were last read as a whole.
    counts_whole: Ktime,
    /// Whether a peek has seen something move since the last look.
    moved: bool,
    look: Option<Look>,
    /// How many goroutines of the program's own the first look found.
    at_first: Option<u64>,
    sites: SiteTable,
    ages: Ages,
    /// How often running the counts and the list differed; from [`STRIKES`] on, that and how often they must agree.
    strikes: u8,
    /// How many were made, and whether it is the runtime that counts them.
    created: Option<u64>,
    is_created_exact: bool,
    ended: Option<u64>,
    turns: [Turn; 2],
}

impl Row {
    /// A process that nothing is known of.
    pub fn new(id: ProcessId, now: Ktime) -> Self {
        Self {
            id,
            began: now,
            counts: None,
            counts_whole: now,
            moved: false,
            look: None,
            at_first: None,
            sites: SiteTable::default(),
            ages: Ages::default(),
            strikes: 0,
            created: None,
            is_created_exact: false,
            ended: None,
            turns: [Turn::default(); 2],
        }
    }

    /// What the numbers of wait reasons mean in this process. Without that, no locks are known.
    pub fn know_reasons(&mut self, reasons: &WaitReasons) {
        self.sites.know_reasons(reasons);
    }

    /// A peek at `now` has found these counts.
    pub fn peeked(&mut self, now: Ktime, counts: Counts) {
        // Busy programs are sometimes read while their counts move, and then say less than a moment before.
        let before = self.counts.filter(|_| now.since(self.counts_whole) <= KEPT_NS);
        let known = before.map(|(_, before)| before).unwrap_or_default();
        if counts.live.is_some() {
            self.counts_whole = now;
        }
        let counts =
            Counts { live: counts.live.or(known.live), given: counts.given.or(known.given), ..counts };
        let seen = |counts: Counts| (counts.listed, counts.live, counts.given);
        self.moved |= self.counts.is_some_and(|(_, before)| seen(before) != seen(counts));
        self.counts = Some((now, counts));
        self.turns[Read::Peek as usize].last = Some(now);
        // Where the runtime has no such count, the ids that were given are more by what is in caches.
        self.is_created_exact |= counts.created.is_some();
        let given = counts.given.filter(|_| !self.is_created_exact);
        self.created = self.created.max(counts.created.or(given));
        self.count_ended();
    }

    /// A look that ended at `now` and cost `took` has found these goroutines. The highest id that had been given before it
    /// began was `given_before`, and so many of these no goroutine may have yet.
    pub fn counted(
        &mut self,
        now: Ktime,
        look: &Snapshot,
        given_before: Option<u64>,
        unused: u64,
        took: Duration,
    ) {
        let highest = || look.goroutines.iter().map(|one| one.goid.0).max().unwrap_or_default();
        let given = given_before.unwrap_or_else(highest);
        if self.ages.mark(now, given, unused) {
            look.goroutines.iter().for_each(|one| self.ages.lived(one.goid));
        }
        self.sites.counted(now, look, &self.ages);
        let own = self.sites.live();
        self.at_first.get_or_insert(own);
        self.look =
            Some(Look { at: now, own, of_runtime: (look.goroutines.len() as u64).saturating_sub(own) });
        self.compare(look, own);
        self.count_ended();
        self.moved = false;
        let turn = &mut self.turns[Read::Count as usize];
        turn.last = Some(now);
        turn.took(took);
    }

    /// A read cost so much.
    pub fn took(&mut self, read: Read, took: Duration) {
        self.turns[read as usize].took(took);
    }

    /// A read at `now` has found nothing out. It is its turn again as if it had.
    pub fn failed(&mut self, now: Ktime, read: Read) {
        self.turns[read as usize].last = Some(now);
    }

    /// How often this would be read, and what it costs.
    pub fn load(&self, read: Read) -> Load {
        let cost = self.turns[read as usize].cost.unwrap_or_default();
        Load { base: self.base(read), cost }
    }

    /// How often it may be read: what the node has for it, and what the process itself allows, which keeps so many cores
    /// busy and may be slowed by `limit`.
    pub fn pace(&mut self, pace: &Pace, limit: Option<f64>, busy: f64) {
        for read in Read::ALL {
            let cost = self.load(read).cost;
            self.turns[read as usize].allowed =
                pace.next(read, Duration::ZERO, cost).max(for_target(cost, limit, busy));
        }
    }

    /// What is to be read next, and when.
    pub fn due(&self) -> (Ktime, Read) {
        Read::ALL.map(|read| (self.due_for(read), read)).into_iter().min().unwrap_or((self.began, Read::Peek))
    }

    fn due_for(&self, read: Read) -> Ktime {
        let turn = self.turns[read as usize];
        turn.last.map_or(self.began, |last| last.plus(nanoseconds(self.period(read))))
    }

    /// The time from one read to the next.
    pub fn period(&self, read: Read) -> Duration {
        self.base(read).max(self.turns[read as usize].allowed)
    }

    fn base(&self, read: Read) -> Duration {
        match read {
            Read::Peek => PEEK,
            Read::Count if self.moved || self.is_new() => COUNT_MOVING,
            Read::Count => COUNT_STILL,
        }
    }

    fn is_new(&self) -> bool {
        self.look.is_none_or(|look| look.at.since(self.began) < NEW_NS)
    }

    /// How many goroutines of the program's own there are.
    pub fn goroutines(&self) -> Option<u64> {
        self.live_by_counts().or(self.look.map(|look| look.own))
    }

    /// How many of these the first look found.
    pub const fn at_first(&self) -> Option<u64> {
        self.at_first
    }

    /// How many goroutines there ever were, those of the runtime included. Never falls.
    pub const fn created(&self) -> Option<u64> {
        self.created
    }

    /// How many of these have ended. Never falls.
    pub const fn ended(&self) -> Option<u64> {
        self.ended
    }

    /// For how long the oldest goroutine but the main one was known to have lived at the last look.
    pub fn oldest(&self) -> Option<Duration> {
        self.sites.rows().iter().filter_map(SiteRow::oldest).max()
    }

    /// When the last look ended.
    pub fn looked_at(&self) -> Option<Ktime> {
        self.look.map(|look| look.at)
    }

    /// Whether the runtime's counts are believed. If not, they differ from its list of goroutines.
    pub const fn believes_counts(&self) -> bool {
        self.strikes < STRIKES
    }

    /// So many of the `go` statements that most goroutines come from, and how many come from others. Those that are suspected
    /// are among them before others.
    pub fn sites(&self, top: usize) -> (Vec<&SiteRow>, u64) {
        let mut rows: Vec<_> = self.sites.rows().iter().filter(|row| row.live() > 0).collect();
        let place = |row: &&SiteRow| (Reverse(row.live()), row.gopc, row.startpc);
        rows.sort_by_cached_key(|row| (self.suspicion(row).is_none(), place(row)));
        rows.truncate(top);
        rows.sort_unstable_by_key(place);
        let shown: u64 = rows.iter().map(|row| u64::from(row.live())).sum();
        (rows, self.sites.live() - shown)
    }

    /// The `go` statements that look as if they leaked, the one with most goroutines first.
    pub fn suspicions(&self) -> Vec<(&SiteRow, Suspicion)> {
        let rows = self.sites.rows().iter();
        let mut found: Vec<_> = rows.filter_map(|row| Some((row, self.suspicion(row)?))).collect();
        found.sort_by_key(|(row, _)| (Reverse(row.live()), row.gopc, row.startpc));
        found
    }

    /// The one of these that grows fastest; where none does, the one with most goroutines.
    pub fn prime_suspect(&self) -> Option<&SiteRow> {
        let rate = |suspicion: &Suspicion| suspicion.per_minute.unwrap_or(0.0);
        let faster = |one: &(&SiteRow, Suspicion), other: &(&SiteRow, Suspicion)| {
            rate(&one.1).total_cmp(&rate(&other.1))
        };
        // Of several that are as fast, the last one is taken.
        self.suspicions().into_iter().rev().max_by(faster).map(|(row, _)| row)
    }

    /// Whether any of its `go` statements looks as if it leaked.
    pub fn is_suspect(&self) -> bool {
        self.sites.rows().iter().any(|row| self.suspicion(row).is_some())
    }

    /// What was suspected of one of its `go` statements at the last look.
    pub fn suspicion(&self, site: &SiteRow) -> Option<Suspicion> {
        suspect(site, self.look?.at)
    }

    /// What is told of one of its `go` statements, which is at `created_by`.
    pub fn node_site(&self, site: &SiteRow, created_by: Location) -> NodeSite {
        let suspicion = self.suspicion(site);
        NodeSite {
            created_by,
            live: site.live().into(),
            old: site.old().into(),
            oldest_ns: site.oldest().map_or(0, nanoseconds),
            suspect: suspicion.map(|suspicion| suspicion.kind.to_string()),
            per_minute: suspicion.and_then(|suspicion| suspicion.per_minute),
        }
    }

    fn live_by_counts(&self) -> Option<u64> {
        self.counts.filter(|_| self.believes_counts()).and_then(|(_, counts)| counts.live)
    }

    /// Compares the runtime's counts with a look.
    fn compare(&mut self, look: &Snapshot, own: u64) {
        let is_whole = look.unreadable == 0 && look.beyond_limit == 0;
        let counts = self.counts.filter(|(at, _)| is_whole && look.started.since(*at) <= COMPARED_NS);
        let Some(live) = counts.and_then(|(_, counts)| counts.live) else { return };
        let differs = live.abs_diff(own) > own / 10 + FORGIVEN;
        self.strikes = match (differs, self.strikes) {
            (true, strikes) if strikes + 1 < STRIKES => strikes + 1,
            (true, _) => STRIKES + ATONED - 1,
            (false, strikes) if strikes > STRIKES => strikes - 1,
            (false, _) => 0,
        };
    }

    fn count_ended(&mut self) {
        if let (Some(created), Some(own), Some(look)) = (self.created, self.goroutines(), self.look) {
            self.ended = self.ended.max(Some(created.saturating_sub(own.saturating_add(look.of_runtime))));
        }
    }
}

#[cfg(test)]
mod tests;
