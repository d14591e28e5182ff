//! How often to drain the ring: often enough that it cannot fill, seldom enough to cost nothing when idle.

use std::time::Duration;

use super::{NEVER, after};
use crate::base::num::Ktime;

const FASTEST: Duration = Duration::from_millis(2);
const SLOWEST: Duration = Duration::from_millis(200);

/// How full the ring may be when it is drained, as a share of its size.
const FILL: f64 = 0.25;

/// When the ring is drained next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drains {
    ring_bytes: f64,
    wait: Duration,
    last: Ktime,
    /// Never while nothing is traced.
    due: Ktime,
}

impl Drains {
    /// No ring yet.
    pub(super) fn none(ring_bytes: u32) -> Self {
        Self { ring_bytes: f64::from(ring_bytes), wait: FASTEST, last: Ktime(0), due: NEVER }
    }

    /// A ring that is filled from `now` on.
    pub(super) const fn start(&mut self, now: Ktime) {
        (self.last, self.due) = (now, now);
    }

    /// Nothing comes any more.
    pub(super) const fn stop(&mut self) {
        self.due = NEVER;
    }

    /// When it is next due.
    pub(super) const fn due(&self) -> Ktime {
        self.due
    }

    /// Makes it due, if there is one.
    pub(super) fn hurry(&mut self, now: Ktime) {
        self.due = self.due.min(now);
    }

    /// Whether it is due; then that is being done.
    pub(super) fn begin(&mut self, now: Ktime) -> bool {
        let is_due = self.due <= now;
        if is_due {
            self.due = after(now, SLOWEST);
        }
        is_due
    }

    /// A drain found so many bytes, and whether there are more. What is left is for the next turn, after everybody
    /// else's.
    pub(super) fn done(&mut self, now: Ktime, bytes: usize, more: bool) {
        self.adapt(bytes, Duration::from_nanos(now.since(self.last)));
        self.last = now;
        self.due = if more { now.plus(1) } else { after(now, self.wait) };
    }

    fn adapt(&mut self, bytes: usize, elapsed: Duration) {
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
        let mut drains = Drains::none(1 << 20);
        for _ in 0..10 {
            drains.adapt(0, drains.wait);
        }
        assert_eq!(drains.wait, SLOWEST);
    }

    #[test]
    fn a_steady_stream_settles_where_the_ring_is_a_quarter_full() {
        let mut drains = Drains::none(1 << 20);
        let bytes_per_ms = 10_000;
        for _ in 0..30 {
            let elapsed = drains.wait;
            let bytes = usize::try_from(elapsed.as_millis()).unwrap() * bytes_per_ms;
            drains.adapt(bytes, elapsed);
        }
        assert!((20 * MS..=30 * MS).contains(&drains.wait), "{:?}", drains.wait);
    }

    #[test]
    fn a_burst_is_answered_at_once() {
        let mut drains = Drains::none(1 << 20);
        for _ in 0..10 {
            drains.adapt(0, drains.wait);
        }
        drains.adapt(1 << 20, 100 * MS);
        assert!(drains.wait <= 25 * MS, "{:?}", drains.wait);
    }

    #[test]
    fn what_is_left_waits_for_one_turn_and_not_for_the_pace() {
        let mut drains = Drains::none(1 << 20);
        assert!(!drains.begin(Ktime(5)), "nothing is traced");
        drains.start(Ktime(5));
        assert!(drains.begin(Ktime(5)) && !drains.begin(Ktime(5)));
        drains.done(Ktime(5), 1 << 16, true);
        assert!(!drains.begin(Ktime(5)) && drains.begin(Ktime(6)));
    }
}
