//! Random numbers that a seed repeats.

use std::time::Duration;

/// The numbers that made-up services are drawn from, as rounds need them.
pub(crate) struct Random(leaktrace_simulator::Random);

impl Random {
    /// The numbers of one round, whatever the rounds before it drew.
    pub(crate) fn of_round(seed: u64, round: u64) -> Self {
        Self(leaktrace_simulator::Random::of(seed, round))
    }

    /// A number from `low` to `high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0.between(low, high)
    }

    /// True once in `n` times.
    pub(crate) fn once_in(&mut self, n: u64) -> bool {
        self.between(1, n) == 1
    }

    /// One of several.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        self.0.pick(from)
    }

    /// Any byte.
    pub(crate) fn byte(&mut self) -> u8 {
        u8::try_from(self.between(0, u8::MAX.into())).unwrap_or_default()
    }

    /// An index below `len`.
    pub(crate) fn index(&mut self, len: usize) -> usize {
        let last = u64::try_from(len).map_or(0, |len| len.saturating_sub(1));
        usize::try_from(self.between(0, last)).unwrap_or(0)
    }

    /// A time between two, to the microsecond.
    pub(crate) fn time(&mut self, low_ms: u64, high_ms: u64) -> Duration {
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
