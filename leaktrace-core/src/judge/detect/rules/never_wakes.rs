//! LT004: waits for what cannot happen.

use super::{Case, Judgement, Rule};
use crate::judge::detect::observation::Wait;
use crate::schema::Severity;

pub(super) const RULE: Rule = Rule {
    code: "LT004",
    name: "never-wakes",
    summary: "A goroutine waits on a nil channel or in an empty select, and nothing can ever wake it.",
    explanation: "\
Sending to and receiving from a nil channel block forever, and so does `select {}`. The runtime has a wait reason \
for each, so one look is enough.

A nil channel is `certain`: nobody waits on one on purpose, although a goroutine that waits for \
`context.Background().Done()` may do little harm. `select {}` is the usual way to keep `main` alive, where it is not \
reported. Elsewhere it is `certain` for several goroutines of one `go` statement and `likely` for one; it is `watch` \
for one that `main.main` or an `init` function started, or that is locked to its thread, because those often live on \
purpose.",
    evaluate,
};

fn evaluate(case: &Case<'_>) -> Judgement {
    if case.cohort.standing.is_main {
        return Judgement::Clean;
    }
    let they_wait = if case.cohort.live == 1 { "it waits" } else { "they wait" };
    match case.wait() {
        Wait::NilChannel => Judgement::suspect(
            Severity::Certain,
            case.evidence(),
            &format!(
                "{they_wait} on a channel that is nil: it was never made, was set to nil, or is the Done channel of a \
                 context that cannot be cancelled"
            ),
            "create the channel before the goroutine starts, or do not start the goroutine without one",
        ),
        Wait::NoCases => Judgement::suspect(
            no_cases(case),
            case.evidence(),
            &format!("{they_wait} in a `select {{}}`, which never returns"),
            "make the goroutine return when its work is done; only main needs to be kept alive",
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
