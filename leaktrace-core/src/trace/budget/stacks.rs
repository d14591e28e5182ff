//! How many creator stacks are taken.

use leaktrace_common::layout::Control;

/// Thinned, one creator stack in so many is left.
pub const THINNING: u32 = 16;

/// How many creator stacks are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StackSampling {
    /// As many as the sampling of each site asks for.
    Normal,
    /// One [`THINNING`]th of them.
    Thin,
}

impl StackSampling {
    /// What the programs are to do where `usual` is what they do while nothing is thinned.
    #[must_use]
    pub const fn apply(self, usual: Control) -> Control {
        match self {
            Self::Normal => usual,
            Self::Thin => {
                let mask = usual.stack_sample_mask.saturating_mul(THINNING).saturating_add(THINNING - 1);
                Control { stacks_per_site: 0, stack_sample_mask: mask, ..usual }
            }
        }
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
        assert_eq!(StackSampling::Normal.apply(EVERY_STACK), EVERY_STACK);
        let none = Control { stacks_per_site: 0, stack_sample_mask: u32::MAX, ..EVERY_STACK };
        assert_eq!(StackSampling::Thin.apply(none), none);
    }
}
