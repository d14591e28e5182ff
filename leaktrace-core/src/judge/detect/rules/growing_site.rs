//! LT001: ever more goroutines of one `go` statement.

use super::evidence::{LONGER_THAN_A_POOL_NS, MORE_THAN_A_POOL};
use super::{Case, Judgement, Rule};
use crate::base::time::{MINUTE_NS, SECOND_NS};
use crate::judge::detect::history::Trend;
use crate::judge::detect::observation::Wait;
use crate::schema::Severity;

/// How many must have come so that it is no coincidence.
const LEAST: u32 = 8;

/// Who gets something to do now and then, or waits for the outside world, may still end: it takes growth over this long.
const LONG_NS: u64 = 10 * MINUTE_NS;
const LONG_FOR_IO_NS: u64 = 30 * MINUTE_NS;

pub(super) const RULE: Rule = Rule {
    code: "LT001",
    name: "growing-site",
    summary: "One `go` statement keeps starting more goroutines than end.",
    explanation: "\
leaktrace counts the goroutines of each `go` statement that are older than five seconds, at every observation. It \
cuts the time watched into eight windows, and the medians of these windows must rise (Mann-Kendall: a sum of signs \
of 22 or more out of 28), over the whole time or over its last half, quarter and so on, but over at least 32 \
seconds. A burst is a rise within one window; a pool that has reached its size no longer rises in the last windows; \
a daily wave stays below an earlier peak, and its goroutines end. None of these is reported.

Goroutines that were there before and only moved to a place are no growth of it, nor are those that were all started at \
about the same time.

The verdict is `likely` if that has gone on for two and a half minutes, which is longer than services start up, almost \
none of the goroutines that had settled has left (one for every fifty that came), at least eight came, and they wait for \
another goroutine and nothing has woken them in the second half of their time there. Who gets something to do now and then may \
be needed: then it takes ten minutes and twenty goroutines. It is `watch` as long as nearly every one has a companion of its own that is still \
alive: the goroutine that started it, or one that waits for the network and has the same parent. Where one loop starts several \
goroutines for each connection, it is one that came at the same time and serves an open connection of a client. Requests that share a \
connection (HTTP/2, gRPC) have it in whoever reads from that connection; before Go 1.21, which does not say who started whom, \
in any that is read from. Such a population follows its clients. It has no companions if the contexts of half of them (of \
the 128 oldest at that place, if there are more) have been cancelled. If they all wait for the same channel or lock, they \
may be a pool that is still filling up: then it takes 20 of them, or five minutes. If they wait for \
I/O, it takes half an hour and thirty; those that wait for time are judged by LT008. Anything less is `watch`.

Of connections, the kernel says who opened them and when a byte went over them last (sock_diag). Those of clients that are \
connected are demand, however long they come: if half of the goroutines have one, it is `watch`. The half an hour is not needed if one end of most is closed, or if the program opened them itself, \
those who did have gone, and most have been idle for a minute while it opens more.

The report says how fast the count grows, when it will reach 10,000, and how much memory the stacks take per day.",
    evaluate,
};

fn evaluate(case: &Case<'_>) -> Judgement {
    let cohort = case.cohort;
    let growth = cohort.trend.as_ref().or(cohort.site_trend.as_ref());
    let Some(trend) = growth.filter(|_| cohort.settled * 2 >= cohort.site_settled) else {
        return case.unless_watched_for(40 * SECOND_NS);
    };
    let most = if is_likely(case, trend) {
        Severity::Likely
    } else if u64::from(trend.departed) * 5 <= u64::from(trend.arrived) {
        Severity::Watch
    } else {
        return Judgement::Clean;
    };
    let (cause, remedy) = case.probable_cause();
    Judgement::suspect_unless(case.doubt(trend, most), most, case.evidence_of(trend), &cause, remedy)
}

fn is_likely(case: &Case<'_>, trend: &Trend) -> bool {
    if !trend.nobody_leaves() || trend.arrived < LEAST {
        return false;
    }
    let over = trend.grown_ns;
    match case.wait() {
        Wait::Io => case.are_given_up() || (over >= LONG_FOR_IO_NS && trend.arrived >= 30),
        wait if wait.needs_goroutine() && case.cohort.is_still() => {
            !case.cohort.one_object() || trend.arrived >= MORE_THAN_A_POOL || over >= LONGER_THAN_A_POOL_NS
        }
        // LT008 judges those.
        Wait::Time => false,
        _ => over >= LONG_NS && trend.arrived >= 20,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::detect::objects::Objects;
    use crate::judge::detect::observation;
    use crate::judge::detect::watched::{Cohort, Watched};

    #[test]
    fn a_cause_is_a_guess_unless_a_timer_is_known_to_be_stopped() {
        let cause = |stopped| {
            let (trend, objects) = (Some(Trend::made_up()), Objects::of_timer(stopped));
            let cohort = Cohort { trend, objects, ..Cohort::new(observation::made_up()) };
            let watched = Watched::default();
            let case = Case { cohort: &cohort, watched: &watched, facts: None, signature: None };
            evaluate(&case).suspicion().unwrap().cause
        };
        assert!(cause(true).starts_with("no timer is going to send"), "{}", cause(true));
        assert!(cause(false).starts_with("probably nobody sends"), "{}", cause(false));
    }
}
