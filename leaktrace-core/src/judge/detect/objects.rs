//! What the goroutines of a cohort wait for: for one channel all of them, or for one each.

use super::observation::Object;

/// The channels or locks that the goroutines of a cohort wait for, as far as each waits for a single one.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// How many there are, as far as those who wait for them are looked at.
    pub distinct: u64,
    /// How many goroutines that wait for one are looked at.
    pub looked_at: u64,
    /// For how many goroutines of the cohort those stand.
    pub waiters: u64,
    /// How many goroutines of the cohort wait for the one that most wait for.
    pub most: u64,
    /// That one's address.
    pub address: u64,
    /// That one.
    pub top: Option<Object>,
    /// For how long nothing has happened on it, in nanoseconds.
    pub quiet_ns: u64,
}

impl Objects {
    /// Adds an object that `waiters` of the cohort wait for, for whom `looked_at` stand.
    pub fn add(&mut self, looked_at: u64, waiters: u64, address: u64, object: Option<Object>, quiet_ns: u64) {
        self.distinct += 1;
        self.looked_at += looked_at;
        self.waiters += waiters;
        if waiters > self.most {
            (self.most, self.address, self.top, self.quiet_ns) = (waiters, address, object, quiet_ns);
        }
    }

    /// The channel of a timer that one waits for, for tests.
    #[cfg(test)]
    pub(super) fn of_timer(stopped: bool) -> Self {
        let channel = crate::goroutines::model::Channel::of_timer(crate::base::num::Avma(0x1000), stopped);
        let mut objects = Self::default();
        objects.add(1, 1, channel.address.0, Some(Object::Channel(channel)), 0);
        objects
    }
}
