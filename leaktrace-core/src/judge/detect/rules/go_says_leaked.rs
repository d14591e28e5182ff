//! LT011: the runtime's own leak detection has found it.

use super::{Case, Judgement, Rule};
use crate::judge::detect::usual;
use crate::schema::Severity;

pub(super) const RULE: Rule = Rule {
    code: "LT011",
    name: "go-says-leaked",
    summary: "The Go runtime's own leak detection has marked these goroutines as leaked.",
    explanation: "\
From Go 1.26 on, taking the `goroutineleak` profile makes the garbage collector look for goroutines that wait for \
channels and locks which nothing that can still run refers to. It marks them with a state of their own, `leaked`. \
leaktrace reads that state; it does not make the program look. The runtime stops the program to be sure, so this is \
proof: the severity is `certain`.",
    judge,
};

fn judge(case: &Case<'_>) -> Judgement {
    if case.cohort.leaked == 0 {
        return Judgement::Clean;
    }
    let mut evidence = case.evidence();
    evidence.insert("marked_by_the_runtime".to_owned(), case.cohort.leaked.into());
    let (usual, remedy) = usual::cause(case.wait());
    Judgement::suspect(
        Severity::Certain,
        evidence,
        &format!(
            "nothing that can still run refers to what they wait for, as Go's own garbage collector found out; \
             {usual}"
        ),
        remedy,
    )
}
