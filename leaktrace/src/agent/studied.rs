//! What a study has found, and whether that outweighs what an earlier one has.

use std::sync::Arc;

use leaktrace_core::base::num::Ktime;
use leaktrace_core::schema::{Report, Severity};

/// What a study has said last.
#[derive(Clone, Debug)]
pub(super) struct Studied {
    pub(super) report: Arc<Report>,
    pub(super) at: Ktime,
}

impl Studied {
    /// Whether it is as sure of something as `other` is.
    pub(super) fn is_as_sure_as(&self, other: &Self) -> bool {
        // The surest severity is the least.
        let surest = |studied: &Self| studied.report.incidents.iter().map(|incident| incident.severity).min();
        is_as_sure(surest(self), surest(other))
    }
}

fn is_as_sure(one: Option<Severity>, other: Option<Severity>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one <= other,
        (_, None) => true,
        (None, Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weaker_study_does_not_take_back_what_a_stronger_one_has_found() {
        let (watch, likely, certain) =
            (Some(Severity::Watch), Some(Severity::Likely), Some(Severity::Certain));
        assert!(is_as_sure(certain, likely) && is_as_sure(likely, likely) && is_as_sure(None, None));
        assert!(!is_as_sure(watch, likely) && !is_as_sure(None, watch));
    }
}
