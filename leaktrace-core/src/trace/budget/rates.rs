//! What tracing costs at present, and what it would cost if nothing were shed.

use leaktrace_common::event::Kind;

use super::{IDLE_FLOOR, Load, Sample, Stage, THINNING, real};

/// A target that is nearly idle is taken to keep this much of a core busy where everything is put together: with a limit of 5 %,
/// 3 % of a core for looks and passes and 1 % for tracing.
const LEAST_BUSY_FOR_ALL: f64 = 0.8;

/// What is left for probes and records however much everything else has taken: of what an idle target's tracing may take, this
/// share.
const LEAST_FOR_TRACING: f64 = 0.2;

/// What tracing a target and looking at it may take together in the long run, in cores, of a target that keeps `busy` of them
/// busy.
pub(crate) fn for_everything(limit: f64, busy: f64) -> f64 {
    limit * busy.max(LEAST_BUSY_FOR_ALL)
}

/// What of it probes may cost the target and their records us, in cores, while we use `own` for all else.
pub(super) fn for_tracing(limit: f64, busy: f64, own: f64) -> f64 {
    let least = limit * IDLE_FLOOR * LEAST_FOR_TRACING;
    (for_everything(limit, busy) - own).clamp(least, limit * busy.max(IDLE_FLOOR))
}

/// What one hit costs the target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    /// Nanoseconds for a hit of each kind, in the order of [`Kind::ALL`].
    pub hit: [f64; Kind::ALL.len()],
    /// Nanoseconds more for a creator's stack; what a hit of [`Kind::Site`] costs has it already.
    pub stack: f64,
    /// Nanoseconds that it takes us to handle a record, until that has been measured.
    pub handling: f64,
}

impl Costs {
    /// Those of a session that traces nothing.
    pub const NOTHING: Self = Self { hit: [0.0; Kind::ALL.len()], stack: 0.0, handling: 0.0 };

    /// What tracing cost the target in the time of a sample, in cores.
    pub fn of(&self, sample: &Sample) -> f64 {
        cost(sample, self) / real(sample.elapsed.max(1))
    }
}

/// Costs in cores, split by what could be shed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rates {
    pub(super) waits: f64,
    pub(super) stacks: f64,
    pub(super) births: f64,
    pub(super) births_a_second: f64,
    pub(super) stacks_a_second: f64,
    /// Cores that the target keeps busy on its own account.
    pub(super) busy: f64,
}

/// What tracing cost in the time of a sample, in nanoseconds.
pub(super) fn cost(sample: &Sample, costs: &Costs) -> f64 {
    let hits: f64 = sample.hits.iter().zip(costs.hit).map(|(hits, cost)| real(*hits) * cost).sum();
    hits + real(sample.stacks) * costs.stack
}

/// Over how many records it is averaged what each takes.
const HANDLING_MEMORY: f64 = 10_000.0;

/// What it takes us to handle a record, in nanoseconds, where it was `known` until a sample. Records come later than the hits that
/// they are of, and in a burst, so a hit is charged with what records have taken on average.
pub(super) fn handling(known: f64, sample: &Sample) -> f64 {
    let records = real(sample.records);
    let weight = (records / HANDLING_MEMORY).min(1.0);
    if sample.records == 0 { known } else { known + (real(sample.handling) / records - known) * weight }
}

impl Rates {
    /// What was traced costs so much while it is traced.
    pub(super) fn of(sample: &Sample, costs: &Costs, handling: f64, busy: f64) -> Self {
        let traced = real(sample.traced.max(1));
        let kind =
            |kind: Kind| real(sample.hits[kind.index()]) * (costs.hit[kind.index()] + handling) / traced;
        Self {
            waits: kind(Kind::Park) + kind(Kind::Ready),
            stacks: real(sample.stacks) * costs.stack / traced,
            births: kind(Kind::Birth) + kind(Kind::End) + kind(Kind::Site),
            births_a_second: real(sample.hits[Kind::Birth.index()]) * 1e9 / traced,
            stacks_a_second: real(sample.stacks) * 1e9 / traced,
            busy,
        }
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
    stacks_a_birth: Option<f64>,
}

impl Proportions {
    /// What a sample teaches of which the waits were traced or not.
    pub(super) fn learn(&mut self, rates: &Rates, has_waits: bool, stage: Stage) {
        if has_waits && rates.busy > 0.0 {
            self.waits_per_busy = rates.waits / rates.busy;
        }
        if rates.births_a_second > 0.0 {
            self.stacks_a_birth = Some(rates.stacks_a_second / rates.births_a_second);
        }
        if !stage.sheds(Load::Stacks) && rates.births > 0.0 {
            self.stacks_per_birth = rates.stacks / rates.births;
        }
    }

    /// How many stacks come with a birth as things are, if that is known.
    pub(super) const fn stacks_a_birth(&self) -> Option<f64> {
        self.stacks_a_birth
    }

    /// The rates as they would be if nothing were shed.
    pub(super) fn complete(&self, rates: &Rates, has_waits: bool, stage: Stage) -> Rates {
        let (waits, stacks) = (self.waits_per_busy * rates.busy, self.stacks_per_birth * rates.births);
        Rates {
            waits: if has_waits { rates.waits } else { waits.max(rates.waits) },
            stacks: if stage.sheds(Load::Stacks) { stacks } else { rates.stacks },
            ..*rates
        }
    }
}
