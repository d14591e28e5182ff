//! LT009: the goroutine that started them is gone.

use super::{Case, Judgement, Rule};
use crate::base::time::SECOND_NS;
use crate::schema::Severity;

/// How many must have come so that it is no coincidence.
const LEAST: u32 = 8;

pub(super) const RULE: Rule = Rule {
    code: "LT009",
    name: "orphaned",
    summary: "More and more goroutines outlive the request or the function that started them.",
    explanation: "\
Since Go 1.21 the runtime records which goroutine started which. If nine in ten goroutines at one place have lost \
their parent, they outlive whatever they were started for. This alone is common: set-up code starts goroutines and \
returns. Together with growth, in which no goroutine runs or leaves, it is a leak: `likely` if at least eight came \
over two and a half minutes or more, and `watch` before, or if they live beside goroutines that are still there (see LT001).

A goroutine that was handed a context, still needs it, and stays in the same wait for 20 seconds after the context \
was cancelled does not check it, although whoever wanted its work is gone. Every rule counts such goroutines in \
`evidence.cancelled`. Three of them are orphaned: `likely` if they grow as above, otherwise `watch`, because some \
goroutines only read values from a cancelled context. leaktrace finds contexts in the variables of the frames, and \
checks the 128 oldest goroutines at each place. It counts only what it can prove.",
    evaluate,
};

fn evaluate(case: &Case<'_>) -> Judgement {
    let cohort = case.cohort;
    if cohort.cancelled >= 3 {
        return ignores_context(case);
    }
    if !case.are_orphans() {
        return Judgement::Clean;
    }
    let trend = case.leak(LEAST).filter(|_| case.wait().needs_goroutine() && !cohort.one_object());
    let Some(trend) = trend else { return case.unless_watched_for(40 * SECOND_NS) };
    let mut evidence = case.evidence_of(trend);
    evidence.insert("parents_gone".to_owned(), cohort.parents_gone.into());
    Judgement::suspect_unless(
        case.doubt(trend, Severity::Likely),
        Severity::Likely,
        evidence,
        "the function that started them has returned without waiting for them or telling them to stop",
        "pass them a context that is cancelled when their request ends, or give their channel a buffer for one value",
    )
}

fn ignores_context(case: &Case<'_>) -> Judgement {
    let (doubt, severity, evidence) = match case.leak(5) {
        Some(trend) => (case.doubt(trend, Severity::Likely), Severity::Likely, case.evidence_of(trend)),
        None => (None, Severity::Watch, case.evidence()),
    };
    Judgement::suspect_unless(
        doubt,
        severity,
        evidence,
        "the context passed to them has been cancelled, and they go on waiting without checking it",
        "wait in a select that also has a case for the context's Done channel, and return there",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::detect::history::Trend;
    use crate::judge::detect::observation;
    use crate::judge::detect::watched::{Cohort, Watched};

    fn judged(cancelled: u64) -> Judgement {
        let cohort = Cohort { live: 5, cancelled, ..Cohort::new(observation::made_up()) };
        let watched = Watched::default();
        evaluate(&Case { cohort: &cohort, watched: &watched, facts: None, signature: None })
    }

    #[test]
    fn short_growth_of_those_that_ignore_a_context_may_be_a_start_up() {
        let judged = |grown_ns| {
            let trend = Some(Trend { grown_ns, ..Trend::made_up() });
            let cohort = Cohort {
                trend,
                settled: 80,
                still: 80,
                unwoken: 80,
                cancelled: 3,
                ..Cohort::new(observation::made_up())
            };
            evaluate(&Case { cohort: &cohort, watched: &Watched::default(), facts: None, signature: None })
        };
        let severity = |grown_ns| judged(grown_ns).suspicion().map(|suspicion| suspicion.severity);
        assert_eq!(
            [80, 150].map(|seconds| severity(seconds * SECOND_NS)),
            [Some(Severity::Watch), Some(Severity::Likely)]
        );
    }

    #[test]
    fn who_ignores_a_context_has_no_company_in_a_connection_that_is_open() {
        let judged = |cancelled| {
            let trend = Some(Trend { grown_ns: 150 * SECOND_NS, ..Trend::made_up() });
            let cohort = Cohort {
                trend,
                live: 300,
                settled: 80,
                still: 80,
                unwoken: 80,
                cancelled,
                is_accompanied: true,
                ..Cohort::new(observation::made_up())
            };
            evaluate(&Case { cohort: &cohort, watched: &Watched::default(), facts: None, signature: None })
        };
        let severity = |cancelled| judged(cancelled).suspicion().map(|suspicion| suspicion.severity);
        assert_eq!(
            [3, 63, 64, 128].map(severity),
            [Severity::Watch, Severity::Watch, Severity::Likely, Severity::Likely].map(Some)
        );
    }

    #[test]
    fn a_context_that_is_ignored_is_worth_watching_without_growth() {
        assert_eq!([judged(0).suspicion(), judged(2).suspicion()], [None, None]);
        let suspicion = judged(3).suspicion().unwrap();
        assert_eq!((suspicion.severity, &suspicion.evidence["cancelled"]), (Severity::Watch, &3.into()));
    }
}
