//! Does a population grow for good? A test that a burst, a warm-up, a pool that reaches its size and a daily wave do
//! not fool.
//!
//! The time that was watched, or the last half, quarter … of it, is cut into eight windows, each of which gives the
//! median of its samples. Mann and Kendall's sum of signs says whether the medians rise; a rise that one window makes
//! alone is a burst, one that ends before the last windows is a plateau, and one that stays below an earlier peak is
//! a wave. Those that had settled and went are counted too: what leaks does not leave.
//!
//! Goroutines that come to a place are no growth if there were no more of them before: a pool that runs dry, a barrier
//! that fills. So what counts is when those who are there now were [born](Births).

use super::grown::Growth;
use super::series::{Sample, Series};
use crate::base::num::Ktime;
use crate::base::time::SECOND_NS;

pub(super) const WINDOWS: usize = 8;

/// The least sum of signs, of 28: by chance it is reached about three times in a thousand.
const LEAST_SCORE: i32 = 22;

/// The least rise, in goroutines.
const LEAST_RISE: f64 = 4.0;

/// The shortest time that is judged, in nanoseconds.
const SHORTEST_NS: u64 = 32 * SECOND_NS;

/// Of the whole rise, one window may make this much at most, and the last three must make this much at least.
const MOST_IN_ONE: f64 = 0.5;
const LEAST_AT_THE_END: f64 = 0.15;

/// Growth over some time until now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// The time that was looked at, in nanoseconds.
    pub horizon_ns: u64,
    /// For how long of it the population grew, in nanoseconds: not before the first came, nor after the last.
    pub grown_ns: u64,
    /// The sum of signs over the windows' medians, 28 at most.
    pub score: i32,
    /// The median of the first window, and that of the last.
    pub from: f64,
    /// See `from`.
    pub to: f64,
    /// The growth in a minute over the second half of the time: how fast it is now.
    pub per_minute: f64,
    /// Which share of the growth was made in the last three sevenths of `grown_ns`: 0.43 where it is steady.
    pub at_the_end: f64,
    /// Those that settled within the time.
    pub arrived: u32,
    /// Those that had settled and went within the time.
    pub departed: u32,
}

impl Trend {
    /// Whether next to nobody who had settled went: at most one for fifty who came.
    pub(crate) const fn nobody_leaves(&self) -> bool {
        self.departed as u64 * 50 <= self.arrived as u64
    }
}

/// How many of those who are at a place now were born in each window of a trend.
pub(super) type Births = [u32; WINDOWS];

impl Trend {
    /// Which window somebody was born in, `None` if that was before all of them.
    pub(super) fn window(&self, born: Ktime, now: Ktime) -> Option<usize> {
        let since = born.0.checked_sub(now.0.saturating_sub(self.horizon_ns))?;
        let window = since / (self.horizon_ns / WINDOWS as u64).max(1);
        usize::try_from(window).ok().map(|window| window.min(WINDOWS - 1))
    }

    /// The same growth as far as it is of goroutines that there were not before; `None` if it is not, because the others
    /// only moved here, or because all were born at about the same time.
    pub(super) fn of_born(self, births: &Births) -> Option<Self> {
        let born: u32 = births.iter().sum();
        let most = births.iter().copied().max().unwrap_or(0);
        let are_new = u64::from(born) * 2 >= u64::from(self.arrived);
        (are_new && f64::from(most) <= f64::from(born) * MOST_IN_ONE).then(|| Self {
            arrived: self.arrived.min(born),
            per_minute: self.per_minute * (f64::from(born) / f64::from(self.arrived.max(1))).min(1.0),
            ..self
        })
    }
}

/// The growth of `series` until `now`, watched since `began`: over the longest time that shows one.
pub(super) fn rising(series: &Series, began: Ktime, now: Ktime) -> Option<Trend> {
    series.iter().next_back().filter(|last| f64::from(last.arrived) >= LEAST_RISE)?;
    let samples: Vec<Sample> = series.iter().copied().collect();
    let watched = now.since(began);
    let horizons = std::iter::successors(Some(watched), |horizon| Some(horizon / 2));
    horizons.take_while(|horizon| *horizon >= SHORTEST_NS).find_map(|horizon| {
        let view = View { samples: &samples, start: Ktime(now.0 - horizon), horizon };
        view.trend()
    })
}

