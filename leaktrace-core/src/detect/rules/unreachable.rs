//! LT005: nothing that can still run refers to what it waits for.

use super::{Case, Judgement, Rule};
use crate::detect::verdict::Severity;

/// In how many passes in a row nothing must have referred to it.
const PASSES: u64 = 3;

pub(super) const RULE: Rule = Rule {
    code: "LT005",
    name: "unreachable",
    summary: "Nothing that can still run refers to the channel or lock that a goroutine waits for.",
    explanation: "\
To wake a goroutine, somebody must be able to get at the channel or lock that it waits for. leaktrace follows the \
pointers in the program's memory from all that can still run, as the garbage collector does, and looks whether they \
lead there. It does so while the program runs and may miss a pointer that is just being moved, so that one pass proves \
nothing: the verdict needs three in a row with the goroutine still all the time, and is `likely`.",
    judge,
};

fn judge(case: &Case<'_>) -> Judgement {
    let [_, _, unreachable] = case.cohort.unreachable;
    if unreachable == 0 || case.cohort.standing.is_main {
        return Judgement::Clean;
    }
    let mut evidence = case.evidence();
    evidence.insert("unreachable".to_owned(), unreachable.into());
    evidence.insert("passes".to_owned(), PASSES.into());
    Judgement::suspect(
        Severity::Likely,
        evidence,
        "they cannot be woken: nothing that can still run refers to what they wait for",
        "make sure that every way out of the function that owns the channel or lock closes, drains or unlocks it",
    )
}
