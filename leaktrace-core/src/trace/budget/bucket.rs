//! What tracing may cost at the moment.

use super::real;

/// How much time's worth of the limit can be spent at once, in seconds: with a limit of 5 %, 5 ms of a busy core. No
/// quarter of a second then costs more than 1.4 times the limit, unless that is less than 2 % of a core. What is left of what may
/// be felt goes into the time that the kernel takes to remove breakpoints: half a millisecond after a short lease, 8 to 20 ms
/// after a long one (Linux 6.18).
const BURST_SECONDS: f64 = 0.1;

/// What can be spent at once however low the rate is, in nanoseconds: shorter slices cost more to attach and to take away than
/// what they trace. With slices of half a millisecond the keeper used 3 % of a core, with these half a percent (Linux 6.18). In a
/// quarter of a second it is less than one hundredth.
const LEAST_BURST_NS: f64 = 2e6;

/// Fills at the rate of the limit, and is emptied by what tracing costs: nanoseconds of a core.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    tokens: f64,
    /// What flows in, in nanoseconds of a core a nanosecond.
    rate: f64,
}

impl Bucket {
    /// A full one, with `rate` flowing in.
    pub(super) fn new(rate: f64) -> Self {
        let mut bucket = Self { tokens: 0.0, rate };
        bucket.tokens = bucket.burst();
        bucket
    }

    /// So much time has passed, in which tracing has cost that much. The rate is another one from now on.
    pub(super) fn pass(&mut self, elapsed_ns: u64, cost_ns: f64, rate: f64) {
        let filled = self.tokens + self.rate * real(elapsed_ns) - cost_ns;
        self.rate = rate;
        // Nobody pays for what was overspent for longer than a few bursts.
        self.tokens = filled.clamp(-4.0 * self.burst(), self.burst());
    }

    /// What may be spent now.
    pub(super) fn allowance(&self) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never negative")]
        let tokens = self.tokens.max(0.0) as u64;
        tokens
    }

    /// Whether all is spent.
    pub(super) fn is_empty(&self) -> bool {
        self.tokens <= 0.0
    }

    /// How long until it is full, in nanoseconds; 0 if it is.
    pub(super) fn full_in(&self) -> u64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
        let wait = ((self.burst() - self.tokens).max(0.0) / self.rate.max(f64::MIN_POSITIVE)) as u64;
        wait
    }

    fn burst(&self) -> f64 {
        (self.rate * BURST_SECONDS * 1e9).max(LEAST_BURST_NS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spent_comes_back_with_time() {
        let mut bucket = Bucket::new(0.05);
        assert_eq!((bucket.allowance(), bucket.full_in()), (5_000_000, 0));
        bucket.pass(0, 6_000_000.0, 0.05);
        assert!(bucket.is_empty() && bucket.allowance() == 0);
        assert_eq!(bucket.full_in(), 120_000_000);
        bucket.pass(70_000_000, 0.0, 0.05);
        assert_eq!((bucket.is_empty(), bucket.allowance()), (false, 2_500_000));
        bucket.pass(1 << 40, 0.0, 0.05);
        assert_eq!(bucket.allowance(), 5_000_000);
    }

    #[test]
    fn a_low_rate_is_spent_in_few_slices() {
        let mut bucket = Bucket::new(0.005);
        assert_eq!(bucket.allowance(), 2_000_000);
        bucket.pass(0, 2_000_000.0, 0.005);
        assert_eq!((bucket.is_empty(), bucket.full_in()), (true, 400_000_000));
    }

    #[test]
    fn a_debt_is_bounded() {
        let mut bucket = Bucket::new(0.05);
        bucket.pass(0, 1e12, 0.05);
        assert_eq!(bucket.full_in(), 500_000_000);
    }
}
