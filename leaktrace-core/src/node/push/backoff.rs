//! How long nothing is pushed to a server that has failed.

use std::time::Duration;

use crate::base::num::Ktime;
use crate::base::time::nanoseconds;

/// The longest pause, unless the time between two rounds is longer.
const LONGEST: Duration = Duration::from_mins(15);
/// After so many failures it grows no more.
const MOST_DOUBLINGS: u32 = 10;

/// What is known of a server. At first it is trusted.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    failures: u32,
    until: Ktime,
}

impl Backoff {
    /// Whether it may be tried.
    pub fn is_over(&self, now: Ktime) -> bool {
        now >= self.until
    }

    /// It has answered. Says whether it has failed before.
    pub const fn succeeded(&mut self) -> bool {
        let has_failed = self.failures > 0;
        self.failures = 0;
        has_failed
    }

    /// It has failed, where it is tried once in `interval`: the next round may try it once, and later ones are left out ever
    /// longer. `random` is any number, so that many agents do not come back all at once. Says whether it is the first failure.
    pub fn failed(&mut self, now: Ktime, interval: Duration, random: u64) -> bool {
        let doublings = self.failures.min(MOST_DOUBLINGS);
        let longest = interval.saturating_mul(1 << doublings).min(LONGEST.max(interval));
        // From a half to the whole of it.
        let half = nanoseconds(longest) / 2;
        self.until = now.plus(half + random.checked_rem(half).unwrap_or(0));
        self.failures = self.failures.saturating_add(1);
        self.failures == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::testing::at;

    const INTERVAL: Duration = Duration::from_mins(1);

    #[test]
    fn whoever_fails_is_left_alone_ever_longer_and_tried_again_for_ever() {
        let (mut backoff, now) = (Backoff::default(), at(0));
        assert!(backoff.is_over(now));
        assert!(backoff.failed(now, INTERVAL, 0));
        assert!(!backoff.is_over(at(29)) && backoff.is_over(at(30)), "the next round tries it");
        assert!(!backoff.failed(now, INTERVAL, u64::MAX), "that is said once");
        assert!(!backoff.is_over(at(60)) && backoff.is_over(at(120)));
        for random in 0..100_u64 {
            backoff.failed(now, INTERVAL, random.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        }
        assert!(!backoff.is_over(at(449)) && backoff.is_over(at(900)));
        assert!(backoff.succeeded() && !backoff.succeeded());
        assert!(backoff.failed(now, INTERVAL, 0), "it is another time");
        assert!(backoff.is_over(at(30)));
    }

    #[test]
    fn a_round_that_is_rarer_than_the_longest_pause_is_not_left_out_twice() {
        let (mut backoff, interval) = (Backoff::default(), Duration::from_hours(2));
        for _ in 0..3 {
            backoff.failed(at(0), interval, u64::MAX);
        }
        assert!(backoff.is_over(at(7_200)));
        backoff.failed(at(0), Duration::ZERO, 7);
        assert!(backoff.is_over(at(450 * 2)));
    }
}
