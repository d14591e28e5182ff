//! LT006: nobody can go on.

use super::{Case, Judgement, Rule};
use crate::base::time::SECOND_NS;
use crate::judge::detect::watched::{Cohort, Holder};
use crate::judge::detect::words;
use crate::schema::Severity;

/// The code of the rule that needs to know who holds which lock.
pub const DEADLOCK: &str = "LT006";

/// For how long nobody may have moved.
const STILL_NS: u64 = 30 * SECOND_NS;

pub(super) const RULE: Rule = Rule {
    code: DEADLOCK,
    name: "deadlock",
    summary: "Goroutines wait for each other in a cycle, or every goroutine of the program waits for another one.",
    explanation: "\
Goroutines that take the same locks in different orders can end up waiting for each other. A mutex does not record \
who locked it, but a deferred Unlock shows on the stack of the goroutine that holds it. If the stacks show a cycle \
of goroutines, each of which holds the lock that the one before it waits for, and one has waited for 30 seconds, the \
verdict is `likely`; the evidence lists their ids as `ring`.

The Go runtime itself ends a program in which no goroutine can run, but not if something keeps a thread busy: cgo, a \
signal handler or the network poller. leaktrace reports a deadlock if main and every other goroutine of the program \
wait for channels, locks or wait groups, none waits for time or I/O, and none has run for 30 seconds: one `likely` \
verdict, for main. A program that listens for signals is not reported, because a signal may wake it.",
    evaluate,
};

fn evaluate(case: &Case<'_>) -> Judgement {
    if case.cohort.longest_still_ns >= STILL_NS
        && let Some(ring) = case.ring()
    {
        return in_a_ring(case, &ring);
    }
    if !case.cohort.standing.is_main || case.is_single() {
        return Judgement::Clean;
    }
    let can_go_on = |cohort: &Cohort| {
        !cohort.standing.wait.needs_goroutine() || cohort.longest_still_ns < STILL_NS || !cohort.is_still()
    };
    let cohorts = &case.watched.cohorts;
    if cohorts.len() < 2 || cohorts.iter().any(can_go_on) {
        return case.unless_watched_for(STILL_NS);
    }
    Judgement::suspect(
        Severity::Likely,
        case.evidence(),
        "every goroutine waits for another one, so none can continue",
        "find out who holds what the others wait for; take locks in the same order everywhere, and do not send or \
         receive while holding a lock",
    )
}

fn in_a_ring(case: &Case<'_>, ring: &[&Holder]) -> Judgement {
    let ids: Vec<u64> = ring.iter().map(|holder| holder.goid.0).collect();
    let named: Vec<String> = ring.iter().map(|holder| words::holder(holder)).collect();
    let cause = match &named[..] {
        [one] => format!("{one} has locked the lock and waits for it again"),
        several => format!("each holds the lock that another one waits for: {}", several.join(", ")),
    };
    let mut evidence = case.evidence();
    evidence.insert("ring".to_owned(), ids.into());
    let remedy =
        "take locks in the same order everywhere, and do not call functions that lock while holding a lock";
    Judgement::suspect(Severity::Likely, evidence, &cause, remedy)
}
