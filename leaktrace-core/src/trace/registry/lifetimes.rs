//! How long goroutines lived: a histogram of a fixed size.

use crate::base::time::MICROSECOND_NS;

/// Lifetimes of up to 2^40 microseconds, twelve days, are told apart.
const BUCKETS: usize = 40;

/// How many goroutines lived for how long, by powers of two of a microsecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    buckets: [u32; BUCKETS],
}

// One for each site.
const _: () = assert!(size_of::<Lifetimes>() == 160);

impl Default for Lifetimes {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS] }
    }
}

impl Lifetimes {
    /// Adds a goroutine that lived for `ns`.
    pub fn add(&mut self, ns: u64) {
        let bucket = (ns / MICROSECOND_NS).max(1).ilog2() as usize;
        let bucket = &mut self.buckets[bucket.min(BUCKETS - 1)];
        *bucket = bucket.saturating_add(1);
    }

    /// Adds those of another site.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (bucket, more) in self.buckets.iter_mut().zip(other.buckets) {
            *bucket = bucket.saturating_add(more);
        }
    }

    /// How many were added.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|count| u64::from(*count)).sum()
    }

    /// A time in nanoseconds within which `percent` in a hundred of them ended: the next power of two of a
    /// microsecond. `None` if there were none.
    pub(crate) fn quantile(&self, percent: u64) -> Option<u64> {
        let wanted = self.count() * percent;
        let mut below = 0;
        let reached = self.buckets.iter().position(|count| {
            below += u64::from(*count) * 100;
            below > 0 && below >= wanted
        });
        reached.map(|bucket| MICROSECOND_NS << (bucket + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantile_is_the_next_power_of_two() {
        let mut lifetimes = Lifetimes::default();
        assert_eq!(lifetimes.quantile(99), None);
        (0..99).for_each(|_| lifetimes.add(3_000_000));
        lifetimes.add(u64::MAX);
        assert_eq!(lifetimes.count(), 100);
        assert_eq!(lifetimes.quantile(99), Some(MICROSECOND_NS * 4_096));
        assert_eq!(lifetimes.quantile(100), Some(MICROSECOND_NS << 40));
    }
}
