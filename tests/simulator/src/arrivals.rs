//! When goroutines are born, and how long they live.

use crate::MINUTE;
use crate::random::{Random, float};

/// How many are born in a minute, over time.
#[derive(Clone, Debug)]
pub(crate) enum Rate {
    /// So many in a minute between two times, several of these.
    Windows(Vec<(u64, u64, f64)>),
    /// A wave around `mean`, up and down by the share `swing`.
    Wave { from: u64, until: u64, mean: f64, swing: f64, period: u64, shift: u64 },
}

impl Rate {
    /// The same all the time.
    pub(crate) fn steady(from: u64, until: u64, per_minute: f64) -> Self {
        Self::Windows(vec![(from, until, per_minute)])
    }

    /// The rate at a time.
    pub(crate) fn at(&self, time: u64) -> f64 {
        match self {
            Self::Windows(windows) => {
                let now = windows.iter().filter(|(from, until, _)| (*from..*until).contains(&time));
                now.map(|(_, _, per_minute)| per_minute).sum()
            }
            Self::Wave { from, until, mean, swing, period, shift } if (*from..*until).contains(&time) => {
                let turns = float((time + shift) % period) / float(*period);
                mean * (1.0 + swing * (turns * std::f64::consts::TAU).sin())
            }
            Self::Wave { .. } => 0.0,
        }
    }

    /// The births, in order.
    pub(crate) fn births(&self, random: &mut Random) -> Vec<u64> {
        let mut births = Vec::new();
        match self {
            Self::Windows(windows) => {
                for (from, until, per_minute) in windows {
                    births.extend(poisson(random, *from, *until, *per_minute));
                }
            }
            Self::Wave { from, until, mean, swing, .. } => {
                let most = mean * (1.0 + swing);
                births = poisson(random, *from, *until, most);
                births.retain(|born| random.chance(self.at(*born) / most));
            }
        }
        births.sort_unstable();
        births
    }
}

fn poisson(random: &mut Random, from: u64, until: u64, per_minute: f64) -> Vec<u64> {
    let mut births = Vec::new();
    if per_minute <= 0.0 {
        return births;
    }
    let mean = crate::random::whole(float(MINUTE) / per_minute).max(1);
    let mut at = from.saturating_add(random.exponential(mean));
    while at < until {
        births.push(at);
        at = at.saturating_add(random.exponential(mean).max(1));
    }
    births
}

/// `count` births, one every `every`, give or take a third of it.
pub(crate) fn one_by_one(random: &mut Random, from: u64, every: u64, count: u64) -> Vec<u64> {
    (0..count).map(|number| from + number * every + random.between(0, every / 3)).collect()
}

/// How long goroutines live.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lifetime {
    /// All the same.
    Fixed(u64),
    /// By chance, so long on average.
    Exponential(u64),
    /// At least so long, and some very much longer.
    Heavy(u64, f64),
    /// For ever.
    Forever,
}

impl Lifetime {
    /// One of them.
    pub(crate) fn draw(self, random: &mut Random) -> u64 {
        match self {
            Self::Fixed(life) => life,
            Self::Exponential(mean) => random.exponential(mean),
            Self::Heavy(least, alpha) => random.pareto(least, alpha),
            Self::Forever => u64::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn births_come_at_the_rate_of_their_time() {
        let mut random = Random::of(1, 1);
        let births = Rate::steady(MINUTE, 101 * MINUTE, 30.0).births(&mut random);
        assert!(births.len().abs_diff(3_000) < 200 && births.is_sorted(), "{}", births.len());
        assert!(births.first().is_some_and(|first| *first >= MINUTE));
        let period = 100 * MINUTE;
        let wave = Rate::Wave { from: 0, until: period, mean: 30.0, swing: 1.0, period, shift: 0 };
        let births = wave.births(&mut random);
        let early = births.iter().filter(|born| **born < period / 2).count();
        assert!(early * 10 > births.len() * 7, "{early} of {} in the upper half", births.len());
    }
}
