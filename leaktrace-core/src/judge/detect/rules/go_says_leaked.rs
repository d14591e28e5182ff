//! LT011: the runtime's own leak detection has found it.

use super::{Case, Judgement, Rule};
use crate::schema::Severity;

pub(super) const RULE: Rule = Rule {
    code: "LT011",
    name: "go-says-leaked",
    summary: "The Go runtime's own leak detection has marked these goroutines as leaked.",
    explanation: "\
Since Go 1.26, taking the `goroutineleak` profile makes the garbage collector look for goroutines that wait for \
channels and locks to which nothing that can still run refers. It gives them a state of their own, `leaked`. \
leaktrace reads that state; it does not trigger the search. The runtime stops the program for it, so this is proof, \
and the verdict is `certain`.",
    evaluate,
};

fn evaluate(case: &Case<'_>) -> Judgement {
    if case.cohort.leaked == 0 {
        return Judgement::Clean;
    }
    let mut evidence = case.evidence();
    evidence.insert("marked_by_the_runtime".to_owned(), case.cohort.leaked.into());
    let (typical, remedy) = case.usual_cause();
    Judgement::suspect(
        Severity::Certain,
        evidence,
        &format!(
            "nothing that can still run refers to what they wait for, as Go's own garbage collector found; \
             {typical}"
        ),
        remedy,
    )
}
