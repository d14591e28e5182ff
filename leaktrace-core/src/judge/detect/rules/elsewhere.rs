//! LT020 to LT022: what only commands find that know more than a cohort. They are here so that users can name them.

use super::{Case, Judgement, Rule};

/// What [`crate::judge::left`] says.
pub(crate) const LEFT_AT_EXIT: Rule = Rule {
    code: "LT020",
    name: "left-at-exit",
    summary: "The goroutines were left when the program ended.",
    explanation: "\
`leaktrace run` only. A goroutine that a test created and that still waits at the end, its test having returned, is a \
`likely` leak: that is what goleak finds. One that sleeps, runs or is in a system call may be ending, and what no test created \
may be there by design: that is `watch`. Those that wait for nothing and are younger than a second may only have had no \
time to end, and are left out, as are those of the runtime, of package testing and of os/signal. Which test it was is \
told by the stack that created the goroutine, or by its parent; the evidence counts them.",
    judge: clean,
};

/// What [`crate::judge::thresholds`] says of numbers.
pub(crate) const OVER_MAX: Rule = Rule {
    code: "LT021",
    name: "over-max",
    summary: "There were more goroutines than `leaktrace check --max` allows.",
    explanation: "\
`leaktrace check` only. It says nothing about leaks: at one of the looks there were more goroutines than the user \
allows. A check always fails on it.",
    judge: clean,
};

/// What [`crate::judge::thresholds`] says of growth.
pub(crate) const OVER_GROWTH: Rule = Rule {
    code: "LT022",
    name: "over-growth",
    summary: "There were more goroutines than `leaktrace check --max-growth` allows to be added in a time.",
    explanation: "\
`leaktrace check` only. As an alert on delta(go_goroutines[5m]) > 200 would: at one of the looks there were so many \
more than the given time before, or than at the first look if that is later. A check always fails on it.",
    judge: clean,
};

fn clean(_: &Case<'_>) -> Judgement {
    Judgement::Clean
}
