//! What rules judge: every cohort as it is now and as it has become.

use super::history::Trend;
use super::observation::{Object, SiteKey, Standing};
use crate::num::{Goid, Ktime};

/// All cohorts of a process at the time of the last observation.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// When that was.
    pub at: Ktime,
    /// For how long the process has been observed, in nanoseconds; 0 if only once.
    pub watched_ns: u64,
    /// How often.
    pub observations: u64,
    /// Its goroutines.
    pub cohorts: Vec<Cohort>,
}

/// The goroutines of one `go` statement that stand at one place.
#[derive(Clone, Debug)]
pub struct Cohort {
    /// What they have in common.
    pub standing: Standing,
    /// Their `go` statement.
    pub site: SiteKey,
    /// How many they are.
    pub live: u64,
    /// Those that have stood here for five seconds at least.
    pub settled: u64,
    /// Those that have not run for five seconds at least.
    pub still: u64,
    /// For how long the one that has been still for the longest time was seen to be.
    pub longest_still_ns: u64,
    /// How long the longest has waited, as the runtime reckons it.
    pub waiting_ns: Option<u64>,
    /// How many have settled here since the first observation.
    pub arrived: u64,
    /// How many that had settled went.
    pub departed: u64,
    /// The growth of those that are settled here, if they grow.
    pub trend: Option<Trend>,
    /// The growth of all that the `go` statement started and that are older than five seconds, if they grow.
    pub site_trend: Option<Trend>,
    /// How many of the `go` statement are older than five seconds, wherever they stand.
    pub site_settled: u64,
    /// The channels or locks that they wait for.
    pub objects: Objects,
    /// How many of their parents are known.
    pub parents_known: u64,
    /// How many of those are gone.
    pub parents_gone: u64,
    /// Their stacks, in bytes.
    pub stack_bytes: u64,
    /// How many the runtime itself has found to be leaked.
    pub leaked: u64,
    /// How many nothing that can still run could wake, as several passes through the heap found in a row.
    pub unreachable: u64,
    /// How many of those were found so while the process was stopped.
    pub certain: u64,
    /// How many are locked to their thread.
    pub locked: u64,
    /// Some of them, the oldest first.
    pub goids: Vec<Goid>,
}

/// The channels or locks that the goroutines of a cohort wait for, as far as each waits for a single one.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// How many there are.
    pub distinct: u64,
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
    /// Adds an object that `waiters` of the cohort wait for.
    pub fn add(&mut self, waiters: u64, address: u64, object: Option<Object>, quiet_ns: u64) {
        self.distinct += 1;
        if waiters > self.most {
            (self.most, self.address, self.top, self.quiet_ns) = (waiters, address, object, quiet_ns);
        }
    }
}

impl Cohort {
    /// An empty one.
    pub fn new(standing: Standing) -> Self {
        Self {
            site: standing.site_key(),
            standing,
            live: 0,
            settled: 0,
            still: 0,
            longest_still_ns: 0,
            waiting_ns: None,
            arrived: 0,
            departed: 0,
            trend: None,
            site_trend: None,
            site_settled: 0,
            objects: Objects::default(),
            parents_known: 0,
            parents_gone: 0,
            stack_bytes: 0,
            leaked: 0,
            unreachable: 0,
            certain: 0,
            locked: 0,
            goids: Vec::new(),
        }
    }

    /// Whether it is worth finding out what still refers to what they wait for: one has been still for some seconds, and
    /// only another goroutine could wake it.
    pub const fn may_be_stuck(&self) -> bool {
        self.still > 0 && self.standing.wait.needs_goroutine() && !self.standing.is_main
    }

    /// Whether next to all that are settled have not run since.
    pub const fn is_still(&self) -> bool {
        self.settled > 0 && self.still * 20 >= self.settled * 19
    }

    /// Whether the goroutines of this place grow in number, keep still, and do not leave.
    pub fn leaks(&self) -> Option<&Trend> {
        self.trend.as_ref().filter(|trend| trend.nobody_leaves() && self.is_still())
    }

    /// Whether each waits for a channel or lock of its own.
    pub const fn own_objects(&self) -> bool {
        self.objects.distinct > 0 && self.objects.distinct * 10 >= self.live * 9
    }

    /// Whether next to all wait for the same channel or lock.
    pub const fn one_object(&self) -> bool {
        self.objects.most > 1 && self.objects.most * 10 >= self.live * 9
    }
}
