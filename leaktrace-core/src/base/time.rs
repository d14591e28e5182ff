//! Units of time in nanoseconds, and what happens in a minute.

use std::time::Duration;

/// A microsecond.
pub(crate) const MICROSECOND_NS: u64 = 1_000;
/// A second.
pub(crate) const SECOND_NS: u64 = 1_000_000_000;
/// A minute.
pub(crate) const MINUTE_NS: u64 = 60 * SECOND_NS;

/// So many nanoseconds, or all that can be counted.
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Over less time than this a rate in a minute would be a guess: one goroutine would count for more than a dozen.
pub(crate) const SHORTEST_RATED_NS: u64 = 5 * SECOND_NS;

/// How many `more` less `fewer` in `elapsed_ns` are in a minute, to a thousandth. `None` where no time has passed.
#[expect(clippy::cast_precision_loss, reason = "a rate is rounded to a thousandth")]
pub(crate) fn per_minute(more: u64, fewer: u64, elapsed_ns: u64) -> Option<f64> {
    let rate = (more as f64 - fewer as f64) * MINUTE_NS as f64 / elapsed_ns as f64;
    // Adding 0 turns -0 into 0.
    (elapsed_ns > 0).then(|| (rate * 1e3).round() / 1e3 + 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_a_minute_and_have_a_sign() {
        assert_eq!(per_minute(7, 3, 30 * SECOND_NS), Some(8.0));
        assert_eq!(per_minute(0, 1, 7 * MINUTE_NS), Some(-0.143));
        let nothing = per_minute(5, 5, SECOND_NS).unwrap();
        assert!(nothing == 0.0 && nothing.is_sign_positive());
        assert_eq!(per_minute(7, 3, 0), None);
    }
}
