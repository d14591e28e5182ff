//! Random numbers that a seed repeats, and the distributions that services are made of.

/// `SplitMix64`.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The numbers of one service or round, whatever those before it drew.
    pub fn of(seed: u64, number: u64) -> Self {
        let mut mixed = Self(seed);
        Self(mixed.next() ^ number.wrapping_mul(0xd134_2543_de82_ef95))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to 1, but not 1.
    pub(crate) fn unit(&mut self) -> f64 {
        float(self.next() >> 11) / float(1 << 53)
    }

    /// A number from `low` to `high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high.saturating_sub(low) + 1)
    }

    /// A number from `low` to `high`, as likely between 1 and 10 as between 10 and 100.
    pub(crate) fn log_between(&mut self, low: f64, high: f64) -> f64 {
        low * (high / low).powf(self.unit())
    }

    /// The same of times in nanoseconds.
    pub(crate) fn time(&mut self, low: u64, high: u64) -> u64 {
        whole(self.log_between(float(low.max(1)), float(high.max(1))))
    }

    /// True with this probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of several.
    ///
    /// # Panics
    /// If there is none.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let last = u64::try_from(from.len()).map_or(0, |len| len.saturating_sub(1));
        from[usize::try_from(self.between(0, last)).unwrap_or(0)]
    }

    /// How long something takes that happens once in `mean` on average.
    pub(crate) fn exponential(&mut self, mean: u64) -> u64 {
        whole(-(1.0 - self.unit()).ln() * float(mean))
    }

    /// A time of at least `least` that is hardly ever, but then much longer: the smaller `alpha` is, the longer.
    pub(crate) fn pareto(&mut self, least: u64, alpha: f64) -> u64 {
        whole(float(least) * (1.0 - self.unit()).powf(-1.0 / alpha))
    }

    /// How often something happens that happens `mean` times on average.
    pub(crate) fn poisson(&mut self, mean: f64) -> u64 {
        if mean > 60.0 {
            // Twelve numbers from 0 to 1 are nearly normal.
            let normal: f64 = (0..12).map(|_| self.unit()).sum::<f64>() - 6.0;
            return whole(mean + normal * mean.sqrt());
        }
        let (mut count, mut product) = (0, self.unit());
        let limit = (-mean).exp();
        while product > limit {
            product *= self.unit();
            count += 1;
        }
        count
    }
}

/// As a number with a fraction.
#[expect(clippy::cast_precision_loss, reason = "a random number, which has no exact value")]
pub const fn float(number: u64) -> f64 {
    number as f64
}

/// Without its fraction, and never below 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, which is what is wanted of endless times"
)]
pub(crate) const fn whole(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_repeated_by_its_seed_and_number() {
        let draw = |seed, service| {
            let mut random = Random::of(seed, service);
            [(); 8].map(|()| random.between(3, 9))
        };
        assert_eq!(draw(7, 1), draw(7, 1));
        assert!(draw(7, 1) != draw(7, 2) && draw(7, 1) != draw(8, 1));
        assert!(draw(7, 1).iter().all(|number| (3..=9).contains(number)));
    }

    #[test]
    fn means_are_what_they_are_said_to_be() {
        let mut random = Random::of(1, 1);
        let times = 20_000;
        let mean = |draw: &mut dyn FnMut() -> u64| (0..times).map(|_| draw()).sum::<u64>() / times;
        assert!(mean(&mut || random.exponential(1_000)).abs_diff(1_000) < 30);
        assert!(mean(&mut || random.poisson(7.0) * 100).abs_diff(700) < 10);
        assert!(mean(&mut || random.poisson(200.0)).abs_diff(200) < 3);
        assert!(mean(&mut || random.pareto(1_000, 2.5)).abs_diff(1_666) < 60);
    }
}
