//! What the target uses, what we use, and how many events there are: differences between readings.

use std::time::Duration;

use leaktrace_core::base::num::Ktime;
use leaktrace_core::trace::budget::Sample;

use crate::process::{Pid, Procfs, cpu};

/// Everything that only ever grows, at one time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    /// When.
    pub(super) at: Ktime,
    /// Processor time of the target.
    pub(super) target: Duration,
    /// Processor time of this process.
    pub(super) own: Duration,
    /// Hits of each kind.
    pub(super) hits: [u64; 4],
    /// Creator stacks that were taken.
    pub(super) stacks: u64,
}

impl Reading {
    /// Reads the processor times; the rest is handed in. A target that is gone uses nothing.
    pub(super) fn take(procfs: &Procfs, pid: Pid, at: Ktime, hits: [u64; 4], stacks: u64) -> Self {
        let target = cpu::used_by(procfs, pid).unwrap_or_default();
        Self { at, target, own: cpu::used_by_us(), hits, stacks }
    }

    /// What happened since `earlier`.
    pub(super) fn since(&self, earlier: &Self) -> Sample {
        let mut hits = self.hits;
        for (hit, before) in hits.iter_mut().zip(earlier.hits) {
            *hit = hit.saturating_sub(before);
        }
        Sample {
            elapsed: self.at.since(earlier.at),
            hits,
            stacks: self.stacks.saturating_sub(earlier.stacks),
            busy: nanoseconds(self.target.saturating_sub(earlier.target)),
        }
    }

    /// Events a second since `earlier`.
    pub(super) fn events_per_second(&self, earlier: &Self) -> f64 {
        let sample = self.since(earlier);
        real(sample.hits.iter().sum()) * 1e9 / real(sample.elapsed.max(1))
    }

    /// Our share of one core since `earlier`, in percent.
    pub(super) fn own_percent(&self, earlier: &Self) -> f64 {
        let used = nanoseconds(self.own.saturating_sub(earlier.own));
        real(used) * 100.0 / real(self.at.since(earlier.at).max(1))
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "a report rounds far more")]
const fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(at: u64, target: u64, own: u64, park: u64) -> Reading {
        let millis = Duration::from_millis;
        Reading { at: Ktime(at), target: millis(target), own: millis(own), hits: [0, 0, park, 0], stacks: 0 }
    }

    #[test]
    fn rates_are_differences() {
        let (before, after) = (reading(0, 1000, 10, 5), reading(2_000_000_000, 1500, 60, 2005));
        assert_eq!(after.since(&before).busy, 500_000_000);
        assert!((after.events_per_second(&before) - 1000.0).abs() < 1e-9);
        assert!((after.own_percent(&before) - 2.5).abs() < 1e-9);
    }

    #[test]
    fn a_target_that_has_gone_did_not_give_time_back() {
        let (before, after) = (reading(0, 1000, 10, 5), reading(1, 0, 10, 5));
        assert_eq!(after.since(&before).busy, 0);
    }
}
