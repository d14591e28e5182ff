//! What the target uses, what we use, and how many events there are: differences between readings.

use std::time::Duration;

use leaktrace_common::drops::DropReason;
use leaktrace_common::event::Kind;

use crate::base::num::{Ktime, real};
use crate::base::time::nanoseconds;
use crate::trace::budget::Sample;

/// Everything that only ever grows, at one time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// When.
    pub at: Ktime,
    /// For how many nanoseconds there have been probes.
    pub traced: u64,
    /// Processor time of the target.
    pub target_cpu: Duration,
    /// Processor time of leaktrace, with the keeper of the probes.
    pub leaktrace_cpu: Duration,
    /// This target's records that were handled.
    pub records: u64,
    /// Processor time that this took, of leaktrace's.
    pub handling_cpu: Duration,
    /// Processor time of leaktrace's that went into all else for this target: into looks, into keeping its probes, and its part
    /// of what being there costs.
    pub own_cpu: Duration,
    /// Hits of each kind.
    pub hits: [u64; Kind::ALL.len()],
    /// Creator stacks that were taken.
    pub stacks: u64,
}

/// What was counted and used until some time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted {
    /// What is compared with earlier ones.
    pub reading: Reading,
    /// Hits that became no record, in the order of [`DropReason::ALL`].
    pub dropped: [u64; DropReason::COUNT],
}

impl Reading {
    /// What happened since `earlier`.
    pub fn since(&self, earlier: &Self) -> Sample {
        let mut hits = self.hits;
        for (hit, before) in hits.iter_mut().zip(earlier.hits) {
            *hit = hit.saturating_sub(before);
        }
        Sample {
            elapsed: self.at.since(earlier.at),
            traced: self.traced.saturating_sub(earlier.traced),
            hits,
            stacks: self.stacks.saturating_sub(earlier.stacks),
            busy: nanoseconds(self.target_cpu.saturating_sub(earlier.target_cpu)),
            records: self.records.saturating_sub(earlier.records),
            handling: nanoseconds(self.handling_cpu.saturating_sub(earlier.handling_cpu)),
            own: nanoseconds(self.own_cpu.saturating_sub(earlier.own_cpu)),
        }
    }

    /// Events a second since `earlier`.
    pub fn events_per_second(&self, earlier: &Self) -> f64 {
        let sample = self.since(earlier);
        real(sample.hits.iter().sum()) * 1e9 / real(sample.elapsed.max(1))
    }

    /// Our share of one core since `earlier`, in percent.
    pub(crate) fn own_percent(&self, earlier: &Self) -> f64 {
        let used = nanoseconds(self.leaktrace_cpu.saturating_sub(earlier.leaktrace_cpu));
        real(used) * 100.0 / real(self.at.since(earlier.at).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(at: u64, target: u64, own: u64, park: u64) -> Reading {
        let [target_cpu, leaktrace_cpu] = [target, own].map(Duration::from_millis);
        Reading { at: Ktime(at), target_cpu, leaktrace_cpu, hits: [0, 0, park, 0, 0], ..Reading::default() }
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
