//! How long the probes of a target may stay, again and again: when the governor is asked, and what it has decided.

use super::{NEVER, Reading};
use crate::base::num::Ktime;
use crate::trace::budget::{self, Costs, Decision, Governor};

/// The leases of one target. Whoever holds its probes asks here, also while nobody can ask the target itself.
#[derive(Debug)]
pub struct Leases {
    governor: Governor,
    /// What was counted when the governor was last asked.
    counted: Reading,
    due: Ktime,
}

/// What a report says of them.
#[derive(Clone, Debug)]
pub struct Spending {
    /// What a hit costs.
    pub costs: Costs,
    /// What was left out.
    pub shed: Vec<budget::Shed>,
}

impl Spending {
    /// Where nothing is traced.
    pub const NOTHING: Self = Self { costs: Costs::NOTHING, shed: Vec::new() };
}

impl Leases {
    /// Those that `governor` grants.
    pub(super) fn new(governor: Governor) -> Self {
        Self { governor, counted: Reading::default(), due: NEVER }
    }

    /// The first one.
    pub fn begin(&mut self, reading: &Reading) -> Decision {
        self.counted = *reading;
        let decision = self.governor.first(reading.at);
        self.due = decision.again;
        decision
    }

    /// When to ask again.
    pub const fn due(&self) -> Ktime {
        self.due
    }

    /// It was given up because we are to be stopped for a while.
    pub const fn given_up(&mut self, now: Ktime) {
        self.governor.given_up(now);
        self.ask_at_once(now);
    }

    /// One has ended by itself.
    pub const fn ended(&mut self, now: Ktime) {
        self.governor.lease_ended();
        self.ask_at_once(now);
    }

    const fn ask_at_once(&mut self, now: Ktime) {
        if self.due.0 != NEVER.0 {
            self.due = now;
        }
    }

    /// The next one, if there can be one, now that so much was counted.
    pub fn next(&mut self, reading: &Reading) -> Decision {
        let decision = self.governor.tick(reading.at, &reading.since(&self.counted));
        self.counted = *reading;
        self.due = decision.again;
        decision
    }

    /// There will be no other.
    pub const fn end(&mut self) {
        self.due = NEVER;
    }

    /// What a report says of them.
    pub fn spending(&self) -> Spending {
        Spending { costs: self.governor.costs(), shed: self.governor.shed() }
    }
}
