//! How long probes may stay. A lease ends by itself, in time or when what it allows is spent, whatever has become of those
//! who asked for it.

use leaktrace_common::event::Kind;

use super::Kinds;
use crate::base::num::{Ktime, real};

/// How soon after its beginning a lease is looked at first, in nanoseconds, where it is not known what the target does; and
/// at the latest where it is.
const FIRST_LOOK_NS: u64 = 1_000_000;
const KNOWN_LOOK_NS: u64 = 8_000_000;

/// How long after a look the next one is at least, and at most: a target that has been quiet may become busy at any time.
const SHORTEST_PAUSE_NS: u64 = 500_000;
const LONGEST_PAUSE_NS: u64 = 25_000_000;

/// In how many nanoseconds half of an allowance is spent, at the rate at which `spent` was in the time that has `passed`.
pub(super) fn half_spent_in(allowance: u64, spent: f64, passed: u64) -> u64 {
    if spent > 0.0 { in_nanoseconds(real(allowance) * real(passed) / spent / 2.0) } else { u64::MAX }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "never negative; the cast saturates"
)]
const fn in_nanoseconds(time: f64) -> u64 {
    time as u64
}

/// That some kinds of events may be probed for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lease {
    /// Which.
    pub kinds: Kinds,
    /// Until when.
    pub until: Ktime,
    /// What hits may cost the target meanwhile, in nanoseconds; [`u64::MAX`] for no limit.
    pub allowance: u64,
    /// What a hit of each kind is taken to cost, in nanoseconds.
    pub costs: [f64; Kind::ALL.len()],
}

impl Lease {
    /// One that does not end by itself.
    pub const fn without_end(kinds: Kinds) -> Self {
        Self { kinds, until: Ktime(u64::MAX), allowance: u64::MAX, costs: [0.0; Kind::ALL.len()] }
    }
}

impl Lease {
    fn first_look(&self, now: Ktime, after_ns: u64) -> Ktime {
        if self.allowance == u64::MAX { self.until } else { now.plus(after_ns).min(self.until) }
    }
}

/// Why a lease has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseEnd {
    /// Its time was over and nobody had asked for more.
    Expired,
    /// What it allows was spent.
    Spent,
}

/// Watches over a lease: says when to look at the counters again, and when it is over.
#[derive(Clone, Copy, Debug)]
pub struct LeaseMeter {
    lease: Lease,
    since: Ktime,
    hits: [u64; Kind::ALL.len()],
    due: Ktime,
}

impl LeaseMeter {
    /// A lease that begins `now`; so many `hits` have been counted until then.
    pub fn new(lease: Lease, now: Ktime, hits: [u64; Kind::ALL.len()]) -> Self {
        Self { lease, since: now, hits, due: lease.first_look(now, FIRST_LOOK_NS) }
    }

    /// The same, where it follows another of the same kinds, of which `before` was the meter: what the target does is known,
    /// so the first look comes halfway to where that would spend it.
    pub fn renewed(before: &Self, lease: Lease, now: Ktime, hits: [u64; Kind::ALL.len()]) -> Self {
        let (spent, passed) = (before.spent(hits), now.since(before.since));
        let first = half_spent_in(lease.allowance, spent, passed).clamp(FIRST_LOOK_NS, KNOWN_LOOK_NS);
        Self { lease, since: now, hits, due: lease.first_look(now, first) }
    }

    /// Which kinds may be probed, and so be hit.
    pub const fn kinds(&self) -> Kinds {
        self.lease.kinds
    }

    /// When to look next.
    pub const fn due(&self) -> Ktime {
        self.due
    }

    /// Whether the lease is over, now that so many `hits` have been counted.
    pub fn look(&mut self, now: Ktime, hits: [u64; Kind::ALL.len()]) -> Option<LeaseEnd> {
        if self.lease.allowance == u64::MAX {
            return (now >= self.lease.until).then_some(LeaseEnd::Expired);
        }
        let (spent, allowance) = (self.spent(hits), real(self.lease.allowance));
        if spent >= allowance {
            return Some(LeaseEnd::Spent);
        }
        if now >= self.lease.until {
            return Some(LeaseEnd::Expired);
        }
        // Halfway to where it would be spent at this rate, since the rate may grow.
        let passed = now.since(self.since);
        let left = in_nanoseconds(allowance - spent);
        let longest = (passed.max(FIRST_LOOK_NS) * 2).min(LONGEST_PAUSE_NS);
        let pause = half_spent_in(left, spent, passed).clamp(SHORTEST_PAUSE_NS, longest);
        self.due = now.plus(pause).min(self.lease.until);
        None
    }

