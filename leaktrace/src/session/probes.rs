//! The probes of one target: what the governor decides goes to them.

use anyhow::Context as _;
use leaktrace_common::layout::Control;
use leaktrace_core::trace::budget::{Kinds, StackSampling, Tracing};

use crate::kernel::{Counters, Hub, Loaded, TargetId, TargetOptions};

/// Attached probes.
#[derive(Debug)]
pub(super) struct Probes {
    id: TargetId,
    /// What the programs do while nothing is thinned.
    control: Control,
    stacks: StackSampling,
}

impl Probes {
    /// Attaches all that was loaded. If that is refused, nothing is left of it.
    pub(super) fn attach(hub: &mut Hub, loaded: Loaded, options: &TargetOptions) -> anyhow::Result<Self> {
        let id = hub.adopt(loaded)?;
        if let Err(error) = hub.set_kinds(id, Kinds::ALL) {
            hub.remove(id);
            return Err(error.into());
        }
        Ok(Self { id, control: options.control, stacks: StackSampling::Normal })
    }

    /// Whose they are.
    pub(super) const fn id(&self) -> TargetId {
        self.id
    }

    /// What has been counted so far.
    pub(super) fn counters(&self, hub: &Hub) -> anyhow::Result<Counters> {
        hub.counters(self.id).context("cannot read the counters of the eBPF programs")
    }

    /// Makes them what the governor wants them to be.
    pub(super) fn apply(&mut self, hub: &mut Hub, wanted: Tracing) -> anyhow::Result<()> {
        if hub.kinds(self.id) != wanted.kinds {
            hub.set_kinds(self.id, wanted.kinds)?;
        }
        if self.stacks != wanted.stacks {
            self.stacks = wanted.stacks;
            hub.set_control(self.id, self.stacks.apply(self.control))
                .context("cannot sample fewer creator stacks")?;
        }
        Ok(())
    }
}
