//! LT007: goroutines pile up on one lock, or on groups that nobody finishes.

use super::{Case, Judgement, Rule};
use crate::goroutines::model::LockKind;
use crate::judge::detect::observation::{Object, Wait};
use crate::judge::detect::watched::Holder;
use crate::judge::detect::words;
use crate::schema::Severity;

const SECOND: u64 = 1_000_000_000;

/// A mutex that is not unlocked for so long is never unlocked.
const HELD: u64 = 30 * SECOND;

/// The same where there is one snapshot only, by the runtime's own reckoning.
const HELD_IN_ONE: u64 = 300 * SECOND;

pub(super) const RULE: Rule = Rule {
    code: "LT007",
    name: "lock-pile-up",
    summary: "Goroutines pile up on a lock that nobody unlocks, or on WaitGroups or Conds that nobody finishes.",
    explanation: "\
A Go mutex that has kept somebody waiting for a millisecond is handed to the one that has waited longest. So if that \
goroutine is still there after 30 seconds, the mutex has not been unlocked for 30 seconds. `likely` if two or more \
wait for it then; `watch` for a single one, because some programs hold a lock while they do something long.

A mutex does not know who has locked it, but a deferred Unlock waits on its owner's stack. Where one does, the cause says \
which goroutine it is and what it waits for, and the evidence has it as `held_by`.

Waiting for a WaitGroup or a Cond is what those are for, and may last. It takes growth, with each goroutine still and \
none leaving: `likely`. In a single snapshot it takes two goroutines, of which one has waited for a mutex for five \
minutes by the runtime's own reckoning.",
    judge,
};

fn judge(case: &Case<'_>) -> Judgement {
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
        case.cohort.waiting_ns.is_some_and(|waited| waited >= HELD_IN_ONE)
    } else {
        case.cohort.longest_still_ns >= HELD
    };
    if !held {
        return case.unless_watched_for(HELD);
    }
    let mut evidence = case.evidence();
    evidence.insert("waiters".to_owned(), waiters.into());
    let holder = case.holder();
    if let Some(holder) = holder {
        evidence.insert("held_by".to_owned(), holder.goid.0.into());
    }
    let cause = holder.map_or_else(|| UNKNOWN_HOLDER.to_owned(), cause);
    Judgement::suspect(
        if waiters >= 2 { Severity::Likely } else { Severity::Watch },
        evidence,
        &cause,
        "unlock with defer right after locking, and do not wait for others while holding a lock",
    )
}

const UNKNOWN_HOLDER: &str = "nobody unlocks the lock: whoever held it returned or panicked without, waits for something \
                              itself, or wants to lock it twice";

fn cause(holder: &Holder) -> String {
    format!(
        "the lock is held and not unlocked: {} waits for {}",
        words::holder(holder),
        holder.standing.doing
    )
}

fn grows(case: &Case<'_>) -> Judgement {
    let Some(trend) = case.leak(8) else { return case.unless_watched_for(HELD) };
    Judgement::suspect(
        Severity::Likely,
        case.evidence_of(trend),
        "nobody finishes what they wait for: a Done, a Signal or a Release is missing, for example after a panic or \
         an early return",
        "call Done or Release with defer, and Signal or Broadcast on every way out",
    )
}
