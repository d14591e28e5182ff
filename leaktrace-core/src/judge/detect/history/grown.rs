//! For how long did a population grow? From when the first came until the last did, not for as long as somebody watched.

use super::series::Sample;
use crate::base::num::Ktime;

/// This share of the growth at either end is left out, so that a few who came long before the others, or long after, do not
/// make it longer.
const AT_EITHER_END: f64 = 0.1;

/// Of the time since growth began, this last part says whether it goes on.
const LAST_PART: f64 = 3.0 / 7.0;

/// How a population grew.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Growth {
    /// For how long, in nanoseconds.
    pub(super) ns: u64,
    /// Which share of it was made in the last three sevenths of the time since it began: so much, if it is steady.
    pub(super) at_the_end: f64,
}

impl Growth {
    /// Of the population of these samples.
    pub(super) fn of(samples: &[Sample]) -> Self {
        let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return Self::default() };
        let (from, rise) = (f64::from(first.settled), f64::from(last.settled) - f64::from(first.settled));
        let (low, high) = (from + rise * AT_EITHER_END, from + rise * (1.0 - AT_EITHER_END));
        let begins = samples.iter().rposition(|sample| f64::from(sample.settled) <= low);
        let ends = samples.iter().position(|sample| f64::from(sample.settled) >= high);
        let (Some(begins), Some(ends)) = (begins, ends.and_then(|ends| ends.checked_sub(1))) else {
            return Self::default();
        };
        let begins = crossed(samples, begins, low);
        let ns = share(crossed(samples, ends, high).since(begins), 1.0 / (1.0 - 2.0 * AT_EITHER_END));
        let since = last.at.since(begins) + share(ns, AT_EITHER_END);
        let before = settled_at(samples, Ktime(last.at.0.saturating_sub(share(since, LAST_PART))));
        Self { ns, at_the_end: (f64::from(last.settled) - before) / rise.max(1.0) }
    }
}

/// How many were settled at a time.
fn settled_at(samples: &[Sample], at: Ktime) -> f64 {
    let before = samples.partition_point(|sample| sample.at <= at).checked_sub(1);
    before.and_then(|index| samples.get(index)).map_or(0.0, |sample| f64::from(sample.settled))
}

/// When the population came to `level`, which is between what the sample `before` and the next one say.
fn crossed(samples: &[Sample], before: usize, level: f64) -> Ktime {
    let (Some(before), Some(after)) = (samples.get(before), samples.get(before + 1)) else {
        return samples.last().map_or(Ktime(0), |last| last.at);
    };
    let (from, to) = (f64::from(before.settled), f64::from(after.settled));
    let part = if to > from { (level - from) / (to - from) } else { 0.0 };
    before.at.plus(share(after.at.since(before.at), part))
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate, of times that are far from the ends of their type"
)]
const fn share(ns: u64, of: f64) -> u64 {
    (ns as f64 * of) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::SECOND_NS;

    /// For how many seconds a population grew that was watched for `seconds`, one sample every two of them; and its share at
    /// the end.
    fn growth(seconds: u64, settled: impl Fn(u64) -> u64) -> (u64, f64) {
        let sample = |second| Sample {
            at: Ktime(second * SECOND_NS),
            settled: u32::try_from(settled(second)).unwrap(),
            ..Sample::default()
        };
        let growth = Growth::of(&(0..=seconds).step_by(2).map(sample).collect::<Vec<_>>());
        (growth.ns / SECOND_NS, growth.at_the_end)
    }

    fn grown(seconds: u64, settled: impl Fn(u64) -> u64) -> u64 {
        growth(seconds, settled).0
    }

    #[test]
    fn growth_lasts_from_the_first_who_comes_to_the_last() {
        assert!(grown(160, |second| second * 3).abs_diff(160) <= 2, "all the time");
        assert!(grown(200, |second| second.saturating_sub(110) * 3).abs_diff(90) <= 2, "not before");
        assert!(grown(200, |second| 70 + second.saturating_sub(110)).abs_diff(90) <= 2, "beside others");
        assert!(grown(220, |second| second.clamp(110, 195) * 3).abs_diff(85) <= 2, "not any more");
        assert!(grown(3_600, |second| second / 60).abs_diff(3_600) <= 120, "one in a minute");
    }

    #[test]
    fn what_slows_down_does_so_whenever_it_began() {
        let at_the_end = |seconds: u64, settled: &dyn Fn(u64) -> u64| growth(seconds, settled).1;
        assert!((at_the_end(200, &|second| second * 3) - LAST_PART).abs() < 0.02);
        assert!((at_the_end(300, &|second| second.saturating_sub(140) * 3) - LAST_PART).abs() < 0.02);
        assert!(at_the_end(300, &|second| second.clamp(140, 240) * 3) < 0.2, "over for a minute");
        let filling = |second: u64| 100 - 100 * 60 / (60 + second.saturating_sub(140));
        assert!(at_the_end(380, &filling) < 0.2, "ever more slowly");
    }

    #[test]
    fn what_does_not_grow_has_not_grown_for_long() {
        assert_eq!([grown(100, |_| 7), grown(100, |second| 100 - second), Growth::of(&[]).ns], [0; 3]);
        assert_eq!(grown(100, |second| if second < 50 { 3 } else { 90 }), 2, "all at once");
    }
}