/// The samples of one stretch of time.
struct View<'a> {
    samples: &'a [Sample],
    start: Ktime,
    horizon: u64,
}

impl View<'_> {
    fn trend(&self) -> Option<Trend> {
        let medians = self.medians()?;
        let (from, to) = (*medians.first()?, *medians.last()?);
        let score = score(&medians);
        let grows =
            score >= LEAST_SCORE && is_steady(&medians) && to - from >= LEAST_RISE && to > self.peak_before();
        let (first, last) = (self.counted_at_start(), self.samples.last()?);
        let growth = Growth::of(&self.samples[self.until(self.start).saturating_sub(1)..]);
        grows.then(|| Trend {
            horizon_ns: self.horizon,
            grown_ns: growth.ns.min(self.horizon),
            score,
            from,
            to,
            per_minute: self.per_minute(),
            at_the_end: growth.at_the_end,
            arrived: last.arrived.saturating_sub(first.arrived),
            departed: last.departed.saturating_sub(first.departed),
        })
    }

    /// One median for each window. Before its first sample a population had no members; a window without samples
    /// is as the one before it.
    fn medians(&self) -> Option<Vec<f64>> {
        let mut medians: Vec<f64> = Vec::with_capacity(WINDOWS);
        let width = self.horizon / WINDOWS as u64;
        for window in 0..WINDOWS as u64 {
            let from = self.start.plus(window * width);
            let inside = &self.samples[self.until(from)..self.until(from.plus(width))];
            let mut settled: Vec<u32> = inside.iter().map(|sample| sample.settled).collect();
            settled.sort_unstable();
            let before =
                || medians.last().copied().unwrap_or_else(|| f64::from(self.counted_at_start().settled));
            let median = settled.get(settled.len() / 2).map_or_else(before, |median| f64::from(*median));
            medians.push(median);
        }
        (!self.samples.is_empty()).then_some(medians)
    }

    /// What was counted when the stretch began.
    fn counted_at_start(&self) -> Sample {
        let before = self.until(self.start).checked_sub(1);
        before.and_then(|index| self.samples.get(index)).copied().unwrap_or_default()
    }

    /// How many samples there are until `at`.
    fn until(&self, at: Ktime) -> usize {
        self.samples.partition_point(|sample| sample.at <= at)
    }

    /// The growth in a minute over the second half of the time, by least squares.
    fn per_minute(&self) -> f64 {
        let half = &self.samples[self.until(self.start.plus(self.horizon / 2))..];
        let points =
            half.iter().map(|sample| (minutes(sample.at.since(self.start)), f64::from(sample.settled)));
        let (x, y) = mean(points.clone());
        let covariance: f64 = points.clone().map(|point| (point.0 - x) * (point.1 - y)).sum();
        let variance: f64 = points.map(|point| (point.0 - x).powi(2)).sum();
        if variance > 0.0 { covariance / variance } else { 0.0 }
    }

    fn peak_before(&self) -> f64 {
        let before = &self.samples[..self.until(self.start)];
        before.iter().map(|sample| f64::from(sample.settled)).fold(0.0, f64::max)
    }
}

fn score(medians: &[f64]) -> i32 {
    let pairs = medians.iter().enumerate().flat_map(|(index, earlier)| {
        medians[index + 1..].iter().map(move |later| i32::from(later > earlier) - i32::from(later < earlier))
    });
    pairs.sum()
}

/// Whether it goes on rising, step by step.
fn is_steady(medians: &[f64]) -> bool {
    let steps = || medians.windows(2).map(|pair| pair[1] - pair[0]);
    let (rise, greatest) = (steps().sum::<f64>(), steps().fold(0.0, f64::max));
    rise > 0.0 && greatest <= rise * MOST_IN_ONE && share_of_last_windows(medians) >= LEAST_AT_THE_END
}

/// Which share of the rise the last three windows make.
fn share_of_last_windows(medians: &[f64]) -> f64 {
    let [first, .., before, _, _, last] = medians else { return 0.0 };
    (last - before) / (last - first)
}

/// The mean of both coordinates; of no points it is not a number.
fn mean(points: impl Iterator<Item = (f64, f64)>) -> (f64, f64) {
    let (count, x, y) =
        points.fold((0.0, 0.0, 0.0), |(count, x, y), point| (count + 1.0, x + point.0, y + point.1));
    (x / count, y / count)
}

