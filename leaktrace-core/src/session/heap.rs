//! When to look through the heap for what nothing refers to, and what that brought. Such a pass reads the whole heap.

use std::sync::Arc;
use std::time::Duration;

use super::{NEVER, after};
use crate::base::num::Ktime;
use crate::go::reach::{Refusal, STRONG, Streaks};
use crate::schema::HeapPasses;

/// How long after a pass the next one follows at the earliest, less than from one snapshot to the next; and as a multiple
/// of the time that the last one took, so that passes take a fortieth of a core at most.
const PAUSE: Duration = Duration::from_millis(1500);
const PAUSE_TIMES: u32 = 40;

/// The same multiple for the first passes, until there have been enough for a verdict: on a large heap the first one would
/// otherwise take minutes. In the long run they do not matter.
const PAUSE_TIMES_AT_FIRST: u32 = 3;

/// The longest pause after passes that leave nothing to be confirmed: each of them doubles it.
const PAUSE_QUIET: Duration = Duration::from_secs(8);

/// How long after a pass that was refused the next one follows, and how much longer after each further one, up to the
/// longest: what is too large or unknown seldom ceases to be.
const PAUSE_REFUSED: Duration = Duration::from_secs(5);
const PAUSE_LONGEST: Duration = Duration::from_mins(5);

/// Of how many goroutines it is found out. A pass remembers almost a kilobyte of each; of a million that would be more than
/// all that they are watched with.
const MOST_GOROUTINES: usize = 150_000;

/// Passes, one at a time.
#[derive(Debug)]
pub(super) struct HeapScans {
    /// What nothing refers to.
    streaks: Arc<Streaks>,
    passes: HeapPasses,
    pace: Pace,
    is_wanted: bool,
}

impl HeapScans {
    pub(super) fn new(now: Ktime) -> Self {
        Self {
            streaks: Arc::default(),
            passes: HeapPasses::default(),
            pace: Pace::new(now),
            is_wanted: false,
        }
    }

    /// How they went.
    pub(super) const fn passes(&self) -> &HeapPasses {
        &self.passes
    }

    /// What nothing refers to, by all passes until now.
    pub(super) fn streaks(&self) -> Arc<Streaks> {
        Arc::clone(&self.streaks)
    }

    /// Some of so many `goroutines` may be stuck. What is wanted too early is wanted no more: the next look says so again.
    /// Passes beyond the first ones wait for that `pause` to be over.
    pub(super) fn request(&mut self, now: Ktime, goroutines: usize, pause: Duration) {
        if goroutines > MOST_GOROUTINES {
            self.refuse(format!("{goroutines} goroutines exceed the limit of {MOST_GOROUTINES}"));
        } else if (pause.is_zero() || self.pace.is_at_first()) && self.pace.begin(now) {
            self.is_wanted = true;
        }
    }

    /// The pass to be made, if there is one.
    pub(super) fn take(&mut self) -> Option<Arc<Streaks>> {
        std::mem::take(&mut self.is_wanted).then(|| self.streaks())
    }

    /// A pass has ended.
    pub(super) fn done(&mut self, now: Ktime, took: Duration, result: Result<Streaks, Refusal>) {
        let is_open = |streaks: &Streaks| streaks.iter().any(|(_, streak)| !streak.is_strong());
        self.pace.adapt(now, took, result.as_ref().ok().map(is_open));
        match result {
            Ok(streaks) => {
                self.passes.made += 1;
                (self.streaks, self.passes.refused) = (Arc::new(streaks), None);
            }
            Err(refusal) => self.refuse(refusal.to_string()),
        }
    }

    fn refuse(&mut self, why: String) {
        (self.streaks, self.passes.refused) = (Arc::default(), Some(why));
    }
}

/// When the next pass may begin.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Never while one is under way.
    due: Ktime,
    /// How many there have been that were not refused.
    made: u32,
    /// How many were refused one after the other.
    refusals: u32,
    /// How long to wait at least after the last one.
    quiet: Duration,
}

impl Pace {
    const fn new(now: Ktime) -> Self {
        Self { due: now, made: 0, refusals: 0, quiet: PAUSE }
    }

    /// Whether there have been too few passes for a verdict.
    const fn is_at_first(&self) -> bool {
        self.made < STRONG
    }

