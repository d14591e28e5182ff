//! How often in a row a goroutine was found unreachable in one and the same wait.
//!
//! A pass over a running process errs when a reference moves at the wrong moment, or is in a register only. It does
//! not err again and again about the same goroutine in the same wait: whoever holds the reference would have to move it
//! at the wrong moment of every pass. A thread that has to wait for a CPU keeps its registers for that long, and one
//! that runs is interrupted by the runtime every 10 ms, which puts them on a stack; so the passes have to lie further
//! apart than both. The soundness test in `tests/tests/reach.rs` has a program that tries.

use super::verdict::{Parked, Pass, Verdict};
use crate::base::hash::KeyedMap;
use crate::base::num::{Goid, Ktime};
use crate::base::time::SECOND_NS;

/// After how many passes in a row an unreachable goroutine is called stuck.
pub const STRONG: u32 = 4;
/// How long that must have taken, in nanoseconds.
pub const STRONG_AFTER_NS: u64 = 3 * SECOND_NS;

/// Passes in a row that found one goroutine unreachable, parked throughout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streak {
    /// The wait.
    parked: Parked,
    /// How many passes.
    pub passes: u32,
    /// When the first of them ended.
    pub since: Ktime,
    /// When the last of them ended.
    pub last: Ktime,
    /// Whether one of them saw the process stopped: then it is certain.
    pub certain: bool,
}

impl Streak {
    /// Whether this is enough to say that the goroutine will not run again.
    pub const fn is_strong(&self) -> bool {
        self.certain || self.passes >= STRONG && self.last.since(self.since) >= STRONG_AFTER_NS
    }

    fn first(parked: Parked, at: Ktime) -> Self {
        Self { parked, passes: 0, since: at, last: at, certain: false }
    }
}

/// The streaks of all goroutines of a process.
#[derive(Clone, Debug, Default)]
pub struct Streaks {
    by_goid: KeyedMap<Goid, Streak>,
}

impl Streaks {
    /// Counts a pass that ended `at` this time. Who was not unreachable in it begins anew.
    pub fn add(&mut self, pass: &Pass, at: Ktime) {
        let mut now = KeyedMap::default();
        for (&goid, verdict) in pass.verdicts() {
            let Verdict::Unreachable(stuck) = verdict else { continue };
            let known = self.by_goid.get(&goid).filter(|streak| streak.parked == stuck.parked);
            let mut streak = known.copied().unwrap_or_else(|| Streak::first(stuck.parked, at));
            streak.passes += 1;
            streak.last = at;
            streak.certain |= pass.is_consistent();
            now.insert(goid, streak);
        }
        self.by_goid = now;
    }

    /// The streak of a goroutine that the last pass found unreachable.
    pub fn of(&self, goid: Goid) -> Option<&Streak> {
        self.by_goid.get(&goid)
    }

    /// All goroutines that the last pass found unreachable, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&Goid, &Streak)> {
        self.by_goid.iter()
    }
}

/// One goroutine that so many passes found unreachable, from `since` on.
#[cfg(test)]
pub(crate) fn made_up(goid: Goid, passes: u32, since: Ktime, certain: bool) -> Streaks {
    use crate::base::num::{Avma, GPtr};
    let parked =
        Parked { g: GPtr(1), sp: Avma(2), pc: 3, waiting: Avma(4), wait_reason: 5, tracking_seq: None };
    let last = since.plus(STRONG_AFTER_NS);
    Streaks { by_goid: [(goid, Streak { parked, passes, since, last, certain })].into_iter().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::num::{Avma, GPtr};
    use crate::go::reach::verdict::Stuck;

    fn pass(sp: u64, consistent: bool) -> Pass {
        let parked = Parked {
            g: GPtr(1),
            sp: Avma(sp),
            pc: 3,
            waiting: Avma(4),
            wait_reason: 5,
            tracking_seq: Some(6),
        };
        let stuck = Verdict::Unreachable(Stuck { waits_on: Box::default(), parked });
        Pass { verdicts: [(Goid(7), stuck)].into_iter().collect(), consistent, ..Pass::default() }
    }

    #[test]
    fn a_streak_is_passes_in_a_row_in_the_same_wait() {
        let mut streaks = Streaks::default();
        for time in 0..STRONG {
            assert!(!streaks.of(Goid(7)).is_some_and(Streak::is_strong));
            streaks.add(&pass(100, false), Ktime(u64::from(time) * STRONG_AFTER_NS));
        }
        let streak = streaks.of(Goid(7)).unwrap();
        assert_eq!((streak.passes, streak.since, streak.is_strong()), (STRONG, Ktime(0), true));
        streaks.add(&pass(200, false), Ktime(u64::MAX));
        assert_eq!(
            streaks.of(Goid(7)).map(|streak| (streak.passes, streak.since)),
            Some((1, Ktime(u64::MAX)))
        );
        streaks.add(&Pass::default(), Ktime(u64::MAX));
        assert_eq!(streaks.of(Goid(7)), None);
    }

    #[test]
    fn many_passes_at_once_are_as_good_as_one() {
        let mut streaks = Streaks::default();
        for time in 0..100 {
            streaks.add(&pass(100, false), Ktime(time));
        }
        assert!(!streaks.of(Goid(7)).unwrap().is_strong());
    }

    #[test]
    fn one_pass_over_a_stopped_process_is_enough() {
        let mut streaks = Streaks::default();
        streaks.add(&pass(100, true), Ktime(1));
        assert!(streaks.of(Goid(7)).unwrap().is_strong());
    }
}
