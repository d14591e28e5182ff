//! When to look at the memory, and what comes of a look.

use std::time::Duration;

use super::{Look, NEVER, after};
use crate::base::num::Ktime;

/// How long after a look the next one follows where no report asks for it, so that what was lost is repaired and
/// rules see how things change, unless they cost too much.
pub(super) const OBSERVE: Duration = Duration::from_secs(2);

/// Looks that may fail one after the other before we give up.
const MOST_FAILURES: u32 = 5;

/// Looks, one at a time.
#[derive(Debug)]
pub(super) struct Looks {
    state: State,
    /// Whether one is wanted, and whether somebody waits for it.
    wanted: Option<Urgency>,
    /// When the next one is, unless somebody wants it earlier.
    due: Ktime,
    /// Whether somebody waits for the one under way by now, and whether that is news.
    urgency: Urgency,
    is_hurried: bool,
    /// Whether the one that was begun last ends the series.
    last: bool,
    took: Duration,
    /// When the next one was last scheduled, and whether it was put off.
    scheduled: Ktime,
    put_off: bool,
    longest_gap: Duration,
    taken: u64,
    failures: u32,
}

#[derive(Debug)]
enum State {
    Idle,
    Running,
    /// Until all records are handed over that it may show the effect of.
    Landing(Box<Look>),
}

/// Whether somebody waits for a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    Routine,
    Awaited,
}

impl Looks {
    pub(super) const fn new() -> Self {
        Self {
            state: State::Idle,
            wanted: None,
            due: NEVER,
            urgency: Urgency::Routine,
            is_hurried: false,
            last: false,
            took: Duration::ZERO,
            scheduled: Ktime(0),
            put_off: false,
            longest_gap: Duration::ZERO,
            taken: 0,
            failures: 0,
        }
    }

    /// Wants one; if one is under way, that.
    pub(super) fn request(&mut self, urgency: Urgency) {
        if matches!(self.state, State::Idle) {
            self.wanted = self.wanted.max(Some(urgency));
        } else if urgency > self.urgency {
            (self.urgency, self.is_hurried) = (urgency, true);
        }
    }

    /// Whether somebody waits since just now for the one under way.
    pub(super) const fn take_hurry(&mut self) -> bool {
        let is_hurried = self.is_hurried && self.is_running();
        self.is_hurried = false;
        is_hurried
    }

    /// Begins the one that is wanted or due, if none is under way.
    pub(super) fn begin(&mut self, now: Ktime, last: bool) -> Option<Urgency> {
        if !matches!(self.state, State::Idle) {
            return None;
        }
        let routine = (self.due <= now).then_some(Urgency::Routine);
        let urgency = self.wanted.take().or(routine)?;
        (self.state, self.due, self.last) = (State::Running, NEVER, last);
        (self.urgency, self.is_hurried) = (urgency, false);
        Some(urgency)
    }

    /// When the next one is due.
    pub(super) const fn due(&self) -> Ktime {
        if self.is_under_way() { NEVER } else { self.due }
    }

    /// Whether one has been begun and not been taken in yet.
    pub(super) const fn is_under_way(&self) -> bool {
        !matches!(self.state, State::Idle)
    }

    /// Whether one is being taken, of which nothing is known yet.
    pub(super) const fn is_running(&self) -> bool {
        matches!(self.state, State::Running)
    }

    /// The one under way has come back. Nobody waits for one that was given up.
    pub(super) fn came(&mut self, look: Box<Look>) -> bool {
        let is_awaited = self.is_running();
        if is_awaited {
            self.state = State::Landing(look);
        }
        is_awaited
    }

    /// The look that can be taken in, now that all records until `newest` have been handed over, or all there are; and
    /// whether it is the last one.
    pub(super) fn land(&mut self, newest: Ktime, more: bool) -> Option<(Box<Look>, bool)> {
        let State::Landing(look) = &self.state else { return None };
        if more && newest <= look.snapshot.finished {
            return None;
        }
        let State::Landing(look) = std::mem::replace(&mut self.state, State::Idle) else { return None };
        (self.took, self.failures) = (look.took, 0);
        self.taken += 1;
        Some((look, self.last))
    }

    /// The one under way has failed; whether that is the end. It is if nothing was ever seen, unless it is because the
    /// process has `gone`, which others tell.
    pub(super) fn failed(&mut self, gone: bool) -> bool {
        self.state = State::Idle;
        self.failures += 1;
        (self.taken == 0 && !gone) || self.failures >= MOST_FAILURES
    }

    /// Nobody waits for the one under way any more.
    pub(super) fn give_up(&mut self) {
        (self.state, self.wanted, self.due) = (State::Idle, None, NEVER);
    }

    /// How long the last one took.
    pub(super) const fn took(&self) -> Duration {
        self.took
    }

    /// The longest time between two looks of which the second was put off.
    pub(super) const fn longest_gap(&self) -> Duration {
        self.longest_gap
    }

    /// How many have been taken in.
    pub(super) const fn taken(&self) -> u64 {
        self.taken
    }

    /// The next one is not before that `pause` is over.
    pub(super) fn schedule(&mut self, now: Ktime, pause: Duration) {
        if self.put_off {
            self.longest_gap = self.longest_gap.max(Duration::from_nanos(now.since(self.scheduled)));
        }
        (self.scheduled, self.put_off) = (now, pause > OBSERVE);
        self.due = after(now, OBSERVE.max(pause));
    }
}
