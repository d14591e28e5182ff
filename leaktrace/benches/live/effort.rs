//! How much work to put into figures.

/// How often to repeat what is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// As often as the figures of the page need.
    Whole,
    /// A third as often, and without what takes minutes each time: to see whether something has changed a lot.
    Quick,
}

impl Effort {
    /// What was asked for.
    pub(crate) fn of_arguments() -> Self {
        if std::env::args().any(|word| word == "--quick") { Self::Quick } else { Self::Whole }
    }

    /// How many rounds to measure, where the page's figures are of `whole`.
    pub(crate) const fn rounds(self, whole: usize) -> usize {
        match self {
            Self::Whole => whole,
            Self::Quick => whole.div_ceil(3),
        }
    }
}
