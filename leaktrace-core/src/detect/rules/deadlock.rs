//! LT006: nobody can go on.

use super::{Case, Judgement, Rule};
use crate::detect::verdict::Severity;
use crate::detect::watched::Cohort;

const SECOND: u64 = 1_000_000_000;

/// For how long nobody may have moved.
const STILL: u64 = 30 * SECOND;

pub(super) const RULE: Rule = Rule {
    code: "LT006",
    name: "deadlock",
    summary: "Every goroutine of the program waits for another one.",
    explanation: "\
The Go runtime itself ends a program in which nobody can run, but not when something keeps a thread busy: cgo, a \
signal handler, or the network poller. leaktrace calls it a deadlock when main and every other goroutine of the \
program wait for channels, locks or groups, none for time or input, and none has run for 30 seconds: `likely`, and \
one verdict for main. A program that \
listens to signals is none: a signal may wake it.",
    judge,
};

fn judge(case: &Case<'_>) -> Judgement {
    if !case.cohort.standing.is_main || case.is_single() {
        return Judgement::Clean;
    }
    let can_go_on = |cohort: &Cohort| {
        !cohort.standing.wait.needs_goroutine() || cohort.longest_still_ns < STILL || !cohort.is_still()
    };
    let cohorts = &case.watched.cohorts;
    if cohorts.len() < 2 || cohorts.iter().any(can_go_on) {
        return case.unless_watched_for(STILL);
    }
    Judgement::suspect(
        Severity::Likely,
        case.evidence(),
        "every goroutine waits for another one, so that none can go on",
        "look at who holds what the others wait for; lock in one order everywhere, and do not send or receive while \
         holding a lock",
    )
}
