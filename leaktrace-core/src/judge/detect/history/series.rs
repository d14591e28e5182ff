//! Numbers over time, ever coarser the older they are, so that days fit.

use std::collections::VecDeque;

use crate::base::num::Ktime;

/// How many samples are kept at each spacing; the next level has twice the spacing.
const PER_LEVEL: usize = 24;

/// What is counted of one population at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sample {
    /// When.
    pub(super) at: Ktime,
    /// Those that have been there for a while.
    pub(super) settled: u32,
    /// How many have settled since the beginning.
    pub(super) arrived: u32,
    /// How many of the settled have gone since the beginning.
    pub(super) departed: u32,
}

/// One spacing.
#[derive(Clone, Debug, Default)]
struct Level {
    samples: VecDeque<Sample>,
    /// Whether the next sample that leaves goes on to the next level: every second does.
    passes: bool,
}

/// Samples, the newest close together and older ones at spacings that double.
#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    levels: Vec<Level>,
}

impl Series {
    /// Adds a sample that is newer than all others.
    pub(super) fn push(&mut self, sample: Sample) {
        let mut leaving = Some(sample);
        for index in 0.. {
            let Some(sample) = leaving else { return };
            if index == self.levels.len() {
                self.levels.push(Level::default());
            }
            leaving = self.levels[index].push(sample);
        }
    }

    /// All samples, the oldest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Sample> {
        self.levels.iter().rev().flat_map(|level| &level.samples)
    }
}

impl Level {
    /// Takes a sample in, and hands on one for the next level.
    fn push(&mut self, sample: Sample) -> Option<Sample> {
        self.samples.push_back(sample);
        if self.samples.len() <= PER_LEVEL {
            return None;
        }
        let oldest = self.samples.pop_front();
        self.passes = !self.passes;
        oldest.filter(|_| self.passes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_of_seconds_fits_and_stays_in_order() {
        let mut series = Series::default();
        let month = 30 * 86_400;
        for second in 0..month {
            series.push(Sample { at: Ktime(second), ..Sample::default() });
        }
        let times: Vec<u64> = series.iter().map(|sample| sample.at.0).collect();
        assert!(times.is_sorted() && times.len() < 24 * 20, "{}", times.len());
        assert_eq!(times.last(), Some(&(month - 1)));
        assert!(times[0] < month / 10, "the oldest that is kept: {}", times[0]);
        let hour_ago = times.iter().filter(|at| **at + 3_600 > month).count();
        assert!(hour_ago > 100, "{hour_ago} samples of the last hour");
    }
}
