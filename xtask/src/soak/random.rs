//! Random numbers that a seed repeats.

use std::time::Duration;

/// `SplitMix64`.
pub(super) struct Random(u64);

impl Random {
    /// The numbers of one round, whatever the rounds before it drew.
    pub(super) fn of_round(seed: u64, round: u64) -> Self {
        let mut mixed = Self(seed);
        Self(mixed.next() ^ round.wrapping_mul(0xd134_2543_de82_ef95))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to `high`.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// True once in `n` times.
    pub(super) fn once_in(&mut self, n: u64) -> bool {
        self.between(1, n) == 1
    }

    /// One of several.
    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let last = u64::try_from(from.len()).map_or(0, |len| len.saturating_sub(1));
        from[usize::try_from(self.between(0, last)).unwrap_or(0)]
    }

    /// An index below `len`.
    pub(super) fn index(&mut self, len: usize) -> usize {
        let last = u64::try_from(len).map_or(0, |len| len.saturating_sub(1));
        usize::try_from(self.between(0, last)).unwrap_or(0)
    }

    /// A time between two, to the microsecond.
    pub(super) fn time(&mut self, low_ms: u64, high_ms: u64) -> Duration {
        Duration::from_micros(self.between(low_ms * 1000, high_ms * 1000))
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn a_round_is_repeated_by_its_seed() {
        let draw = |seed, round| {
            let mut random = Random::of_round(seed, round);
            [(); 8].map(|()| random.between(3, 9))
        };
        assert_eq!(draw(7, 1), draw(7, 1));
        assert!(draw(7, 1) != draw(7, 2) && draw(7, 1) != draw(8, 1));
        assert!(draw(7, 1).iter().all(|number| (3..=9).contains(number)));
    }
}
