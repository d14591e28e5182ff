//! The probes of one target: what they say goes to the registry, what the governor decides goes to them.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use anyhow::Context;
use leaktrace_common::layout::Control;
use leaktrace_core::base::num::Ktime;
use leaktrace_core::trace::budget::{Kinds, Stacks, Tracing};
use leaktrace_core::trace::decode::{Event, decode};
use leaktrace_core::trace::plan::AttachPlan;
use leaktrace_core::trace::registry::Registry;

use super::pace::Pace;
use super::recorder::Recorder;
use crate::kernel::cost::{CostPerHit, calibrate};
use crate::kernel::{Counters, Options, Probes, Tracee};

/// The only target of these programs.
const INDEX: u16 = 0;

/// How many records are taken at a time before anything else may happen.
const BATCH: usize = 1 << 16;

/// One creator stack in so many is left when they are thinned.
const THIN_MASK: u32 = (1 << 10) - 1;

/// What came out of the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Records that were understood.
    pub(super) decoded: u64,
    /// Records that were not.
    pub(super) undecodable: u64,
    /// Creator stacks among them.
    pub(super) stacks: u64,
    /// The latest time that a record had.
    pub(super) newest: Ktime,
    bytes: usize,
}

/// Attached probes.
pub(super) struct Tracer {
    probes: Probes,
    /// What the programs do while nothing is thinned.
    control: Control,
    kinds: Kinds,
    stacks: Stacks,
    tally: Tally,
    pace: Pace,
    drained: Instant,
}

impl Tracer {
    /// Loads the programs; nothing is attached yet.
    pub(super) fn load(options: &Options) -> anyhow::Result<Self> {
        Ok(Self {
            probes: Probes::load(options).context("cannot load the eBPF programs")?,
            control: options.control,
            kinds: Kinds::NONE,
            stacks: Stacks::Normal,
            tally: Tally::default(),
            pace: Pace::new(options.ring_bytes),
            drained: Instant::now(),
        })
    }

    /// Measures what a hit costs here. To be asked before anything is attached.
    pub(super) fn calibrate(&mut self) -> CostPerHit {
        calibrate(&mut self.probes).unwrap_or_else(|error| {
            tracing::warn!(error = %anyhow::Error::new(error), "cannot measure what a probe costs here");
            CostPerHit::USUAL
        })
    }

    /// Attaches all that is planned.
    pub(super) fn attach(&mut self, tracee: &Tracee<'_>, plan: &AttachPlan) -> anyhow::Result<()> {
        let attached = self.probes.attach(tracee, plan.sites.iter().map(Into::into))?;
        self.kinds = plan.sites.iter().map(|site| site.kind).collect();
        tracing::info!(sites = attached.sites, by = attached.backend.as_str(), took = ?attached.took, "attached");
        Ok(())
    }

    /// What came out of the ring so far.
    pub(super) const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What the programs have counted so far.
    pub(super) fn counters(&self) -> anyhow::Result<Counters> {
        self.probes.counters().context("cannot read the counters of the eBPF programs")
    }

    /// How long to wait before draining.
    pub(super) const fn pace(&self) -> &Pace {
        &self.pace
    }

    /// Hands what waits in the ring to the registry, and to the recording if there is one, at most one batch of it;
    /// whether there may be more.
    pub(super) fn drain(&mut self, registry: &mut Registry, recorder: &mut Option<Recorder<'_>>) -> bool {
        let (tally, elapsed) = (&mut self.tally, self.drained.elapsed());
        tally.bytes = 0;
        let count = self.probes.ring.drain_up_to(BATCH, |record| {
            if let Some(recorder) = recorder {
                recorder.record(record);
            }
            take(record, registry, tally);
        });
        self.probes.tell_diagnostics();
        self.drained = Instant::now();
        self.pace.adapt(tally.bytes, elapsed);
        count == BATCH
    }

    /// Hands on everything that happened until `time`.
    pub(super) fn drain_past(
        &mut self,
        time: Ktime,
        registry: &mut Registry,
        recorder: &mut Option<Recorder<'_>>,
    ) {
        while self.drain(registry, recorder) && self.tally.newest <= time {}
    }

    /// Makes the probes what the governor wants them to be.
    pub(super) fn apply(&mut self, wanted: Tracing) -> anyhow::Result<()> {
        for kind in self.kinds.minus(wanted.kinds).iter() {
            self.probes.detach(INDEX, kind);
        }
        for kind in wanted.kinds.minus(self.kinds).iter() {
            self.probes.reattach(INDEX, kind)?;
        }
        self.kinds = wanted.kinds;
        if self.stacks != wanted.stacks {
            self.stacks = wanted.stacks;
            self.sample_stacks()?;
        }
        Ok(())
    }

    fn sample_stacks(&mut self) -> anyhow::Result<()> {
        let stack_sample_mask = match self.stacks {
            Stacks::Normal => self.control.stack_sample_mask,
            Stacks::Thin => THIN_MASK,
        };
        let control = Control { stack_sample_mask, ..self.control };
        self.probes.set_control(control).context("cannot thin the creator stacks")
    }

    /// Takes all probes away and hands on what is left in the ring. After this everything that was counted is
    /// either decoded or dropped.
    pub(super) fn finish(
        &mut self,
        registry: &mut Registry,
        recorder: &mut Option<Recorder<'_>>,
    ) -> anyhow::Result<Counters> {
        self.probes.detach_target(INDEX);
        self.probes.wait_until_detached();
        while self.drain(registry, recorder) {}
        self.counters()
    }
}

impl AsFd for Tracer {
    /// Becomes readable when the kernel side says that the ring is filling.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.probes.ring.as_fd()
    }
}

fn take(record: &[u8], registry: &mut Registry, tally: &mut Tally) {
    // What the ring adds to each record.
    const RING_HEADER: usize = 8;
    tally.bytes += record.len() + RING_HEADER;
    match decode(record) {
        Ok(event) => {
            tally.decoded += 1;
            tally.newest = tally.newest.max(event.about().ktime);
            if let Event::Birth(birth) = &event {
                tally.stacks += u64::from(!birth.stack.is_empty());
            }
            registry.apply(&event);
        }
        Err(error) => {
            tally.undecodable += 1;
            tracing::debug!(%error, "a record cannot be decoded");
        }
    }
}