    /// Whether a pass may begin `now`; then it does.
    fn begin(&mut self, now: Ktime) -> bool {
        let may = self.due <= now;
        if may {
            self.due = NEVER;
        }
        may
    }

    /// A pass ended `at` this time that took so long. `is_open` says whether it found some stuck that more passes have to
    /// confirm; nothing where it was refused.
    fn adapt(&mut self, at: Ktime, took: Duration, is_open: Option<bool>) {
        let (pause, times) = match is_open {
            Some(is_open) => self.after_pass(is_open),
            None => self.after_refusal(),
        };
        self.due = after(at, pause.max(took * times));
    }

    /// How long to wait at least, and as a multiple of the time that the pass took.
    fn after_pass(&mut self, is_open: bool) -> (Duration, u32) {
        self.refusals = 0;
        self.made = self.made.saturating_add(1);
        if self.is_at_first() {
            return (PAUSE, PAUSE_TIMES_AT_FIRST);
        }
        self.quiet = if is_open { PAUSE } else { (self.quiet * 2).min(PAUSE_QUIET) };
        (self.quiet, PAUSE_TIMES)
    }

    fn after_refusal(&mut self) -> (Duration, u32) {
        self.refusals = self.refusals.saturating_add(1);
        ((PAUSE_REFUSED * self.refusals).min(PAUSE_LONGEST), PAUSE_TIMES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const START: Ktime = Ktime(1_000);

    #[test]
    fn a_verdict_on_a_large_heap_takes_seconds_rather_than_minutes() {
        let (mut pace, mut now) = (Pace::new(START), START);
        for pass in 1..=STRONG {
            assert!(pace.begin(now), "pass {pass}");
            now = after(now, SECOND);
            pace.adapt(now, SECOND, Some(true));
            now = after(now, 3 * SECOND);
        }
        assert_eq!(Duration::from_nanos(now.since(START)), 4 * STRONG * SECOND);
        assert!(!pace.begin(after(now, 36 * SECOND)) && pace.begin(after(now, 37 * SECOND)), "then as ever");
    }

    #[test]
    fn passes_take_a_fortieth_of_a_core_at_most() {
        let mut pace = Pace { made: STRONG, ..Pace::new(START) };
        assert!(pace.begin(START) && !pace.begin(after(START, 100 * SECOND)), "one at a time");
        let end = after(START, SECOND);
        pace.adapt(end, SECOND, Some(true));
        assert!(!pace.begin(after(end, 39 * SECOND)) && pace.begin(after(end, 40 * SECOND)));
        pace.adapt(end, SECOND / 1000, Some(true));
        assert!(!pace.begin(after(end, SECOND)) && pace.begin(after(end, 2 * SECOND)));
    }

    #[test]
    fn where_nothing_is_to_be_confirmed_passes_are_rarer_until_something_is() {
        let mut pace = Pace { made: STRONG, ..Pace::new(START) };
        let mut pause = |is_open| {
            pace.adapt(START, SECOND / 1000, Some(is_open));
            Duration::from_nanos(pace.due.since(START))
        };
        let quiet = [false; 4].map(&mut pause);
        assert_eq!(quiet, [3 * SECOND, 6 * SECOND, 8 * SECOND, 8 * SECOND]);
        assert_eq!([true, true, false].map(&mut pause), [PAUSE, PAUSE, 3 * SECOND]);
    }

    #[test]
    fn what_is_refused_is_tried_ever_less_but_not_given_up() {
        let mut pace = Pace::new(START);
        pace.adapt(START, Duration::ZERO, None);
        assert!(pace.begin(after(START, 5 * SECOND)));
        for _ in 0..1000 {
            pace.adapt(START, Duration::ZERO, None);
        }
        assert!(!pace.begin(after(START, 299 * SECOND)) && pace.begin(after(START, 300 * SECOND)));
    }

    #[test]
    fn too_many_goroutines_are_a_refusal_that_is_said() {
        let mut scans = HeapScans::new(START);
        scans.request(START, MOST_GOROUTINES + 1, Duration::ZERO);
        assert_eq!(scans.passes().refused.as_deref(), Some("150001 goroutines exceed the limit of 150000"));
        assert!(scans.take().is_none());
        scans.request(START, 7, SECOND);
        assert!(scans.take().is_some() && scans.take().is_none());
    }
}
