//! Whose turn it is to be studied: suspects, those that have grown, and each in turn.

use std::collections::BTreeMap;
use std::time::Duration;

use thiserror::Error;

use crate::base::num::Ktime;
use crate::base::time::nanoseconds;
use crate::schema::ProcessId;

/// How many are studied at a time for each reason.
const MOST_SUSPECTS: usize = 2;
const MOST_IN_TURN: usize = 1;
const MOST_GROWN: usize = 2;
const MOST_ASKED: usize = 2;

/// How long whoever is suspected is studied at most: growth is `likely` after two and a half minutes where other evidence
/// is missing, and of slow leaks many have to come.
const OF_SUSPECT: Duration = Duration::from_mins(10);

/// How long in turn: what nothing can wake takes some 20 seconds to find, also on a busy machine; and how long where there
/// are more goroutines than before: those of one channel may be a pool for five minutes.
const IN_TURN: Duration = Duration::from_secs(45);
const OF_GROWN: Duration = Duration::from_mins(6);

/// How long at most because somebody asks for it.
const ASKED: Duration = Duration::from_hours(1);

/// By how many goroutines a process has grown at least, and how many standard deviations of a pool of its size that is.
const LEAST_RISE: u64 = 10;
const DEVIATIONS: u64 = 3;

/// After this time whoever is suspected of the same is studied again.
const AGAIN: Duration = Duration::from_hours(1);

/// Larger processes are not studied: that would take more memory than a node can spare.
const MOST_GOROUTINES: u64 = 65_000;

/// Which share of what the agent may use studies in turn may take.
const SHARE: f64 = 0.3;

/// What each study is taken to have used at least: one that fails at once has cost something as well.
const LEAST_USED: Duration = Duration::from_millis(20);

/// Why a process is studied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A `go` statement of it looks as if it leaked.
    Suspected,
    /// It is its turn.
    InTurn,
    /// It comes before others because it has more goroutines than when it was studied last, or came to be known.
    Grown,
    /// Somebody asks for it.
    Asked,
}

/// Why a process is not studied because somebody asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotNow {
    /// It is studied because somebody has asked before.
    #[error("it is studied already because somebody has asked for that")]
    UnderWay,
    /// So many others are.
    #[error("{MOST_ASKED} processes are studied already because somebody has asked for that")]
    NoRoom,
    /// It is too large.
    #[error("{0} goroutines exceed the limit of {MOST_GOROUTINES} for a study: use leaktrace --pid")]
    TooLarge(u64),
}

impl Why {
    /// How long a study for this reason lasts at most.
    pub const fn lasts(self) -> Duration {
        match self {
            Self::Suspected => OF_SUSPECT,
            Self::InTurn => IN_TURN,
            Self::Grown => OF_GROWN,
            Self::Asked => ASKED,
        }
    }
}

/// Whoever may be studied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which process.
    pub id: ProcessId,
    /// Whether a `go` statement of it is suspected.
    pub is_suspect: bool,
    /// How many goroutines it has.
    pub goroutines: u64,
    /// How many it had when it came to be known.
    pub at_first: u64,
}

/// How a process was studied last.
#[derive(Clone, Copy, Debug)]
struct Last {
    at: Ktime,
    why: Why,
    goroutines: u64,
}

/// Whose turn it is.
#[derive(Clone, Debug)]
pub struct Turns {
    /// Cores that studies in turn may use on average.
    cores: f64,
    under_way: BTreeMap<ProcessId, Why>,
    studied: BTreeMap<ProcessId, Last>,
    /// Whether one that has grown comes before one whose turn it is: every other time, so that these get theirs.
    grown_come_first: bool,
    /// When the next one in turn may begin.
    due: Ktime,
}

impl Turns {
    /// For an agent that may use so many `cores`.
    pub fn new(cores: f64, now: Ktime) -> Self {
        let (under_way, studied) = (BTreeMap::new(), BTreeMap::new());
        Self { cores: cores * SHARE, under_way, studied, grown_come_first: true, due: now }
    }

    /// The agent may use so many cores from now on.
    pub const fn set_cores(&mut self, cores: f64) {
        self.cores = cores * SHARE;
    }

