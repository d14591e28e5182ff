//! What tracing costs at present, and what it would cost if nothing were shed.

use leaktrace_common::event::Kind;

use super::{Costs, Load, Sample, Stage, THINNING, real};

/// Costs in cores, split by what could be shed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rates {
    pub(super) waits: f64,
    pub(super) stacks: f64,
    pub(super) births: f64,
    /// Cores that the target keeps busy on its own account.
    pub(super) busy: f64,
}

impl Rates {
    pub(super) fn of(sample: &Sample, costs: &Costs) -> Self {
        let elapsed = real(sample.elapsed.max(1));
        let kind = |kind: Kind| real(sample.hits[kind.index()]) * costs.hit[kind.index()] / elapsed;
        let rates = Self {
            waits: kind(Kind::Park) + kind(Kind::Ready),
            stacks: real(sample.stacks) * costs.stack / elapsed,
            births: kind(Kind::Birth) + kind(Kind::End),
            busy: 0.0,
        };
        Self { busy: (real(sample.busy) / elapsed - rates.total()).max(0.0), ..rates }
    }

    pub(super) fn total(&self) -> f64 {
        self.waits + self.stacks + self.births
    }

    /// What these would cost in a stage, windows kept open.
    pub(super) fn in_stage(&self, stage: Stage) -> f64 {
        let waits = if stage.sheds(Load::Waits) { 0.0 } else { self.waits };
        let stacks = if stage.sheds(Load::Stacks) { self.stacks / f64::from(THINNING) } else { self.stacks };
        waits + stacks + self.births
    }
}

/// What is known of loads that may be shed at the moment, in proportion to something that still is seen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Proportions {
    waits_per_busy: f64,
    stacks_per_birth: f64,
}

impl Proportions {
    pub(super) fn learn(&mut self, rates: &Rates, stage: Stage) {
        if !stage.sheds(Load::Waits) && rates.busy > 0.0 {
            self.waits_per_busy = rates.waits / rates.busy;
        }
        if !stage.sheds(Load::Stacks) && rates.births > 0.0 {
            self.stacks_per_birth = rates.stacks / rates.births;
        }
    }

    /// The rates as they would be if nothing were shed.
    pub(super) fn complete(&self, rates: &Rates, stage: Stage) -> Rates {
        let (waits, stacks) = (self.waits_per_busy * rates.busy, self.stacks_per_birth * rates.births);
        Rates {
            waits: if stage.sheds(Load::Waits) { waits } else { rates.waits },
            stacks: if stage.sheds(Load::Stacks) { stacks } else { rates.stacks },
            ..*rates
        }
    }
}
