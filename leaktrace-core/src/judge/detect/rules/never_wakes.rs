//! LT004: waits for what cannot happen.

use super::{Case, Judgement, Rule};
use crate::base::num::nearly_all;
use crate::judge::detect::observation::Wait;
use crate::judge::detect::watched::Cohort;
use crate::schema::Severity;

pub(super) const RULE: Rule = Rule {
    code: "LT004",
    name: "never-wakes",
    summary: "A goroutine waits on a nil channel or in an empty select, and nothing can ever wake it.",
    explanation: "\
Sending to and receiving from a nil channel block forever, and so does `select {}`. The runtime has a wait reason \
for each, so one look is enough.

A nil channel is `certain`: nobody waits on one on purpose. But a single goroutine that receives is `watch`: a service that is \
told to end by a context, and gets `context.Background()`, waits for the nil channel of its Done as long as the program runs, which does \
little harm, and from outside that looks the same.

`select {}` is the usual way to keep `main` alive, where it is not reported. Elsewhere it is `certain` for several goroutines \
of one `go` statement and `likely` for one; it is `watch` for one that `main.main` or an `init` function started, and for all that are \
locked to their threads, because those often live on purpose.",

    evaluate,
};

fn evaluate(case: &Case<'_>) -> Judgement {
    if case.cohort.standing.is_main {
        return Judgement::Clean;
    }
    let they_wait = if case.cohort.live == 1 { "it waits" } else { "they wait" };
    match case.wait() {
        Wait::NilChannel => Judgement::suspect(
            nil_channel(case),
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

/// Who sends does not wait for a context.
fn nil_channel(case: &Case<'_>) -> Severity {
    let receives = !case.cohort.standing.doing.starts_with("chan send");
    if case.cohort.live == 1 && receives { Severity::Watch } else { Severity::Certain }
}

fn no_cases(case: &Case<'_>) -> Severity {
    let creator = case.cohort.standing.created_by.function.as_deref().unwrap_or_default();
    let by_start = creator == "main.main" || creator.starts_with("main.init");
    let Cohort { live, locked, .. } = *case.cohort;
    match live {
        1 if by_start => Severity::Watch,
        _ if nearly_all(locked, live) => Severity::Watch,
        1 => Severity::Likely,
        _ => Severity::Certain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::detect::observation::{self, Standing};
    use crate::judge::detect::watched::Watched;

    /// The verdict on so many in a `select {}`, of which so many are locked to their threads.
    fn severity(live: u64, locked: u64) -> Option<Severity> {
        let standing = Standing { wait: Wait::NoCases, ..observation::made_up() };
        let cohort = Cohort { live, locked, ..Cohort::new(standing) };
        let watched = Watched::default();
        let case = Case { cohort: &cohort, watched: &watched, facts: None, signature: None };
        evaluate(&case).suspicion().map(|suspicion| suspicion.severity)
    }

    #[test]
    fn threads_are_kept_on_purpose() {
        assert_eq!([severity(1, 1), severity(4, 4)], [Some(Severity::Watch); 2]);
        assert_eq!([severity(1, 0), severity(4, 1)], [Some(Severity::Likely), Some(Severity::Certain)]);
    }
}
