//! LT008: loops that sleep or tick, ever more of them.

use super::{Case, Judgement, Rule};
use crate::base::time::SECOND_NS;
use crate::judge::detect::observation::Wait;
use crate::schema::Severity;

/// How many must have come so that it is no start-up.
const MANY: u32 = 12;

/// Before, nothing can be said.
const LONG_NS: u64 = 40 * SECOND_NS;

pub(super) const RULE: Rule = Rule {
    code: "LT008",
    name: "piling-sleepers",
    summary: "More and more goroutines sleep or wait for a ticker, and none ends.",
    explanation: "\
A loop around `time.Sleep`, a ticker or a timer wakes again and again, so it looks alive. What gives it away is that \
more and more such goroutines exist and none of them ends. leaktrace counts those of one `go` statement that are \
older than five seconds, wherever they are at the moment. The verdict is `likely` if at least twelve came in two and a \
half minutes or more and almost none left, and `watch` if fewer came, or if nearly every one has a companion that is still \
alive (see LT001). Loops that exist from the start do not count.",
    evaluate,
};

fn evaluate(case: &Case<'_>) -> Judgement {
    // Others of the site may stand elsewhere at the moment, but most sleep.
    if case.wait() != Wait::Time || case.cohort.live * 2 < case.cohort.site_settled {
        return Judgement::Clean;
    }
    let trend = case.cohort.site_trend.as_ref().filter(|trend| trend.nobody_leaves() && trend.arrived >= 6);
    let Some(trend) = trend else { return case.unless_watched_for(LONG_NS) };
    let most = if trend.arrived >= MANY { Severity::Likely } else { Severity::Watch };
    // Who has run again and waits again does so in a loop; who waits for the first time may be about to end.
    let are_loops = case.cohort.old > 0 && !case.cohort.is_unused();
    let cause = if are_loops {
        "more and more of them wake and wait again in a loop, and next to none has ended"
    } else {
        "more and more of them wait for a time, and next to none has ended"
    };
    Judgement::suspect_unless(
        case.doubt(trend, most),
        most,
        case.evidence_of(trend),
        cause,
        "end each when its work is done: a loop selects on a Done channel or a context as well, and whoever started it closes or \
         cancels that on all paths; stopping a ticker does not end a loop over its channel",
    )
}
