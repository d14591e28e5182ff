//! Which waits end only when somebody uses an object in memory.

use crate::go::names::WaitReasons;

/// For what kind of object a goroutine waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitKind {
    /// For none: a nil channel, or a select without cases.
    Nothing,
    /// Channels.
    Channel,
    /// A mutex, a wait group, or another word in memory.
    Semaphore,
    /// A condition variable.
    Cond,
    /// The other side of a coroutine.
    Coroutine,
}

/// The names of these reasons, in Go 1.19 to 1.27. Inside a bubble of `testing/synctest` they have other names, and
/// whoever waits there is waited for by the bubble.
const NAMES: [(&str, WaitKind); 13] = [
    ("chan receive (nil chan)", WaitKind::Nothing),
    ("chan send (nil chan)", WaitKind::Nothing),
    ("select (no cases)", WaitKind::Nothing),
    ("chan receive", WaitKind::Channel),
    ("chan send", WaitKind::Channel),
    ("select", WaitKind::Channel),
    ("sync.Mutex.Lock", WaitKind::Semaphore),
    ("sync.RWMutex.RLock", WaitKind::Semaphore),
    ("sync.RWMutex.Lock", WaitKind::Semaphore),
    ("sync.WaitGroup.Wait", WaitKind::Semaphore),
    ("semacquire", WaitKind::Semaphore),
    ("sync.Cond.Wait", WaitKind::Cond),
    ("coroutine", WaitKind::Coroutine),
];

/// The kinds by the target's own numbers.
#[derive(Clone, Debug)]
pub(super) struct Kinds(Vec<Option<WaitKind>>);

impl Kinds {
    pub(super) fn of(reasons: &WaitReasons) -> Self {
        let kind = |name: &str| NAMES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
        Self(reasons.iter().map(kind).collect())
    }

    /// The kind of a reason, `None` for waits that end by themselves or from outside.
    pub(super) fn get(&self, reason: u8) -> Option<WaitKind> {
        self.0.get(usize::from(reason)).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_count_by_their_names() {
        let kinds = Kinds::of(&WaitReasons::new(["", "IO wait", "select", "chan send (durable)"]));
        assert_eq!(
            [0, 1, 2, 3, 4].map(|reason| kinds.get(reason)),
            [None, None, Some(WaitKind::Channel), None, None]
        );
    }
}