#[expect(clippy::cast_precision_loss, reason = "a rate, which is rounded")]
const fn minutes(ns: u64) -> f64 {
    ns as f64 / 60e9
}

#[cfg(test)]
impl Trend {
    /// One that goes on.
    pub(crate) const fn made_up() -> Self {
        let (horizon_ns, per_minute) = (80 * SECOND_NS, 60.0);
        Self {
            horizon_ns,
            grown_ns: horizon_ns,
            score: 28,
            from: 0.0,
            to: 80.0,
            per_minute,
            at_the_end: 0.4,
            arrived: 80,
            departed: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn growth(arrived: u32) -> Trend {
        Trend { arrived, ..Trend::made_up() }
    }

    #[test]
    fn who_was_born_all_along_is_growth_and_who_only_moved_is_none() {
        assert_eq!(growth(80).of_born(&[10; 8]), Some(growth(80)));
        assert_eq!(growth(80).of_born(&[0; 8]), None, "they were all there before");
        assert_eq!(growth(60).of_born(&[60, 0, 0, 0, 0, 0, 0, 0]), None, "all were born at once");
        assert_eq!(growth(80).of_born(&[5, 5, 0, 0, 0, 5, 5, 5]), None, "most were there before");
        let half = growth(80).of_born(&[6, 5, 5, 5, 5, 5, 5, 4]).unwrap();
        assert_eq!((half.arrived, half.per_minute), (40, 30.0));
    }

    #[test]
    fn births_fall_into_the_windows_of_the_trend() {
        let window = |second: u64| growth(8).window(Ktime(second * SECOND_NS), Ktime(100 * SECOND_NS));
        assert_eq!(
            [19, 20, 29, 30, 99, 100].map(window),
            [None, Some(0), Some(0), Some(1), Some(7), Some(7)]
        );
    }

    /// The trend of a population watched for `seconds`, one sample every two of them.
    fn trend(seconds: u64, settled: impl Fn(u64) -> u64) -> Option<Trend> {
        let mut series = Series::default();
        let (mut arrived, mut departed, mut last) = (0, 0, 0);
        for second in (0..=seconds).step_by(2) {
            let settled = u32::try_from(settled(second)).unwrap();
            arrived += settled.saturating_sub(last);
            departed += last.saturating_sub(settled);
            last = settled;
            series.push(Sample { at: Ktime(second * SECOND_NS), settled, arrived, departed });
        }
        rising(&series, Ktime(0), Ktime(seconds * SECOND_NS))
    }

    #[test]
    fn a_steady_leak_shows_within_a_minute() {
        let found = trend(40, |second| second * 3).unwrap();
        assert!((found.per_minute - 180.0).abs() < 0.1, "{found:?}");
        assert!(found.nobody_leaves());
        assert!((found.at_the_end - 3.0 / 7.0).abs() < 0.1, "{found:?}");
        assert_eq!(trend(30, |second| second * 3), None, "too early to tell");
    }

    #[test]
    fn a_slow_leak_shows_when_it_has_gone_on_for_long_enough() {
        let hour = 3_600;
        assert_eq!(trend(hour / 4, |second| second * 10 / hour), None);
        let found = trend(hour, |second| second * 10 / hour).unwrap();
        assert!((found.per_minute * 60.0 - 10.0).abs() < 2.0, "{found:?}");
    }

    #[test]
    fn a_burst_is_none() {
        assert_eq!(trend(120, |second| if second < 60 { 5 } else { 500 }), None);
        assert_eq!(trend(120, |second| if (40..60).contains(&second) { 500 } else { 5 }), None);
    }

    #[test]
    fn a_pool_that_has_reached_its_size_is_none() {
        assert_eq!(trend(120, |second| second.min(50) * 2), None);
        assert_eq!(trend(600, |second| second.min(50) * 2), None);
    }

    #[test]
    fn a_wave_is_none_where_it_falls_and_leaves_where_it_rises() {
        let wave = |second: u64| 500 - (second % 7_200).abs_diff(3_600) / 9;
        assert_eq!(trend(7_200, wave), None);
        assert_eq!(trend(7_200 + 1_800, wave), None, "below the peak of an hour ago");
    }

    #[test]
    fn a_leak_under_a_wave_has_many_who_leave() {
        let found = trend(1_000, |second| second + if second % 40 < 20 { 30 } else { 0 });
        assert!(found.is_none_or(|trend| !trend.nobody_leaves()), "{found:?}");
    }
}
