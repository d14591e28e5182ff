//! What `g.waitsince` proves.
//!
//! The garbage collector sets it, when it scans a waiting goroutine's stack for the first time, to the end of
//! its *previous* cycle. So the goroutine may have begun to wait, or even to exist, after that time; but it did
//! wait before the end of the cycle that scanned it. Any later value in another goroutine is the end of that
//! cycle or of one after it, and therefore a time at which this goroutine was waiting for certain.

use crate::base::num::Ktime;

/// How many ends of cycles are kept of one snapshot. Leaving one out makes a bound weaker, never wrong.
const MAX_CYCLES: usize = 4096;

/// The ends of garbage collection cycles that a snapshot mentions.
#[derive(Debug, Default)]
pub(super) struct CycleEnds(Vec<Ktime>);

impl CycleEnds {
    /// The different values of `g.waitsince` that are not in the future of `now`.
    pub(super) fn of(values: impl Iterator<Item = Ktime>, now: Ktime) -> Self {
        let mut ends: Vec<Ktime> = Vec::new();
        for value in values.filter(|&value| value <= now) {
            if let Err(place) = ends.binary_search(&value)
                && ends.len() < MAX_CYCLES
            {
                ends.insert(place, value);
            }
        }
        Self(ends)
    }

    /// A time at which a goroutine with this `g.waitsince` was waiting for certain, if one is known.
    pub(super) fn surely_waiting(&self, wait_since: Ktime) -> Option<Ktime> {
        self.0.get(self.0.partition_point(|&end| end <= wait_since)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_cycles_end_is_proof_and_the_own_value_is_not() {
        let values = [300, 100, 100, 900_000, 200].map(Ktime);
        let cycles = CycleEnds::of(values.into_iter(), Ktime(1_000));
        assert_eq!(cycles.surely_waiting(Ktime(100)), Some(Ktime(200)));
        assert_eq!(cycles.surely_waiting(Ktime(150)), Some(Ktime(200)));
        assert_eq!(cycles.surely_waiting(Ktime(300)), None);
    }
}
