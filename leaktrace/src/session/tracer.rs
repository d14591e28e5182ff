//! The probes of one target: what they say goes to the registry, what the governor decides goes to them.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use anyhow::Context;
use leaktrace_common::layout::Control;
use leaktrace_core::base::num::Ktime;
use leaktrace_core::trace::budget::{Kinds, Stacks, Tracing};
use leaktrace_core::trace::decode::{Event, decode};
use leaktrace_core::trace::registry::Registry;

use super::pace::Pace;
use super::recorder::Recorder;
use crate::kernel::cost::CostPerHit;
use crate::kernel::{Counters, Hub, HubOptions, TargetId, TargetOptions, Tracee};

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
    hub: Hub,
    /// The only target, once it is known.
    id: Option<TargetId>,
    /// What the programs do while nothing is thinned.
    options: TargetOptions,
    stacks: Stacks,
    tally: Tally,
    pace: Pace,
    drained: Instant,
}

impl Tracer {
    /// Asks what the kernel can; nothing is loaded or attached yet.
    pub(super) fn load(options: &TargetOptions) -> anyhow::Result<Self> {
        Ok(Self {
            hub: Hub::new(HubOptions::default()).context("cannot load the eBPF programs")?,
            id: None,
            options: *options,
            stacks: Stacks::Normal,
            tally: Tally::default(),
            pace: Pace::new(options.ring_bytes),
            drained: Instant::now(),
        })
    }

    /// Measures what a hit costs here.
    pub(super) fn calibrate(&mut self) -> CostPerHit {
        self.hub.cost().unwrap_or_else(|error| {
            tracing::warn!(error = %anyhow::Error::new(error), "cannot measure the cost of a probe");
            CostPerHit::USUAL
        })
    }

    /// Attaches all that is planned.
    pub(super) fn attach(&mut self, tracee: &Tracee<'_>) -> anyhow::Result<()> {
        let began = Instant::now();
        let id = self.hub.add(tracee, &self.options)?;
        let loaded = began.elapsed();
        self.hub.set_kinds(id, Kinds::ALL)?;
        self.id = Some(id);
        let by = self.hub.backend().as_str();
        tracing::info!(sites = tracee.sites.len(), by, ?loaded, took = ?began.elapsed(), "attached");
        Ok(())
    }

    /// What came out of the ring so far.
    pub(super) const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What the programs have counted so far.
    pub(super) fn counters(&self) -> anyhow::Result<Counters> {
        let Some(id) = self.id else { return Ok(Counters::default()) };
        self.hub.counters(id).context("cannot read the counters of the eBPF programs")
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
        let Some(id) = self.id else { return false };
        let drained = self.hub.drain(id, BATCH, |record| {
            if let Some(recorder) = recorder {
                recorder.record(record);
            }
            take(record, registry, tally);
        });
        tally.undecodable += drained.foreign;
        self.drained = Instant::now();
        self.pace.adapt(tally.bytes, elapsed);
        drained.more
    }

    /// Says once of each kind of event that something happened which never should.
    fn tell_mishaps(&mut self) -> anyhow::Result<()> {
        for mishap in self.hub.mishaps().context("cannot read the counters of the eBPF programs")? {
            tracing::warn!("{mishap}");
        }
        Ok(())
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
        let Some(id) = self.id else { return Ok(()) };
        self.tell_mishaps()?;
        if self.hub.kinds(id) != wanted.kinds {
            self.hub.set_kinds(id, wanted.kinds)?;
        }
        if self.stacks != wanted.stacks {
            self.stacks = wanted.stacks;
            self.sample_stacks(id)?;
        }
        Ok(())
    }

    fn sample_stacks(&mut self, id: TargetId) -> anyhow::Result<()> {
        let stack_sample_mask = match self.stacks {
            Stacks::Normal => self.options.control.stack_sample_mask,
            Stacks::Thin => THIN_MASK,
        };
        let control = Control { stack_sample_mask, ..self.options.control };
        self.hub.set_control(id, control).context("cannot sample fewer creator stacks")
    }

    /// Takes all probes away and hands on what is left in the ring. After this everything that was counted is
    /// either decoded or dropped.
    pub(super) fn finish(
        &mut self,
        registry: &mut Registry,
        recorder: &mut Option<Recorder<'_>>,
    ) -> anyhow::Result<Counters> {
        if let Some(id) = self.id {
            self.hub.set_kinds(id, Kinds::NONE)?;
            self.hub.wait_until_detached(id);
        }
        while self.drain(registry, recorder) {}
        self.tell_mishaps()?;
        self.counters()
    }
}

impl AsFd for Tracer {
    /// Becomes readable when the kernel side says that a ring is filling.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.hub.as_fd()
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