    fn spent(&self, hits: [u64; Kind::ALL.len()]) -> f64 {
        let costs = hits.iter().zip(self.hits).zip(self.lease.costs);
        costs.map(|((hits, before), cost)| real(hits.saturating_sub(before)) * cost).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const COSTS: [f64; Kind::ALL.len()] = [500.0; Kind::ALL.len()];

    fn lease(allowance: u64) -> Lease {
        Lease { kinds: Kinds::ALL, until: Ktime(250 * MS), allowance, costs: COSTS }
    }

    /// How a program with so many hits a second ends a lease, when, and after how many looks.
    fn run(allowance: u64, a_second: u64) -> (LeaseEnd, Ktime, u32) {
        let mut meter = LeaseMeter::new(lease(allowance), Ktime(0), [7; Kind::ALL.len()]);
        for looks in 1.. {
            let now = meter.due();
            let births = 7 + u64::try_from(u128::from(a_second) * u128::from(now.0) / 1_000_000_000).unwrap();
            if let Some(end) = meter.look(now, [births, 7, 7, 7, 7]) {
                return (end, now, looks);
            }
        }
        unreachable!()
    }

    #[test]
    fn a_quiet_program_has_all_of_its_time_and_is_seldom_looked_at() {
        let (end, at, looks) = run(10 * MS, 1_000);
        assert_eq!((end, at), (LeaseEnd::Expired, Ktime(250 * MS)));
        assert!(looks <= 13, "{looks}");
    }

    #[test]
    fn a_busy_program_spends_it_and_little_more() {
        // A million hits of 500 ns a second spend ten milliseconds in twenty.
        let (end, at, _) = run(10 * MS, 1_000_000);
        assert_eq!(end, LeaseEnd::Spent);
        assert!((20 * MS..21 * MS).contains(&at.0), "{at:?}");
    }

    #[test]
    fn a_sudden_load_is_noticed_no_later_than_in_twice_the_time_that_was_quiet_and_25_milliseconds() {
        let mut meter = LeaseMeter::new(lease(10 * MS), Ktime(0), [0; Kind::ALL.len()]);
        let mut quiet = Ktime(0);
        while meter.due() < Ktime(40 * MS) {
            quiet = meter.due();
            assert_eq!(meter.look(quiet, [0; Kind::ALL.len()]), None);
        }
        assert!(meter.due().since(quiet) <= 2 * quiet.0);
        let mut longest = 0;
        while meter.due() < Ktime(250 * MS) {
            let at = meter.due();
            assert_eq!(meter.look(at, [0; Kind::ALL.len()]), None);
            longest = meter.due().since(at).max(longest);
        }
        assert_eq!(longest, 25 * MS);
    }

    #[test]
    fn what_a_target_did_before_says_when_the_next_lease_is_looked_at_first() {
        let before = LeaseMeter::new(lease(10 * MS), Ktime(0), [0; Kind::ALL.len()]);
        let due = |hits| {
            LeaseMeter::renewed(&before, lease(10 * MS), Ktime(80 * MS), [hits; Kind::ALL.len()]).due()
        };
        // Hits of all kinds cost 2.5 us; 40,000 in 80 ms spend half of it in 4 ms.
        let [idle, calm, busy, furious] = [0, 1000, 40_000, 1_000_000].map(due);
        assert_eq!([idle, calm, busy, furious], [88, 88, 84, 81].map(|at| Ktime(at * MS)));
    }

    #[test]
    fn one_without_end_is_looked_at_never() {
        let mut meter = LeaseMeter::new(Lease::without_end(Kinds::ALL), Ktime(0), [0; Kind::ALL.len()]);
        assert_eq!(meter.due(), Ktime(u64::MAX));
        assert_eq!(meter.look(Ktime(1), [u64::MAX; Kind::ALL.len()]), None);
    }
}
