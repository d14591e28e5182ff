//! What leaktrace itself may use of the processor to look at a target: a share of what the target uses, within the limit
//! that holds for both together.

use std::time::Duration;

use super::looks::OBSERVE;
use super::{Target, after};
use crate::base::human;
use crate::base::num::{Ktime, real};
use crate::base::time::{SECOND_NS, nanoseconds};
use crate::trace::budget::for_everything;

/// How much of the limit our own use may take of a busy target; what tracing costs it has the rest, and what is left over.
const OF_LIMIT: f64 = 0.5;

/// What a target that is nearly idle is taken to use of what is ours, in cores: with a limit of 5 %, looks then may
/// take 1.8 % of a core and passes 1.2 %.
const LEAST_BUSY_FOR_LOOKS: f64 = 0.6;

/// What may be used without a limit, in cores.
const WITHOUT_LIMIT: f64 = 0.05;

/// How many seconds' worth can be saved, and is there to begin with: the first looks tell most.
const SAVED_SECONDS: f64 = 30.0;

/// Who uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Snapshots, what they are looked through for, and reports.
    Looks,
    /// Passes through the heap.
    Passes,
}

impl Part {
    const fn share(self) -> f64 {
        match self {
            Self::Looks => 0.6,
            Self::Passes => 0.4,
        }
    }
}

/// Cores that looks and passes may use together.
fn of_both(limit: f64, busy: f64) -> f64 {
    limit * (busy * OF_LIMIT).max(LEAST_BUSY_FOR_LOOKS)
}

/// The most that tracing a target and looking at it may take together while that lasts, in cores on average, with this
/// limit and a target that keeps so many busy.
pub fn most(limit: f64, busy: f64, lasts: Duration) -> f64 {
    for_everything(limit, busy) + of_both(limit, busy) * SAVED_SECONDS / lasts.as_secs_f64()
}

/// An account of processor time.
#[derive(Clone, Copy, Debug)]
pub(super) struct OwnShare {
    part: Part,
    limit: Option<f64>,
    /// Nanoseconds that may be used; less than nothing where more was.
    saved: f64,
    /// Until when that is reckoned.
    at: Ktime,
    /// What the target had used, and when.
    target: Option<(Ktime, Duration)>,
    /// Cores that it keeps busy.
    busy: f64,
}

impl OwnShare {
    pub(super) fn new(part: Part, limit: Option<f64>, now: Ktime) -> Self {
        let mut share = Self { part, limit, saved: 0.0, at: now, target: None, busy: 0.0 };
        share.saved = share.most();
        share
    }

    /// So much was used until `now`, and the target had used so much in all.
    pub(super) fn used(&mut self, now: Ktime, ours: Duration, target: Option<Duration>) {
        self.earn(now);
        self.saved -= real(nanoseconds(ours));
        let Some(total) = target else { return };
        if let Some((before, used)) = self.target {
            // The system counts in hundredths of a second, and a report follows a look at once.
            if now.since(before) < SECOND_NS {
                return;
            }
            self.busy = real(nanoseconds(total.saturating_sub(used))) / real(now.since(before));
        }
        self.target = Some((now, total));
    }

    /// How long until what was used is earned.
    pub(super) fn pause(&self) -> Duration {
        let nanoseconds = (-self.saved).max(0.0) / self.rate().max(f64::MIN_POSITIVE);
        Duration::try_from_secs_f64(nanoseconds / real(SECOND_NS)).unwrap_or(Duration::MAX)
    }

    /// When what was used is earned.
    pub(super) fn earned_at(&self) -> Ktime {
        after(self.at, self.pause())
    }

    fn earn(&mut self, now: Ktime) {
        let earned = real(now.since(self.at)) * self.rate();
        (self.saved, self.at) = ((self.saved + earned).min(self.most()), now);
    }

    /// Cores that may be used.
    fn rate(&self) -> f64 {
        self.limit.map_or(WITHOUT_LIMIT, |limit| of_both(limit, self.busy)) * self.part.share()
    }

    fn most(&self) -> f64 {
        self.rate() * SAVED_SECONDS * 1e9
    }
}

impl Target {
    /// Plans the next look, for when the last ones are earned.
    pub(super) fn schedule_look(&mut self, now: Ktime) {
        self.looks.schedule(now, self.for_looks.pause());
    }

