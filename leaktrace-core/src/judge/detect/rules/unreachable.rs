//! LT005: nothing that can still run refers to what it waits for.

use super::{Case, Judgement, Rule};
use crate::judge::detect::observation::Wait;
use crate::judge::detect::watched::Cohort;
use crate::schema::Severity;

/// The code of the rule that needs to know what nothing refers to.
pub const UNREACHABLE: &str = "LT005";

pub(super) const RULE: Rule = Rule {
    code: UNREACHABLE,
    name: "unreachable",
    summary: "Nothing that can still run refers to the channel, lock or iterator that a goroutine waits for.",
    explanation: "\
To wake a goroutine, another one must be able to reach the channel or lock that it waits for, or the `next` or `stop` \
of an `iter.Pull` whose other side it is. leaktrace follows the \
pointers in the program's memory from everything that can still run, as the garbage collector does, and checks \
whether they lead there. A ticker or timer that has been stopped wakes nobody. The program runs meanwhile, so \
leaktrace may miss a pointer that is just being moved, and one pass proves nothing: the verdict takes four passes in a \
row over at least three seconds, in which the goroutine does not run, and is `likely`. If the process were stopped, one \
pass would be proof, and `certain`; leaktrace does not stop it.

Passes follow snapshots, and between two passes leaktrace waits forty times as long as one took, so that in the long \
run they cost at most 2.5% of a core. At least it waits one and a half seconds; after each pass that finds nothing that another \
one has to confirm twice as long, up to eight. Between the first four it waits only three times as long, so that a verdict on \
a large heap does not take minutes. leaktrace does not scan a heap with more than 2 GiB of memory that may hold \
pointers; the report says so. `completeness.heap` counts the passes.",
    evaluate,
};

fn evaluate(case: &Case<'_>) -> Judgement {
    let Cohort { unreachable, certain, live, .. } = *case.cohort;
    // What waits for nothing that could be referred to is left to the rule that knows when that is meant.
    let waits_for_none = matches!(case.wait(), Wait::NilChannel | Wait::NoCases);
    if unreachable == 0 || case.cohort.standing.is_main || waits_for_none {
        return Judgement::Clean;
    }
    let mut evidence = case.leak(5).map_or_else(|| case.evidence(), |trend| case.evidence_of(trend));
    evidence.insert("unreachable".to_owned(), unreachable.into());
    let who = if unreachable < live { format!("{unreachable} of them") } else { "they".to_owned() };
    let (typical, remedy) = case.usual_cause();
    Judgement::suspect(
        if certain > 0 { Severity::Certain } else { Severity::Likely },
        evidence,
        &format!(
            "{who} cannot be woken, because nothing that can still run refers to what they wait for; {typical}"
        ),
        remedy,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::detect::objects::Objects;
    use crate::judge::detect::observation;
    use crate::judge::detect::rules::Suspicion;
    use crate::judge::detect::signatures::Signatures;
    use crate::judge::detect::watched::Watched;

    fn judged(unreachable: u64, certain: u64) -> Option<Suspicion> {
        let cohort = Cohort { live: 5, unreachable, certain, ..Cohort::new(observation::made_up()) };
        let watched = Watched::default();
        evaluate(&Case { cohort: &cohort, watched: &watched, facts: None, signature: None }).suspicion()
    }

    #[test]
    fn only_what_was_seen_while_the_process_was_stopped_is_certain() {
        assert_eq!(judged(0, 0), None);
        assert_eq!(judged(5, 0).map(|suspicion| suspicion.severity), Some(Severity::Likely));
        assert_eq!(judged(5, 1).map(|suspicion| suspicion.severity), Some(Severity::Certain));
    }

    #[test]
    fn who_waits_for_nothing_is_left_to_never_wakes() {
        let judged = |wait| {
            let standing = observation::Standing { wait, ..observation::made_up() };
            let cohort = Cohort { live: 1, unreachable: 1, ..Cohort::new(standing) };
            let watched = Watched::default();
            evaluate(&Case { cohort: &cohort, watched: &watched, facts: None, signature: None })
        };
        assert_eq!([Wait::NilChannel, Wait::NoCases].map(judged), [Judgement::Clean, Judgement::Clean]);
    }

    #[test]
    fn a_known_library_is_told_of_in_its_own_words() {
        let signatures = Signatures::built_in();
        let signature = signatures.iter().find(|signature| signature.name == "lumberjack-logger-per-use");
        let cohort = Cohort { live: 5, unreachable: 5, ..Cohort::new(observation::made_up()) };
        let watched = Watched::default();
        let case = Case { cohort: &cohort, watched: &watched, facts: None, signature };
        let suspicion = evaluate(&case).suspicion().unwrap();
        assert!(
            suspicion.cause.contains("refers to what they wait for; lumberjack loggers"),
            "{}",
            suspicion.cause
        );
        assert!(suspicion.remedy.contains("call Rotate"), "{}", suspicion.remedy);
    }

    #[test]
    fn a_stopped_ticker_is_told_of() {
        let objects = Objects::of_timer(true);
        let cohort =
            Cohort { live: 1, unreachable: 1, certain: 1, objects, ..Cohort::new(observation::made_up()) };
        let watched = Watched::default();
        let case = Case { cohort: &cohort, watched: &watched, facts: None, signature: None };
        let suspicion = evaluate(&case).suspicion().unwrap();
        assert_eq!(suspicion.severity, Severity::Certain);
        assert!(
            suspicion.cause.contains("it was stopped, or has fired for the last time"),
            "{}",
            suspicion.cause
        );
    }

    #[test]
    fn it_says_how_many_of_them_it_is_about() {
        assert!(judged(2, 0).is_some_and(|suspicion| suspicion.cause.starts_with("2 of them cannot")));
        assert!(judged(5, 0).is_some_and(|suspicion| suspicion.cause.starts_with("they cannot")));
    }
}
