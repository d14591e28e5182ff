//! How often to drain the ring: often enough that it cannot fill, seldom enough to cost nothing when idle.

use std::time::Duration;

const FASTEST: Duration = Duration::from_millis(2);
const SLOWEST: Duration = Duration::from_millis(200);

/// How full the ring may be when it is drained, as a share of its size.
const FILL: f64 = 0.25;

/// The time from one drain to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    ring_bytes: f64,
    wait: Duration,
}

impl Pace {
    /// The pace for a ring of this size.
    pub(super) fn new(ring_bytes: u32) -> Self {
        Self { ring_bytes: f64::from(ring_bytes), wait: FASTEST }
    }

    /// How long to wait before draining again.
    pub(super) const fn wait(&self) -> Duration {
        self.wait
    }

    /// Adapts to what a drain found: `bytes` that came in the time `elapsed` since the one before.
    pub(super) fn adapt(&mut self, bytes: usize, elapsed: Duration) {
        #[expect(clippy::cast_precision_loss, reason = "at most the size of the ring a few times over")]
        let share = bytes as f64 / self.ring_bytes;
        let ideal = if share > 0.0 { elapsed.mul_f64((FILL / share).min(1000.0)) } else { SLOWEST };
        // Faster at once, slower step by step: a burst is often one of several.
        self.wait = ideal.min(self.wait * 2).clamp(FASTEST, SLOWEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn an_idle_ring_is_looked_at_ever_less() {
        let mut pace = Pace::new(1 << 20);
        for _ in 0..10 {
            pace.adapt(0, pace.wait());
        }
        assert_eq!(pace.wait(), SLOWEST);
    }

    #[test]
    fn a_steady_stream_settles_where_the_ring_is_a_quarter_full() {
        let mut pace = Pace::new(1 << 20);
        let bytes_per_ms = 10_000;
        for _ in 0..30 {
            let elapsed = pace.wait();
            let bytes = usize::try_from(elapsed.as_millis()).unwrap() * bytes_per_ms;
            pace.adapt(bytes, elapsed);
        }
        assert!((20 * MS..=30 * MS).contains(&pace.wait()), "{:?}", pace.wait());
    }

    #[test]
    fn a_burst_is_answered_at_once() {
        let mut pace = Pace::new(1 << 20);
        for _ in 0..10 {
            pace.adapt(0, pace.wait());
        }
        pace.adapt(1 << 20, 100 * MS);
        assert!(pace.wait() <= 25 * MS, "{:?}", pace.wait());
    }
}
