//! The least that a number was in windows of equal length.
//!
//! What comes and goes falls to its floor again and again; what leaks raises it. Windows of several lengths are kept side by
//! side, since how soon a floor says something depends on how fast it rises.

use crate::base::num::Ktime;
use crate::base::time::MINUTE_NS;

/// How many lengths of windows there are.
const LENGTHS: usize = 5;
/// The lengths in minutes.
pub(super) const MINUTES: [u64; LENGTHS] = [1, 4, 16, 64, 256];
/// How many floors of each length are kept.
pub(super) const KEPT: usize = 8;
/// The least of fewer looks is no floor.
const LEAST_LOOKS: u16 = 3;

/// Which windows are under way: the same ones for all numbers that are looked at together.
#[derive(Clone, Debug, Default)]
pub(super) struct Clock {
    began: Option<Ktime>,
    windows: [Window; LENGTHS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    number: u64,
    looks: u16,
    /// The number of the last one that has a floor.
    kept: u64,
}

/// What a look does to the windows of one length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Turn {
    /// Whether a new window begins.
    begins: bool,
    /// Whether the one before has a floor.
    keeps: bool,
    /// Whether the floors until then are too far back to be compared with what comes.
    breaks: bool,
}

/// What a look does to all windows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Turns {
    at: Ktime,
    turns: [Turn; LENGTHS],
}

impl Clock {
    /// There is a look at `now`.
    pub(super) fn look(&mut self, now: Ktime) -> Turns {
        let began = *self.began.get_or_insert(now);
        let mut turns = Turns { at: now, turns: Default::default() };
        for ((window, turn), minutes) in self.windows.iter_mut().zip(&mut turns.turns).zip(MINUTES) {
            let number = now.since(began) / (minutes * MINUTE_NS);
            if number != window.number {
                turn.begins = true;
                turn.keeps = window.looks >= LEAST_LOOKS;
                if turn.keeps {
                    turn.breaks = window.number > window.kept + 2;
                    window.kept = window.number;
                }
                (window.number, window.looks) = (number, 0);
            }
            window.looks = window.looks.saturating_add(1);
        }
        turns
    }
}

/// The last floors of one number, by windows of one length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    /// From the oldest on.
    floors: [u32; KEPT],
    len: u8,
    /// The least until now of the window that is under way.
    running: u32,
    /// The highest floor before these.
    record: u32,
}

impl Default for Level {
    fn default() -> Self {
        Self { floors: [0; KEPT], len: 0, running: u32::MAX, record: 0 }
    }
}

impl Level {
    fn turn(&mut self, turn: Turn, value: u32) {
        if turn.breaks {
            self.record = self.floors().iter().copied().fold(self.record, u32::max);
            self.len = 0;
        }
        // Who came during that window has none of it, or a part.
        if turn.keeps && self.running != u32::MAX {
            self.push(self.running);
        }
        if turn.begins {
            self.running = u32::MAX;
        }
        self.running = self.running.min(value);
    }

    fn push(&mut self, floor: u32) {
        if usize::from(self.len) == KEPT {
            self.record = self.record.max(self.floors[0]);
            self.floors.rotate_left(1);
            self.len -= 1;
        }
        self.floors[usize::from(self.len)] = floor;
        self.len += 1;
    }

    /// The last floors, from the oldest on.
    pub(super) fn floors(&self) -> &[u32] {
        &self.floors[..usize::from(self.len)]
    }

    /// The highest floor before these.
    pub(super) const fn record(&self) -> u32 {
        self.record
    }

    /// The least in the window that is under way, if there was a look in it.
    pub(super) fn running(&self) -> Option<u32> {
        (self.running != u32::MAX).then_some(self.running)
    }
}

/// The last floors of one number.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Floors {
    at: Ktime,
    levels: [Level; LENGTHS],
}

impl Floors {
    /// The number at a look.
    pub(super) fn look(&mut self, turns: &Turns, value: u32) {
        self.at = turns.at;
        for (level, turn) in self.levels.iter_mut().zip(turns.turns) {
            level.turn(turn, value);
        }
    }

    /// Each length in minutes with its floors; those that are too old at `now` to say anything of it are left out.
    pub(super) fn levels(&self, now: Ktime) -> impl Iterator<Item = (u64, &Level)> {
        let age = now.since(self.at);
        MINUTES.into_iter().zip(&self.levels).filter(move |(minutes, _)| age <= 2 * minutes * MINUTE_NS)
    }

    /// Whether the number was never more than 0 for a whole window.
    pub(super) fn are_nothing(&self) -> bool {
        self.levels.iter().all(|level| level.record == 0 && level.floors().iter().all(|floor| *floor == 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::SECOND_NS;

    fn after(looks: impl IntoIterator<Item = (u64, u32)>) -> Floors {
        let (mut clock, mut floors) = (Clock::default(), Floors::default());
        for (second, value) in looks {
            floors.look(&clock.look(Ktime(second * SECOND_NS)), value);
        }
        floors
    }

    #[test]
    fn a_floor_is_the_least_of_its_window() {
        let values = (0..=24_u32).map(|look| (u64::from(look) * 10, 100 + look * 7 % 6));
        let floors = after(values);
        assert_eq!(floors.levels[0].floors(), [100, 100, 100, 100]);
        assert_eq!(floors.levels[1].floors(), [100]);
        assert_eq!(floors.levels[2].floors(), [] as [u32; 0]);
        assert_eq!(floors.levels[2].running(), Some(100));
    }

    #[test]
    fn what_no_longer_is_among_the_last_is_the_record() {
        let floors = after((0..12 * 6).map(|look| (look * 10, if look < 6 { 9 } else { 3 })));
        assert_eq!((floors.levels[0].floors(), floors.levels[0].record()), (&[3; KEPT][..], 9));
        assert_eq!(floors.levels[1].floors(), [3, 3]);
        assert!(!floors.are_nothing() && after((0..60).map(|look| (look * 10, 0))).are_nothing());
    }

    #[test]
    fn the_least_of_one_look_is_no_floor() {
        let floors = after((0..40).map(|look| (look * 60, 5)));
        assert_eq!(floors.levels[0].floors(), [] as [u32; 0]);
        assert_eq!(floors.levels[1].floors(), [5; KEPT]);
    }

    #[test]
    fn floors_on_both_sides_of_a_long_pause_are_not_compared() {
        let before = (0..30).map(|look| (look * 10, 5));
        let floors = after(before.chain((0..13).map(|look| (3600 + look * 10, 50))));
        assert_eq!((floors.levels[0].floors(), floors.levels[0].record()), (&[50, 50][..], 5));
        assert_eq!(floors.levels(Ktime((3720 + 121) * SECOND_NS)).next().unwrap().0, 4);
    }
}