    /// Who is next, and why.
    pub fn next(&self, candidates: &[Candidate], now: Ktime) -> Option<(Candidate, Why)> {
        let is_free =
            |one: &Candidate| one.goroutines <= MOST_GOROUTINES && !self.under_way.contains_key(&one.id);
        let free = || candidates.iter().copied().filter(is_free);
        let last = |one: &Candidate| (self.studied.get(&one.id).map(|last| last.at), one.id);
        let suspect =
            || free().filter(|one| one.is_suspect && self.may_be_suspected(one.id, now)).min_by_key(last);
        if let Some(suspect) = self.has_room(Why::Suspected, MOST_SUSPECTS).then(suspect).flatten() {
            return Some((suspect, Why::Suspected));
        }
        if now < self.due {
            return None;
        }
        let grown = || free().filter(|one| self.has_grown(one)).min_by_key(last).map(|one| (one, Why::Grown));
        let in_turn = || free().min_by_key(last).map(|one| (one, Why::InTurn));
        let grown = || self.has_room(Why::Grown, MOST_GROWN).then(grown).flatten();
        let in_turn = || self.has_room(Why::InTurn, MOST_IN_TURN).then(in_turn).flatten();
        if self.grown_come_first { grown().or_else(in_turn) } else { in_turn().or_else(grown) }
    }

    /// Whether this one may be studied because somebody asks for it, be there a study of it for another reason or not.
    pub fn admit(&self, one: &Candidate) -> Result<(), NotNow> {
        if self.under_way(one.id) == Some(Why::Asked) {
            return Err(NotNow::UnderWay);
        }
        if one.goroutines > MOST_GOROUTINES {
            return Err(NotNow::TooLarge(one.goroutines));
        }
        if self.has_room(Why::Asked, MOST_ASKED) { Ok(()) } else { Err(NotNow::NoRoom) }
    }

    /// Whether there are fewer studies for this reason than there may be.
    fn has_room(&self, why: Why, most: usize) -> bool {
        self.under_way.values().filter(|one| **one == why).count() < most
    }

    /// Whether it was not studied because of a suspicion just now.
    fn may_be_suspected(&self, id: ProcessId, now: Ktime) -> bool {
        match self.studied.get(&id) {
            Some(Last { at, why: Why::Suspected, .. }) => at.plus(nanoseconds(AGAIN)) <= now,
            Some(_) | None => true,
        }
    }

    /// Whether it has more goroutines than when it was studied last, by more than a pool of that size varies.
    fn has_grown(&self, one: &Candidate) -> bool {
        let before = self.studied.get(&one.id).map_or(one.at_first, |last| last.goroutines);
        let rise = one.goroutines.saturating_sub(before);
        rise >= LEAST_RISE && rise.saturating_mul(rise) > DEVIATIONS.pow(2).saturating_mul(one.goroutines)
    }

    /// A study of it has begun. One that takes the place of a suspect's leaves the suspicion to be looked into later.
    pub fn began(&mut self, one: &Candidate, why: Why, now: Ktime) {
        let before = self.under_way.insert(one.id, why);
        if why == Why::Asked {
            if before == Some(Why::Suspected) {
                self.studied.remove(&one.id);
            }
            return;
        }
        self.studied.insert(one.id, Last { at: now, why, goroutines: one.goroutines });
        self.grown_come_first ^= why != Why::Suspected;
    }

    /// The study of it has ended after it has `used` that much.
    pub fn ended(&mut self, id: ProcessId, used: Duration, now: Ktime) {
        // What somebody asks for is not taken from what the agent does by itself.
        if matches!(self.under_way.remove(&id), None | Some(Why::Asked)) {
            return;
        }
        let pause = used.max(LEAST_USED).as_secs_f64() / self.cores.max(f64::MIN_POSITIVE);
        let pause = Duration::try_from_secs_f64(pause).unwrap_or(Duration::MAX);
        self.due = self.due.max(now).plus(nanoseconds(pause));
    }

    /// The study of it does not end; it is not waited for any more.
    pub fn given_up(&mut self, id: ProcessId) {
        self.under_way.remove(&id);
    }

    /// Why it is being studied, if it is.
    pub fn under_way(&self, id: ProcessId) -> Option<Why> {
        self.under_way.get(&id).copied()
    }

    /// The process has gone.
    pub fn forget(&mut self, id: ProcessId) {
        self.studied.remove(&id);
    }
}

#[cfg(test)]
mod tests;
