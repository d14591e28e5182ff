//! What has passed since the last decision, and what it has cost.

use super::rates::{self, for_tracing};
use super::{Governor, HELD_UP_NS, Load, Sample};
use crate::base::num::{Ktime, real};

/// Which gaps are nobody's concern.
const GAP_NS: u64 = 5_000_000;

/// Over how long our own use of processors is averaged: it comes in looks, seconds apart.
const OWN_MEMORY_NS: f64 = 10e9;

/// Over how long a target's own use of processors is averaged.
const BUSY_MEMORY_NS: f64 = 1e9;

impl Governor {
    /// Puts down what passed, what was spent in it, and what both use of the processor.
    pub(super) fn account(&mut self, now: Ktime, sample: &Sample) {
        let passed = now.since(self.last_tick);
        self.last_tick = now;
        let gap = passed.saturating_sub(sample.traced);
        let late = Some(now.since(self.due)).filter(|late| *late >= HELD_UP_NS).unwrap_or(0).min(gap);
        let gap = gap - late;
        let shed = [
            if self.stage.sheds(Load::Waits) { passed } else { 0 },
            if self.stage.sheds(Load::Stacks) { passed } else { 0 },
            if gap >= GAP_NS { gap } else { 0 },
            late,
        ];
        for (total, more) in self.shed.iter_mut().zip(shed) {
            *total += more;
        }
        let cost = rates::cost(sample, &self.costs);
        let ours = real(sample.own) / real(sample.elapsed.max(1));
        self.own += (ours - self.own) * (real(sample.elapsed) / OWN_MEMORY_NS).min(1.0);
        self.handling = rates::handling(self.handling, sample);
        let spent = self.spent(sample);
        let own = ((real(sample.busy) - cost) / real(sample.elapsed.max(1))).max(0.0);
        // At first, the mean of all there is.
        self.seen = (self.seen + real(sample.elapsed)).min(BUSY_MEMORY_NS);
        let weight = (real(sample.elapsed) / self.seen.max(1.0)).min(1.0);
        self.busy += (own - self.busy) * weight;
        self.bucket.pass(passed, spent, for_tracing(self.limit.unwrap_or(1.0), self.busy, self.own));
    }
}
