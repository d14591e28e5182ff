//! At which parts of its limit a process's memory is worth a snapshot.

use thiserror::Error;

/// The steps after the first.
const LATER: [u32; 2] = [90, 95];
/// So many points below the first step, all are ahead again.
const REARM: u32 = 10;

/// The steps, and which of them have been taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    first: u32,
    /// The highest of which there was a snapshot.
    taken: Option<u32>,
    now: u32,
}

/// What is no part of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{0}% is not between 1% and 99%")]
pub struct StepsError(pub u32);

impl Steps {
    /// The first at this percentage, then at 90 and 95.
    pub const fn new(first: u32) -> Result<Self, StepsError> {
        if first == 0 || first > 99 {
            return Err(StepsError(first));
        }
        Ok(Self { first, taken: None, now: 0 })
    }

    /// The first one, in percent.
    pub const fn first(&self) -> u32 {
        self.first
    }

    fn all(&self) -> impl Iterator<Item = u32> {
        let first = self.first;
        LATER.into_iter().filter(move |step| *step > first).chain([first])
    }

    /// The one that is next when so many percent are used; beyond the last there is nothing more to be done before all is.
    pub fn next(&self, percent: u32) -> u32 {
        self.all().filter(|step| *step > percent).min().unwrap_or(100)
    }

    fn reached(&self) -> Option<u32> {
        self.all().filter(|step| *step <= self.now).max()
    }

    /// So many percent are used.
    pub(super) fn at(&mut self, percent: u32) {
        self.now = percent;
        if percent + REARM <= self.first {
            self.taken = None;
        }
    }

    /// A step that is reached and of which there was no snapshot.
    pub(super) fn pending(&self) -> Option<u32> {
        self.reached().filter(|step| self.taken.is_none_or(|taken| *step > taken))
    }

    /// There was one of this.
    pub(super) fn took(&mut self, step: u32) {
        self.taken = self.taken.max(Some(step));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_is_taken_once_until_memory_has_fallen_well_below_the_first() {
        let mut steps = Steps::new(80).unwrap();
        let mut taken = Vec::new();
        for percent in [10, 79, 80, 89, 85, 91, 88, 93, 97, 99, 75, 82, 96, 70, 81, 100] {
            steps.at(percent);
            if let Some(step) = steps.pending() {
                taken.push((percent, step));
                steps.took(step);
            }
        }
        assert_eq!(taken, [(80, 80), (91, 90), (97, 95), (81, 80), (100, 95)]);
    }

    #[test]
    fn a_first_step_above_the_others_leaves_them_out() {
        let mut steps = Steps::new(92).unwrap();
        steps.at(91);
        assert_eq!(steps.pending(), None);
        steps.at(94);
        assert_eq!(steps.pending(), Some(92));
        for wrong in [0, 100, u32::MAX] {
            assert_eq!(Steps::new(wrong), Err(StepsError(wrong)));
        }
    }
}
