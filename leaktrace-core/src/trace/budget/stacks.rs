//! How many creator stacks are taken.

use leaktrace_common::layout::Control;

use crate::base::time::SECOND_NS;

/// Thinned, one creator stack in so many is left.
pub const THINNING: u32 = 16;

/// While all can be afforded, each site may have one more of its births' stacks taken in every such time. So one that
/// starts goroutines no faster has them all taken, until it was given the most.
const EARNED_EVERY_NS: u64 = SECOND_NS / 4;

/// How many a site is given at once: each time, the programs are told anew.
const STEP: u32 = 16;

/// The most that are given: a site that becomes busy may use up all of them in one moment, and the smallest ring has room for
/// them.
const MOST: u32 = 1 << 12;

/// How many creator stacks are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StackSampling {
    /// As many as the sampling of each site asks for, and those of so many further births of each before it begins.
    Normal {
        /// So many.
        more: u32,
    },
    /// One [`THINNING`]th of them.
    Thin,
}

impl StackSampling {
    /// What the programs are to do where `usual` is what they do as long as nothing is thinned or earned.
    #[must_use]
    pub const fn apply(self, usual: Control) -> Control {
        match self {
            Self::Normal { .. } if usual.stacks_per_site == 0 => usual,
            Self::Normal { more } => {
                Control { stacks_per_site: usual.stacks_per_site.saturating_add(more), ..usual }
            }
            Self::Thin => {
                let mask = usual.stack_sample_mask.saturating_mul(THINNING).saturating_add(THINNING - 1);
                Control { stacks_per_site: 0, stack_sample_mask: mask, ..usual }
            }
        }
    }
}

/// For how long more stacks could have been afforded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Earned(u64);

impl Earned {
    /// These nanoseconds have passed, and all that was traced cost so little that more could have been.
    pub(super) const fn pass(&mut self, elapsed: u64, at_ease: bool) {
        if at_ease {
            self.0 = self.0.saturating_add(elapsed);
        }
    }

    /// How many stacks are taken from now on.
    pub(super) fn sampling(self, is_thin: bool) -> StackSampling {
        if is_thin {
            return StackSampling::Thin;
        }
        let more = u32::try_from(self.0 / EARNED_EVERY_NS).unwrap_or(MOST).min(MOST);
        StackSampling::Normal { more: more / STEP * STEP }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY_STACK: Control =
        Control { stacks_per_site: u32::MAX, stack_sample_mask: 0, wakeup_bytes: 7, wakers: 1 };

    /// How many stacks are taken of the first births of one site.
    fn taken(control: Control, births: u32) -> usize {
        let is_taken =
            |count: &u32| *count < control.stacks_per_site || count & control.stack_sample_mask == 0;
        (0..births).filter(is_taken).count()
    }

    #[test]
    fn thinning_leaves_one_stack_in_sixteen_of_every_one_and_of_a_sample() {
        let sample = Control { stacks_per_site: 16, stack_sample_mask: 63, ..EVERY_STACK };
        assert_eq!(taken(EVERY_STACK, 1 << 16), 1 << 16);
        assert_eq!(taken(StackSampling::Thin.apply(EVERY_STACK), 1 << 16), 1 << 12);
        assert_eq!(taken(StackSampling::Thin.apply(sample), 1 << 16), 1 << 6);
    }

    #[test]
    fn nothing_else_changes_and_no_stacks_stay_none() {
        let thin = StackSampling::Thin.apply(EVERY_STACK);
        assert_eq!((thin.wakeup_bytes, thin.wakers), (7, 1));
        let usual = StackSampling::Normal { more: 32 };
        assert_eq!(usual.apply(EVERY_STACK), EVERY_STACK);
        let none = Control { stacks_per_site: 0, stack_sample_mask: u32::MAX, ..EVERY_STACK };
        assert_eq!((StackSampling::Thin.apply(none), usual.apply(none)), (none, none));
    }

    #[test]
    fn a_site_that_starts_few_has_the_stacks_of_all_taken() {
        let sample = Control { stacks_per_site: 16, stack_sample_mask: 63, ..EVERY_STACK };
        let mut earned = Earned::default();
        for second in 1..1_200 {
            earned.pass(SECOND_NS, true);
            let control = earned.sampling(false).apply(sample);
            let births = second * 4;
            let all = births.min(MOST) as usize;
            assert!(taken(control, births) >= all, "{second}: all of the first, and a sample of the rest");
        }
        earned.pass(u64::MAX, true);
        let busy = earned.sampling(false).apply(sample);
        assert!(taken(busy, 1 << 22) < (1 << 16) + (1 << 15), "one in 64 of a busy site's");
    }
}
