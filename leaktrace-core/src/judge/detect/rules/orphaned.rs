//! LT009: the goroutine that started them is gone.

use super::{Case, Judgement, Rule};
use crate::schema::Severity;

pub(super) const RULE: Rule = Rule {
    code: "LT009",
    name: "orphaned",
    summary: "Goroutines outlive the request or the function that started them, and become ever more.",
    explanation: "\
From Go 1.21 on the runtime remembers which goroutine started which. If nine in ten of those that stand at one place \
have lost their parent, they outlive whatever they were started for. That alone is common: set-up code starts things \
and returns. Together with growth, each goroutine still and none leaving, it is a leak: `likely` with five or more \
that came since leaktrace watches.

A goroutine that was handed a context, still needs it, and waits on in one and the same wait for 20 seconds after the \
context was cancelled does not look at it: whoever wanted its work has gone. Such are counted in `evidence.cancelled`, in \
every rule. Where three do, they are `likely` orphaned if they grow like that, and else to `watch`: some goroutines only \
take values from a context that is over. Contexts are read from the variables of the frames; of each place the 128 oldest \
goroutines are looked at. What a context cannot be proved of is not counted.",
    judge,
};

fn judge(case: &Case<'_>) -> Judgement {
    let cohort = case.cohort;
    if cohort.cancelled >= 3 {
        return ignores_context(case);
    }
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

fn ignores_context(case: &Case<'_>) -> Judgement {
    let (severity, evidence) = match case.leak(5) {
        Some(trend) => (Severity::Likely, case.evidence_of(trend)),
        None => (Severity::Watch, case.evidence()),
    };
    Judgement::suspect(
        severity,
        evidence,
        "the context that they were handed has been cancelled, and they wait on without looking at it",
        "wait in a select that also has a case for the context's Done channel, and return there",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::detect::observation;
    use crate::judge::detect::watched::{Cohort, Watched};

    fn judged(cancelled: u64) -> Judgement {
        let cohort = Cohort { live: 5, cancelled, ..Cohort::new(observation::made_up()) };
        let watched = Watched::default();
        judge(&Case { cohort: &cohort, watched: &watched, facts: None, signature: None })
    }

    #[test]
    fn a_context_that_is_ignored_is_worth_watching_without_growth() {
        assert_eq!([judged(0).suspicion(), judged(2).suspicion()], [None, None]);
        let suspicion = judged(3).suspicion().unwrap();
        assert_eq!((suspicion.severity, &suspicion.evidence["cancelled"]), (Severity::Watch, &3.into()));
    }
}
