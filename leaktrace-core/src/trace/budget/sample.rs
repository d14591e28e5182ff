//! What is counted from one decision to the next.

use leaktrace_common::event::Kind;

/// What was counted since the sample before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Sample {
    /// How long that is, in nanoseconds.
    pub elapsed: u64,
    /// For how many of them there were probes.
    pub traced: u64,
    /// Hits of each kind, in the order of [`Kind::ALL`].
    pub hits: [u64; Kind::ALL.len()],
    /// Creator stacks that were taken.
    pub stacks: u64,
    /// Nanoseconds of processor time that the target used, the probes' share among them.
    pub busy: u64,
    /// Records that were handled, of hits that may be older.
    pub records: u64,
    /// Nanoseconds of processor time that this took us.
    pub handling: u64,
    /// And for all else: to look at it, to keep its probes, and to be there at all.
    pub own: u64,
}

impl Sample {
    /// This one and the one after it.
    pub(super) fn and(&self, next: &Self) -> Self {
        let mut hits = self.hits;
        for (total, more) in hits.iter_mut().zip(next.hits) {
            *total += more;
        }
        Self {
            elapsed: self.elapsed + next.elapsed,
            traced: self.traced + next.traced,
            hits,
            stacks: self.stacks + next.stacks,
            busy: self.busy + next.busy,
            records: self.records + next.records,
            handling: self.handling + next.handling,
            own: self.own + next.own,
        }
    }
}
