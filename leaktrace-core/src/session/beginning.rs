//! How the watch over a target begins.

use super::target::{Confirmation, Phase};
use super::{Counted, Failure, Leases, Target, Want};
use crate::base::num::Ktime;
use crate::go::program::ProgramError;
use crate::go::validate::InvalidLayout;
use crate::schema::Location;
use crate::trace::budget::{Beginning, Governor};
use crate::trace::registry::Registry;

/// What a user is told where the memory never could be compared with the file.
const TOO_SHORT: &str = "the program exited before its memory could be compared with its binary; --at-exit holds it for \
                         that";
const NOT_STARTED: &str =
    "the Go runtime had not started when the program's memory was last compared with its binary";

impl Target {
    /// What every report says.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// The `go` statements that are probed, where no others are.
    pub fn sites(&self) -> &[Location] {
        &self.sites
    }

    pub(super) fn wants_attach(&mut self, now: Ktime) -> Option<Want> {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Prepared(prepared) => {
                let beginning = if self.options.is_launched { Beginning::Whole } else { Beginning::Careful };
                let (limit, costs, kinds) = (self.options.max_overhead, prepared.costs, prepared.kinds);
                self.phase = Phase::Attaching(prepared);
                let governor = Governor::new(limit, costs, kinds, beginning, now);
                Some(Want::Attach(Box::new(Leases::new(governor))))
            }
            other => {
                self.phase = other;
                None
            }
        }
    }

    /// It was looked at, which leads to `next` unless it is over meanwhile.
    pub(super) fn prepared(&mut self, next: Phase) {
        if matches!(self.phase, Phase::Preparing) {
            self.phase = next;
        }
    }

    /// Everything that was prepared is attached. What happened before `at` is unknown, except of a program that we have
    /// started: nothing did.
    pub(super) fn begin(&mut self, now: Ktime, at: Ktime, counted: &Counted, untraced: Option<String>) {
        let prepared = match std::mem::replace(&mut self.phase, Phase::Watching) {
            Phase::Attaching(prepared) => prepared,
            other => {
                self.phase = other;
                return;
            }
        };
        self.is_traced = untraced.is_none() && !prepared.kinds.is_empty();
        self.registry = Registry::new(at);
        if self.options.is_launched {
            self.registry.set_seen_from_start();
            if let Some(suite) = prepared.suite {
                self.registry.follow(suite);
            }
            self.confirmation = Confirmation::Wanted;
        }
        self.sites = if self.is_traced { prepared.sites } else { Vec::new() };
        self.notices.extend(untraced.into_iter().chain(prepared.notices));
        self.set_out(now, counted);
        if let Some(stop) = self.stop.take() {
            self.stop(now, stop.reason);
        }
    }

    /// The memory was compared with the file. What could not be compared any more is no failure.
    pub(super) fn confirmed(&mut self, result: Result<(), InvalidLayout>) -> Result<(), Failure> {
        self.confirmation = Confirmation::Done;
        match result {
            Ok(()) => Ok(()),
            Err(InvalidLayout::NotStarted) => {
                self.notices.push(NOT_STARTED.to_owned());
                Ok(())
            }
            Err(InvalidLayout::Read(_)) => {
                self.notices.push(TOO_SHORT.to_owned());
                Ok(())
            }
            Err(invalid) => {
                self.phase = Phase::Over;
                Err(Failure::Invalid(ProgramError::Invalid(invalid)))
            }
        }
    }

    /// What the last report says where the memory was never compared with the file.
    pub(super) fn note_unconfirmed(&mut self) {
        if matches!(self.confirmation, Confirmation::Wanted | Confirmation::UnderWay) {
            self.confirmation = Confirmation::Done;
            self.notices.push(TOO_SHORT.to_owned());
        }
    }
}
