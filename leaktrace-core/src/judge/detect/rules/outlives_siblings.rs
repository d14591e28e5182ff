//! LT003: alive many times longer than nearly all of its siblings lived.

use super::{Case, Judgement, Rule};
use crate::base::time::SECOND_NS;
use crate::schema::Severity;

/// How many must have ended to know how long they live.
const SIBLINGS: u64 = 100;

/// How many times longer than 99 in 100 of them is too long, and what is too short in any case.
const TIMES: u64 = 50;
const LEAST_NS: u64 = 20 * SECOND_NS;

pub(super) const RULE: Rule = Rule {
    code: "LT003",
    name: "outlives-siblings",
    summary: "Goroutines live many times longer than almost all others of the same `go` statement.",
    explanation: "\
leaktrace sees goroutines start and end, so it knows how long those of each `go` statement live. If at least 100 \
have ended, and one has not run for 50 times as long as 99% of them lived and for at least 20 seconds, then perhaps \
something that should have woken it did not. But one statement often starts short and long work: a server's connections \
are quick requests and streams that last for hours. So the verdict is `watch`.",
    evaluate,
};

fn evaluate(case: &Case<'_>) -> Judgement {
    let Some(facts) = case.facts else { return Judgement::Clean };
    let cohort = case.cohort;
    if !case.wait().needs_goroutine() || cohort.standing.is_main {
        return Judgement::Clean;
    }
    let Some(usual) = facts.lifetimes.quantile(99).filter(|_| facts.lifetimes.count() >= SIBLINGS) else {
        return case.unless_watched_for(LEAST_NS);
    };
    if cohort.longest_still_ns < LEAST_NS.max(usual.saturating_mul(TIMES)) || !cohort.is_still() {
        return case.unless_watched_for(LEAST_NS);
    }
    let mut evidence = case.evidence();
    evidence.insert("siblings_ended".to_owned(), facts.lifetimes.count().into());
    evidence.insert("siblings_99_percent_lived_ns".to_owned(), usual.into());
    let (cause, remedy) = case.probable_cause();
    let cause = format!("what ended almost all their siblings did not happen for these: {cause}");
    Judgement::suspect(Severity::Watch, evidence, &cause, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::detect::objects::Objects;
    use crate::judge::detect::observation;
    use crate::judge::detect::rules::SiteFacts;
    use crate::judge::detect::watched::{Cohort, Watched};

    #[test]
    fn a_cause_is_a_guess_unless_a_timer_is_known_to_be_stopped() {
        let mut facts = SiteFacts::default();
        (0..SIBLINGS).for_each(|_| facts.lifetimes.add(1));
        let cause = |stopped| {
            let cohort = Cohort {
                settled: 1,
                unwoken: 1,
                longest_still_ns: LEAST_NS,
                objects: Objects::of_timer(stopped),
                ..Cohort::new(observation::made_up())
            };
            let watched = Watched::default();
            let case = Case { cohort: &cohort, watched: &watched, facts: Some(&facts), signature: None };
            evaluate(&case).suspicion().unwrap().cause
        };
        assert!(cause(true).contains("for these: no timer is going to send"), "{}", cause(true));
        assert!(cause(false).contains("for these: probably nobody sends"), "{}", cause(false));
    }
}
