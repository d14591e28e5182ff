//! The probes of one target: what its leases allow goes to the keeper, and what becomes of that is counted.

use std::time::Duration;

use anyhow::Context as _;
use leaktrace_common::event::Kind;
use leaktrace_common::layout::Control;
use leaktrace_core::base::num::Ktime;
use leaktrace_core::session::{Leases, Reading, Spending};
use leaktrace_core::trace::budget::{Decision, Kinds, Lease, StackSampling};

use super::engine::later;
use crate::kernel::{AttachError, Counters, Hub, Loaded, TargetId, TargetOptions};

/// How long the first probes may take. They take 10 ms; on a machine that does nothing else, a hundred times that.
pub(super) const ATTACH_WITHIN: Duration = Duration::from_secs(15);

/// Probes that are attached, or may be for some of the time.
#[derive(Debug)]
pub(super) struct Probes {
    id: TargetId,
    /// What the programs do while nothing is thinned.
    control: Control,
    stacks: StackSampling,
    leases: Leases,
    /// A time before the first of them was there, while that is awaited.
    pub(super) attaching_since: Option<Ktime>,
    /// For how long there have been some, in nanoseconds, and since when there are.
    traced: u64,
    since: Option<Ktime>,
    /// How many creator stacks had been taken when that was last known.
    pub(super) stacks_taken: u64,
}

impl Probes {
    /// Has all that was loaded attached, as the first lease allows. What comes of it is told later.
    pub(super) fn attach(
        hub: &mut Hub,
        loaded: Loaded,
        options: &TargetOptions,
        leases: Leases,
        reading: &Reading,
    ) -> anyhow::Result<Self> {
        let mut probes = Self {
            id: hub.adopt(loaded)?,
            control: options.control,
            stacks: StackSampling::Normal { more: 0 },
            leases,
            attaching_since: None,
            traced: 0,
            since: None,
            stacks_taken: 0,
        };
        let first = probes.leases.begin(reading);
        probes.attaching_since = first.lease.map(|_| reading.at);
        if let Err(error) = probes.apply(hub, &first, reading) {
            hub.remove(probes.id);
            return Err(error);
        }
        Ok(probes)
    }

    /// Whose they are.
    pub(super) const fn id(&self) -> TargetId {
        self.id
    }

    /// What has been counted so far.
    pub(super) fn counters(&self, hub: &Hub) -> anyhow::Result<Counters> {
        hub.counters(self.id).context("cannot read the counters of the eBPF programs")
    }

    /// For how many nanoseconds there have been probes until `now`.
    pub(super) fn traced(&self, now: Ktime) -> u64 {
        self.traced + self.since.map_or(0, |since| now.since(since))
    }

    /// Until when the first of them have to be there, while they are awaited.
    pub(super) fn attached_by(&self) -> Option<Ktime> {
        self.attaching_since.map(|since| later(since, ATTACH_WITHIN))
    }

    /// When their lease is to be renewed.
    pub(super) const fn due(&self) -> Ktime {
        self.leases.due()
    }

    /// What a report says of what they cost.
    pub(super) fn spending(&self) -> Spending {
        self.leases.spending()
    }

    /// Renews the lease, as far as it can be afforded.
    pub(super) fn renew(&mut self, hub: &mut Hub, reading: &Reading) -> anyhow::Result<()> {
        let decision = self.leases.next(reading);
        self.apply(hub, &decision, reading)
    }

    fn apply(&mut self, hub: &mut Hub, decision: &Decision, reading: &Reading) -> anyhow::Result<()> {
        if self.stacks != decision.stacks {
            self.stacks = decision.stacks;
            hub.set_control(self.id, self.stacks.apply(self.control))
                .context("cannot change how many creator stacks are taken")?;
        }
        if let Some(lease) = decision.lease {
            hub.lease(self.id, lease, reading.hits)?;
        }
        Ok(())
    }

    /// The keeper has attached what was leased.
    pub(super) fn leased(&mut self, at: Ktime, kinds: Kinds) {
        if kinds.is_empty() {
            self.lost(at);
        } else {
            // What attaching takes at the beginning is no gap.
            self.since.get_or_insert(self.attaching_since.unwrap_or(at));
        }
    }

    /// The keeper has taken them away before we said so.
    pub(super) fn ended(&mut self, at: Ktime) {
        self.lost(at);
        self.leases.ended(at);
    }

    fn lost(&mut self, at: Ktime) {
        self.traced = self.traced(at);
        self.since = None;
    }

    /// Has them taken away; they come back with the next lease.
    pub(super) fn take_away(&mut self, hub: &mut Hub, now: Ktime) -> Result<(), AttachError> {
        let taken = hub.lease(self.id, Lease::without_end(Kinds::NONE), [0; Kind::ALL.len()]);
        self.lost(now);
        self.leases.given_up(now);
        taken
    }

    /// Has them taken away for good.
    pub(super) fn detach(&mut self, hub: &mut Hub) -> Result<(), AttachError> {
        self.leases.end();
        hub.lease(self.id, Lease::without_end(Kinds::NONE), [0; Kind::ALL.len()])
    }
}
