//! LT003: alive many times longer than nearly all of its siblings lived.

use super::{Case, Judgement, Rule};
use crate::base::time::SECOND_NS;
use crate::judge::detect::typical_cause;
use crate::schema::Severity;

/// How many must have ended to know how long they live.
const SIBLINGS: u64 = 100;

/// How many times longer than 99 in 100 of them is too long, and what is too short in any case.
const TIMES: u64 = 50;
const LEAST_NS: u64 = 20 * SECOND_NS;

/// From this age on, several are a leak.
const OLD_NS: u64 = 30 * SECOND_NS;

pub(super) const RULE: Rule = Rule {
    code: "LT003",
    name: "outlives-siblings",
    summary: "Goroutines live many times longer than almost all others of the same `go` statement.",
    explanation: "\
leaktrace sees goroutines start and end, so it knows how long those of each `go` statement live. If at least 100 \
have ended, and one has not run for 50 times as long as 99% of them lived and for at least 20 seconds, then probably \
something that should have woken it did not. Age alone proves nothing: what counts is how long the others of the \
same statement lived. The verdict is `likely` if at least three came while leaktrace watched, the oldest has not run \
for 30 seconds, and none that had settled there has ever left; otherwise `watch`.",
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
    let several = cohort.arrived >= 3 && cohort.departed == 0 && cohort.longest_still_ns >= OLD_NS;
    let mut evidence = case.evidence();
    evidence.insert("siblings_ended".to_owned(), facts.lifetimes.count().into());
    evidence.insert("siblings_99_percent_lived_ns".to_owned(), usual.into());
    let severity = if several && !cohort.one_object() { Severity::Likely } else { Severity::Watch };
    let (cause, remedy) = typical_cause::cause(case.wait());
    let cause = format!("what ended almost all their siblings did not happen for these; {cause}");
    Judgement::suspect(severity, evidence, &cause, remedy)
}
