//! LT010: frames of a library that leaks when it is misused.

use super::{Case, Judgement, Rule};
use crate::base::time::SECOND_NS;
use crate::judge::detect::signatures::{Signature, When};
use crate::schema::Severity;

pub(super) const RULE: Rule = Rule {
    code: "LT010",
    name: "known-signature",
    summary: "The stack is one by which a library is known to leak when it is misused.",
    explanation: "\
A signature says which functions on the stack, which creator and which wait identify such a leak, what causes it and \
how to fix it: HTTP response bodies and database/sql rows that are not closed, contexts that are never cancelled, \
tickers, os/exec pipes, gRPC streams, and so on. `leaktrace explain LT010` ends with the list; `--signatures FILE` \
adds your own.

The frames of a library alone are no leak: every idle connection has them. Each signature says what else it takes: \
that the goroutines grow in number and none leaves, that one has not run for 30 seconds, or nothing more. It also \
says how sure the verdict is. Growth alone makes it `likely` only after two and a half minutes, and not if the goroutines \
live beside others that are still there (see LT001). If others still use what would have been left behind, as a reader \
does of a response body, there is no verdict. Nor is there one of idle HTTP connections as long as most of those that are a minute \
old have been used in the second half of their lives: a pool that grows with its load.",
    evaluate,
};

fn evaluate(case: &Case<'_>) -> Judgement {
    let Some(signature) = case.signature else { return Judgement::Clean };
    // The site may grow at another place, and others of it only pass through here.
    let of_site =
        case.cohort.site_trend.as_ref().filter(|_| case.cohort.settled * 2 >= case.cohort.site_settled);
    let growth = case.cohort.trend.as_ref().or(of_site);
    let growth = growth.filter(|trend| trend.nobody_leaves() && trend.arrived >= signature.least);
    let fits = match signature.when {
        When::Grows => growth.is_some(),
        When::Orphans => growth.is_some() && case.are_orphans(),
        When::Still => {
            case.cohort.longest_still_ns >= 30 * SECOND_NS && case.cohort.live >= signature.least.into()
        }
        When::Seen => case.cohort.live >= signature.least.into(),
    };
    if !fits || (signature.unused && !case.cohort.is_unused()) {
        return case.unless_watched_for(40 * SECOND_NS);
    }
    let mut evidence = growth.map_or_else(|| case.evidence(), |trend| case.evidence_of(trend));
    evidence.insert("signature".to_owned(), signature.name.clone().into());
    // Proof is what other rules give.
    let Signature { cause, remedy, .. } = signature;
    let most = signature.severity.max(Severity::Likely);
    // Those who were left by whoever used a connection are no demand, although its client is still there.
    let was_left = matches!(signature.when, When::Orphans) && !case.cohort.is_accompanied;
    let doubt = growth.filter(|_| matches!(signature.when, When::Grows | When::Orphans)).and_then(|trend| {
        let is_alone = signature.has_reader || was_left;
        if is_alone { Case::lone_doubt(trend, most) } else { case.doubt(trend, most) }
    });
    Judgement::suspect_unless(doubt, most, evidence, cause, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::detect::observation::{Standing, Wait, made_up};
    use crate::judge::detect::signatures::Signatures;
    use crate::judge::detect::watched::{Cohort, Watched};
    use crate::schema::Frame;

    fn cohort(function: &str, live: u64, settled: u64) -> Cohort {
        let frame = Frame { function: Some(function.to_owned()), file: None, line: None, pc: None };
        let standing = Standing { stack: vec![frame], wait: Wait::Select, ..made_up() };
        Cohort { live, settled, ..Cohort::new(standing) }
    }

    /// Whether so many sessions of yamux are used by those who accept streams, of whom so many stay where they are.
    fn used(sessions: u64, users: u64, settled: u64) -> bool {
        let signatures = Signatures::built_in();
        let sessions = cohort("github.com/hashicorp/yamux.(*Session).send", sessions, sessions);
        let users = cohort("github.com/hashicorp/yamux.(*Session).AcceptStream", users, settled);
        let watched = Watched { cohorts: vec![sessions.clone(), users], ..Watched::default() };
        let signature = signatures.find(&sessions.standing);
        assert!(signature.is_some());
        Case { cohort: &sessions, watched: &watched, facts: None, signature }.is_used()
    }

    #[test]
    fn users_that_stay_where_they_are_are_all_that_there_are() {
        assert!(used(200, 200, 195), "both ends of each session have one");
        assert!(!used(208, 104, 102), "one end of each session has none");
        assert!(used(208, 104, 60), "others may be busy elsewhere");
        assert!(!used(208, 90, 20) && !used(208, 0, 0));
    }
}
