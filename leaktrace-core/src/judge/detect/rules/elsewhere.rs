//! LT020 to LT022: what only commands find that know more than a cohort. They are here so that users can name them.

use super::{Case, Judgement, Rule};

/// What [`crate::judge::left`] says.
pub(crate) const LEFT_AT_EXIT: Rule = Rule {
    code: "LT020",
    name: "left-at-exit",
    summary: "Goroutines were left when the program ended.",
    explanation: "\
Only with `leaktrace run`. A goroutine that a test created and that still waits at the end, after its test has \
returned, is a `likely` leak: this is what goleak finds. One that sleeps, runs or is in a system call may be about \
to end, and one that no test created may be there by design: those are `watch`. Goroutines that wait for nothing and \
are younger than a second may have had no time to end: a notice counts them, and no more is said. Left out are those \
of the runtime, of package testing and of os/signal. leaktrace knows the test from the stack that created the goroutine, or from its parent; \
the evidence counts the goroutines of each test.",
    evaluate: clean,
};

/// What [`crate::judge::thresholds`] says of numbers.
pub(crate) const OVER_MAX: Rule = Rule {
    code: "LT021",
    name: "over-max",
    summary: "There were more goroutines than `leaktrace check --max` allows.",
    explanation: "\
Only with `leaktrace check`. This says nothing about leaks: in one of the observations there were more goroutines \
than the limit allows. A check always fails on it.",
    evaluate: clean,
};

/// What [`crate::judge::thresholds`] says of growth.
pub(crate) const OVER_GROWTH: Rule = Rule {
    code: "LT022",
    name: "over-growth",
    summary: "The count of goroutines grew by more than `leaktrace check --max-growth` allows.",
    explanation: "\
Only with `leaktrace check`. Like an alert on delta(go_goroutines[5m]) > 200: in one of the observations, the count \
was above that of the given time before, or of the first observation if that is later, by more than the limit. A \
check always fails on it.",
    evaluate: clean,
};

fn clean(_: &Case<'_>) -> Judgement {
    Judgement::Clean
}
