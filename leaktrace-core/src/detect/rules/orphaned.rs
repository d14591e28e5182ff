//! LT009: the goroutine that started them is gone.

use super::{Case, Judgement, Rule};
use crate::detect::verdict::Severity;

pub(super) const RULE: Rule = Rule {
    code: "LT009",
    name: "orphaned",
    summary: "Goroutines outlive the request or the function that started them, and become ever more.",
    explanation: "\
From Go 1.21 on the runtime remembers which goroutine started which. If nine in ten of those that stand at one place \
have lost their parent, they outlive whatever they were started for. That alone is common: set-up code starts things \
and returns. Together with growth, each goroutine still and none leaving, it is a leak: `likely` with five or more \
that came since leaktrace watches.",
    judge,
};

fn judge(case: &Case<'_>) -> Judgement {
    let cohort = case.cohort;
    if cohort.parents_known < 3 || cohort.parents_gone * 10 < cohort.parents_known * 9 {
        return Judgement::Clean;
    }
    let trend = case.leak(5).filter(|_| case.wait().needs_goroutine() && !cohort.one_object());
    let Some(trend) = trend else { return case.unless_watched_for(40_000_000_000) };
    let mut evidence = case.evidence_of(trend);
    evidence.insert("parents_gone".to_owned(), cohort.parents_gone.into());
    Judgement::suspect(
        Severity::Likely,
        evidence,
        "whoever started them has returned without waiting for them or telling them to stop",
        "hand them a context that is cancelled when their request ends, or give their channel room for one value",
    )
}