    /// What users should know where looks are rarer than usual.
    pub(super) fn seldom(&self) -> Option<String> {
        let gap = self.looks.longest_gap();
        (gap > OBSERVE * 2).then(|| seldom(gap, self.options.max_overhead.is_some()))
    }
}

fn seldom(gap: Duration, is_limited: bool) -> String {
    let why = if is_limited { ", to stay within --max-overhead" } else { "" };
    format!(
        "snapshots of this program take so long that they are up to {} apart{why}; reports and verdicts come later",
        human::duration(nanoseconds(gap))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = SECOND_NS;

    #[test]
    fn both_together_take_what_the_floors_allow_and_else_the_limit() {
        let close = |have: f64, expected: f64| (have - expected).abs() < 1e-9;
        let (hour, half) = (Duration::from_hours(1), Duration::from_secs(30));
        // Nearly idle: 3 % for looks and passes with what they have saved, and 1 % for tracing.
        assert!(close(most(0.05, 0.0, hour), 0.03 * (1.0 + 30.0 / 3600.0) + 0.01));
        assert!(close(most(0.05, 0.0, half), 0.03 * 2.0 + 0.01));
        // Busy: half for each.
        assert!(close(most(0.05, 4.0, hour), 0.05 * 2.0 * (1.0 + 30.0 / 3600.0) + 0.05 * 2.0));
    }

    /// When looks are taken that take `look` each, of a target that keeps `busy` cores busy.
    fn looks(limit: Option<f64>, look: Duration, busy: u32, until: u64) -> Vec<u64> {
        let mut share = OwnShare::new(Part::Looks, limit, Ktime(0));
        let (mut now, mut all) = (0, Vec::new());
        while now < until * SECOND {
            let target = Duration::from_nanos(now) * busy;
            share.used(Ktime(now), look, Some(target));
            all.push(now);
            now += nanoseconds(share.pause()).max(2 * SECOND);
        }
        all
    }

    fn used(limit: f64, look: u64, busy: u32) -> f64 {
        let taken = looks(Some(limit), Duration::from_millis(look), busy, 600);
        real(taken.len() as u64 * look) / 600_000.0
    }

    #[test]
    fn cheap_looks_are_never_put_off() {
        assert_eq!(looks(Some(0.05), Duration::from_millis(30), 0, 600).len(), 300);
        assert_eq!(looks(None, Duration::from_millis(55), 0, 600).len(), 300);
    }

    #[test]
    fn dear_looks_keep_to_the_share() {
        for (limit, look, busy, most) in [
            (0.05, 200, 0, 0.018 + 0.0011),
            (0.05, 2000, 0, 0.018 + 0.0045),
            (0.05, 2000, 8, 0.12 + 0.009),
            (0.01, 200, 0, 0.0036 + 0.0007),
        ] {
            let share = used(limit, look, busy);
            assert!((most * 0.8..=most).contains(&share), "{limit} {look} {busy}: {share}");
        }
    }

    #[test]
    fn the_first_looks_are_taken_at_once() {
        let taken = looks(Some(0.05), Duration::from_millis(100), 0, 10);
        assert_eq!(taken, [0, 2, 4, 6, 8].map(|at| at * SECOND));
    }

    #[test]
    fn what_a_target_uses_is_not_reckoned_from_a_moment() {
        let mut share = OwnShare::new(Part::Looks, Some(0.05), Ktime(0));
        share.used(Ktime(SECOND), Duration::ZERO, Some(Duration::from_secs(1)));
        share.used(Ktime(SECOND + 1000), Duration::ZERO, Some(Duration::from_millis(1010)));
        assert!(share.busy.abs() < f64::EPSILON);
        share.used(Ktime(3 * SECOND), Duration::ZERO, Some(Duration::from_secs(2)));
        assert!((share.busy - 0.5).abs() < 1e-9);
    }

    #[test]
    fn a_target_that_went_backwards_is_idle() {
        let mut share = OwnShare::new(Part::Looks, Some(0.05), Ktime(0));
        share.used(Ktime(SECOND), Duration::ZERO, Some(Duration::from_secs(9)));
        share.used(Ktime(2 * SECOND), Duration::ZERO, Some(Duration::from_secs(1)));
        assert!(share.busy.abs() < f64::EPSILON);
        assert_eq!(share.pause(), Duration::ZERO);
    }
}
