//! For how long did a population grow? From when the first came until the last did, not for as long as somebody watched.

use super::series::Sample;
use crate::base::num::Ktime;

/// This share of the growth at either end is left out, so that a few who came long before the others, or long after, do not
/// make it longer.
const AT_EITHER_END: f64 = 0.1;

/// For how long the population of `samples` grew, in nanoseconds.
pub(super) fn grown_ns(samples: &[Sample]) -> u64 {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return 0 };
    let (from, to) = (f64::from(first.settled), f64::from(last.settled));
    let (low, high) = (from + (to - from) * AT_EITHER_END, to - (to - from) * AT_EITHER_END);
    let begins = samples.iter().rposition(|sample| f64::from(sample.settled) <= low);
    let ends = samples.iter().position(|sample| f64::from(sample.settled) >= high);
    let (Some(begins), Some(ends)) = (begins, ends.and_then(|ends| ends.checked_sub(1))) else { return 0 };
    let most = crossed(samples, ends, high).since(crossed(samples, begins, low));
    share(most, 1.0 / (1.0 - 2.0 * AT_EITHER_END))
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

    /// For how many seconds a population grew that was watched for `seconds`, one sample every two of them.
    fn grown(seconds: u64, settled: impl Fn(u64) -> u64) -> u64 {
        let sample = |second| Sample {
            at: Ktime(second * SECOND_NS),
            settled: u32::try_from(settled(second)).unwrap(),
            ..Sample::default()
        };
        grown_ns(&(0..=seconds).step_by(2).map(sample).collect::<Vec<_>>()) / SECOND_NS
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
    fn what_does_not_grow_has_not_grown_for_long() {
        assert_eq!([grown(100, |_| 7), grown(100, |second| 100 - second), grown_ns(&[])], [0; 3]);
        assert_eq!(grown(100, |second| if second < 50 { 3 } else { 90 }), 2, "all at once");
    }
}
