//! LT004: waits for what cannot happen.

use super::{Case, Judgement, Rule};
use crate::judge::detect::observation::Wait;
use crate::schema::Severity;

pub(super) const RULE: Rule = Rule {
    code: "LT004",
    name: "never-wakes",
    summary: "A goroutine waits on a nil channel or in a select without cases: nothing can ever wake it.",
    explanation: "\
Sending to and receiving from a nil channel block for ever, and so does `select {}`. The runtime names both as wait \
reasons of their own, so this is known at first sight.

A nil channel is `certain`: nobody waits for nothing on purpose, although a goroutine that waits for \
`context.Background().Done()` may do little harm. `select {}` is the usual way to keep `main` alive, which is left \
out; elsewhere it is `certain` when several goroutines of one `go` statement do it, `likely` for one, and `watch` for \
one that `main.main` or an `init` started, or that is locked to its thread: those often live on purpose.",
    judge,
};

fn judge(case: &Case<'_>) -> Judgement {
    if case.cohort.standing.is_main {
        return Judgement::Clean;
    }
    match case.wait() {
        Wait::NilChannel => Judgement::suspect(
            Severity::Certain,
            case.evidence(),
            "they wait on a channel that is nil: it was never made, was set to nil, or is the Done channel of a \
             context that cannot be cancelled",
            "make the channel before the goroutine starts, or do not start the goroutine without one",
        ),
        Wait::NoCases => Judgement::suspect(
            no_cases(case),
            case.evidence(),
            "they wait in a `select {}`, which never returns",
            "let the goroutine return when its work is done; only main needs to be kept alive",
        ),
        _ => Judgement::Clean,
    }
}

fn no_cases(case: &Case<'_>) -> Severity {
    let creator = case.cohort.standing.created_by.function.as_deref().unwrap_or_default();
    let by_start = creator == "main.main" || creator.starts_with("main.init");
    match case.cohort.live {
        1 if by_start || case.cohort.locked > 0 => Severity::Watch,
        1 => Severity::Likely,
        _ => Severity::Certain,
    }
}
