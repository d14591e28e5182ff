//! LT007: goroutines pile up on one lock, or on groups that nobody finishes.

use super::evidence::LONGER_THAN_A_RAMP_NS;
use super::{Case, Judgement, Rule};
use crate::base::human;
use crate::base::time::SECOND_NS;
use crate::goroutines::model::LockKind;
use crate::judge::detect::observation::{Object, Wait};
use crate::judge::detect::watched::{Cohort, Holder};
use crate::judge::detect::words;
use crate::schema::Severity;

/// A mutex that is not unlocked for so long is never unlocked.
const HELD_NS: u64 = 30 * SECOND_NS;

/// The same where there is one snapshot only, by the runtime's own reckoning.
const HELD_IN_ONE_NS: u64 = 300 * SECOND_NS;

pub(super) const RULE: Rule = Rule {
    code: "LT007",
    name: "lock-pile-up",
    summary: "Goroutines pile up on a lock that is never unlocked, or on a WaitGroup or Cond that is never done.",
    explanation: "\
A Go mutex that has kept a goroutine waiting for a millisecond goes to the one that has waited longest. So if none of \
those that wait has got it for 30 seconds, the mutex has not been unlocked for 30 seconds. Then the verdict is `watch`, because \
some programs hold a lock during long work. If two or more wait for it, it is `likely` after two and a half minutes, or as \
soon as it is known that the holder itself waits for another goroutine. A queue that moves is none, however long each has to \
wait in it.

A mutex does not record who locked it, but a deferred Unlock shows on the stack of the goroutine that holds it. If \
there is one, the cause names that goroutine and what it waits for, and the evidence has it as `held_by`.

Waiting for a WaitGroup or a Cond is normal and may last. So it takes growth, in which no goroutine runs or leaves, \
over two and a half minutes, for a `likely` verdict. In a single snapshot it takes two goroutines, one of which has waited for a mutex for five \
minutes by the runtime's own clock.",
    evaluate,
};

fn evaluate(case: &Case<'_>) -> Judgement {
    match case.wait() {
        Wait::Lock(LockKind::Mutex | LockKind::RwMutexRead | LockKind::RwMutexWrite) => mutex(case),
        Wait::Lock(LockKind::WaitGroup | LockKind::Cond | LockKind::Semaphore) => grows(case),
        _ => Judgement::Clean,
    }
}

fn mutex(case: &Case<'_>) -> Judgement {
    let waiters = match case.cohort.objects.top {
        Some(Object::Lock { waiters, .. }) => u64::from(waiters),
        _ => case.cohort.live,
    };
    let held = if case.is_single() {
        case.cohort.waiting_ns.is_some_and(|waited| waited >= HELD_IN_ONE_NS)
    } else {
        case.cohort.longest_still_ns >= HELD_NS && is_passed_on_to_nobody(case)
    };
    if !held {
        return case.unless_watched_for(HELD_NS);
    }
    let mut evidence = case.evidence();
    evidence.insert("waiters".to_owned(), waiters.into());
    let holder = case.holder();
    if let Some(holder) = holder {
        evidence.insert("held_by".to_owned(), holder.goid.0.into());
    }
    let cause = holder.map_or_else(|| UNKNOWN_HOLDER.to_owned(), cause);
    Judgement::suspect_unless(
        long_work(case),
        if waiters >= 2 { Severity::Likely } else { Severity::Watch },
        evidence,
        &cause,
        "defer the unlock right after locking, and do not wait for other goroutines while holding a lock",
    )
}

/// Whether none of those that wait for the lock has got it for so long, by what is known of the lock, or else of the waiters. Each
/// may wait for long in a queue that moves.
const fn is_passed_on_to_nobody(case: &Case<'_>) -> bool {
    let Cohort { objects, departed, .. } = case.cohort;
    if objects.distinct == 0 { *departed == 0 } else { objects.quiet_ns >= HELD_NS }
}

/// Why the holder may still unlock it: it is not known to wait for somebody itself, and has not had it for long.
fn long_work(case: &Case<'_>) -> Option<String> {
    let Cohort { objects, longest_still_ns, .. } = case.cohort;
    let quiet_ns = if objects.distinct == 0 { *longest_still_ns } else { objects.quiet_ns };
    let is_long = case.is_single() || quiet_ns.min(*longest_still_ns) >= LONGER_THAN_A_RAMP_NS;
    let waits = case.holder().is_some_and(|holder| holder.standing.wait.needs_goroutine());
    let leak = human::duration(LONGER_THAN_A_RAMP_NS);
    (!is_long && !waits).then(|| format!("whoever holds it may be at long work; {leak} would be a leak"))
}

const UNKNOWN_HOLDER: &str = "nobody unlocks the lock: the holder returned or panicked without unlocking, waits for \
                              something itself, or tries to lock it twice";

fn cause(holder: &Holder) -> String {
    format!(
        "the lock is held and not unlocked: {} waits for {}",
        words::holder(holder),
        holder.standing.doing
    )
}

fn grows(case: &Case<'_>) -> Judgement {
    let Some(trend) = case.leak(8) else { return case.unless_watched_for(HELD_NS) };
    Judgement::suspect_unless(
        case.doubt(trend, Severity::Likely),
        Severity::Likely,
        case.evidence_of(trend),
        "what they wait for never happens: a Done, a Signal or a Release is missing, for example after a panic or an \
         early return",
        "defer Done or Release, and call Signal or Broadcast on all paths",
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::num::Goid;
    use crate::judge::detect::objects::Objects;
    use crate::judge::detect::observation::{self, Standing};
    use crate::judge::detect::watched::Watched;

    /// The verdict on ten that wait for a lock, the first for three minutes, which nobody has got for so many seconds, and
    /// whose holder, if it is known, waits so.
    fn severity(quiet: u64, holder: Option<Wait>) -> Option<Severity> {
        let wait = Wait::Lock(LockKind::Mutex);
        let lock = Object::Lock { kind: LockKind::Mutex, waiters: 10 };
        let mut objects = Objects::default();
        objects.add(10, 10, 0x1000, Some(lock), quiet * SECOND_NS);
        let cohort = Cohort {
            live: 10,
            longest_still_ns: 180 * SECOND_NS,
            objects,
            ..Cohort::new(Standing { wait, ..observation::made_up() })
        };
        let standing = |wait| Arc::new(Standing { wait, ..observation::made_up() });
        let holder = holder.map(|wait| Holder { goid: Goid(7), object: 0, standing: standing(wait) });
        let holders = holder.into_iter().map(|holder| (0x1000, holder)).collect();
        let watched_ns = 180 * SECOND_NS;
        let watched = Watched { observations: 9, watched_ns, holders, ..Watched::default() };
        let case = Case { cohort: &cohort, watched: &watched, facts: None, signature: None };
        evaluate(&case).suspicion().map(|suspicion| suspicion.severity)
    }

    #[test]
    fn a_queue_that_moves_is_no_pile_up() {
        assert_eq!([8, 29].map(|quiet| severity(quiet, None)), [None, None]);
    }

    #[test]
    fn whoever_holds_a_lock_may_be_at_long_work_for_a_while() {
        let (watch, likely) = (Some(Severity::Watch), Some(Severity::Likely));
        assert_eq!([30, 149, 150].map(|quiet| severity(quiet, None)), [watch, watch, likely]);
        assert_eq!([30, 149].map(|quiet| severity(quiet, Some(Wait::Io))), [watch, watch]);
        assert_eq!([29, 30].map(|quiet| severity(quiet, Some(Wait::Select))), [None, likely]);
    }
}
