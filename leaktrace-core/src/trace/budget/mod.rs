//! Keeps what tracing costs the target and us below a limit: a state machine over counted hits and calibrated costs.
//!
//! It does not attach or detach anything. It is told what was counted ([`Sample`]) and answers with a [`Lease`]: what may
//! be traced for a while, and what that may cost. Someone else makes it so, and the report says what
//! was [shed](Shed) and for how long.
//!
//! Two things decide. A bucket that fills with the limit bounds what is spent in any short time, from the first moment on
//! and whatever the target does; while it is empty, nothing is traced. Stages shed what a limit does not allow in the
//! long run, in this order: parks and readies, because the target's memory says who waits for what anyway; creator stacks,
//! except for a few; births and ends, which then come in slices, as the bucket has it. All of it comes back when the load
//! falls. A stage whose cost cannot be predicted is tried again after a time that doubles with every failure.

mod account;
mod bucket;
mod kinds;
mod lease;
mod rates;
mod sample;
mod shed;
mod stacks;

use leaktrace_common::event::Kind;

use bucket::Bucket;
pub use kinds::Kinds;
use lease::half_spent_in;
pub use lease::{Lease, LeaseEnd, LeaseMeter};
pub use rates::Costs;
pub(crate) use rates::for_everything;
use rates::{Proportions, Rates, for_tracing};
pub use sample::Sample;
use shed::Stage;
pub use shed::{Load, Shed};
pub use stacks::{StackSampling, THINNING};

use crate::base::num::{Ktime, real};
use crate::base::time::SECOND_NS;

/// Decisions are made on at least this much time, so that one burst is no reason, and on this much of it traced.
const OBSERVE_NS: u64 = SECOND_NS / 2;
const OBSERVE_TRACED_NS: u64 = SECOND_NS / 500;

/// A target that is nearly idle is given the budget of one that keeps this much of a core busy, so that a few
/// thousand events a second need not be shed.
const IDLE_FLOOR: f64 = 0.2;

/// What a stage that is entered may be expected to cost, as a share of the limit.
const ROOM: f64 = 0.75;

/// How long a stage lasts at least.
const SHORTEST_STAGE_NS: u64 = 5 * SECOND_NS;

/// When to try again what was too much, first and at most.
const RETRY_NS: u64 = 30 * SECOND_NS;
const LONGEST_RETRY_NS: u64 = 600 * SECOND_NS;

/// How long a lease is, unless it is renewed: probes of somebody who is stuck or stopped stay no longer than that, nor
/// longer than what it allows is spent. Where nothing bounds that, it is short.
const TERM_NS: u64 = SECOND_NS;
const UNBOUNDED_TERM_NS: u64 = SECOND_NS / 4;

/// How often it is renewed: when half of what it allows will be spent, within these bounds.
const RENEW_NS: u64 = 100_000_000;
const CALM_RENEW_NS: u64 = 400_000_000;

/// How soon after the first kinds of events the next one is added, while it is not known what they cost.
const INTRODUCE_NS: u64 = 10_000_000;

/// How long to wait at least for a bucket to fill.
const SHORTEST_GAP_NS: u64 = 20_000_000;

/// How much later than agreed we may be asked again before it is us who were stopped or held up.
const HELD_UP_NS: u64 = 100_000_000;

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// With births and ends; what the others cost is found out one after the other.
    Careful,
    /// With everything: nothing of a program that has not run yet may be missed.
    Whole,
}

/// What is to be traced, and when to decide again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// What may be traced from now on; nothing where nothing can be afforded just now.
    pub lease: Option<Lease>,
    /// Which creator stacks are taken.
    pub stacks: StackSampling,
    /// When to decide again at the latest.
    pub again: Ktime,
}

/// Decides what is traced.
#[derive(Clone, Debug)]
pub struct Governor {
    limit: Option<f64>,
    costs: Costs,
    wanted: Kinds,
    /// Of these it is known what they cost, or is being found out.
    introduced: Kinds,
    bucket: Bucket,
    /// Whether there is a lease as far as we know.
    leased: bool,
    /// What was spent of late, in how many nanoseconds with probes.
    spending: (f64, u64),
    /// What it takes us to handle a record, in nanoseconds.
    handling: f64,
    stage: Stage,
    since: Ktime,
    /// Whether this stage was entered in the hope that it is affordable again, and when to hope next.
    trying: bool,
    retry: u64,
    pending: Sample,
    known: Proportions,
    /// Everything, as last reckoned while births were traced.
    whole: Rates,
    /// Cores that the target keeps busy on its own account.
    busy: f64,
    /// For how long that has been known, up to the time over which it is averaged.
    seen: f64,
    /// Cores that we keep busy for the target, apart from handling its records.
    own: f64,
    shed: [u64; 4],
    earned: stacks::Earned,
    last_tick: Ktime,
    /// When we were to be asked again at the latest.
    due: Ktime,
}

impl Governor {
    /// One that keeps to `limit`, a share of the cores that the target keeps busy, or to none.
    pub fn new(limit: Option<f64>, costs: Costs, wanted: Kinds, beginning: Beginning, now: Ktime) -> Self {
        let first = [Kind::Birth, Kind::End].into_iter().filter(|kind| wanted.contains(*kind)).collect();
        let is_whole = beginning == Beginning::Whole || limit.is_none();
        let mut governor = Self {
            limit,
            costs,
            wanted,
            introduced: if is_whole { wanted } else { first },
            bucket: Bucket::new(limit.unwrap_or(1.0) * IDLE_FLOOR),
            leased: false,
            spending: (0.0, 0),
            handling: costs.handling,
            stage: Stage::Full,
            since: now,
            trying: false,
            retry: RETRY_NS,
            pending: Sample::default(),
            known: Proportions::default(),
            whole: Rates::default(),
            busy: 0.0,
            seen: 0.0,
            own: 0.0,
            shed: [0; 4],
            earned: stacks::Earned::default(),
            last_tick: now,
            due: now,
        };
        if governor.introduced.is_empty() {
            governor.introduce();
        }
        governor
    }

    /// What may be traced first.
    pub fn first(&mut self, now: Ktime) -> Decision {
        self.last_tick = now;
        self.leased = true;
        self.decision(now)
    }

    /// What was shed so far, and is now.
    pub fn shed(&self) -> Vec<Shed> {
        let all = Load::ALL.into_iter().zip(self.shed);
        all.map(|(what, nanoseconds)| Shed { what, nanoseconds, now: self.stage.sheds(what) })
            .filter(|shed| shed.now || shed.nanoseconds > 0)
            .collect()
    }

    /// What a hit is taken to cost.
    pub const fn costs(&self) -> Costs {
        self.costs
    }

    /// The lease was given up because we are to be stopped for a while.
    pub const fn given_up(&mut self, now: Ktime) {
        self.leased = false;
        // What is missed from now on is not laid to the limit.
        self.due = Ktime(now.0.saturating_sub(HELD_UP_NS));
    }

    /// A lease has ended before it was renewed.
    pub const fn lease_ended(&mut self) {
        self.leased = false;
    }

    /// Takes notice of what was counted until `now`, and says what may be traced from now on.
    pub fn tick(&mut self, now: Ktime, sample: &Sample) -> Decision {
        self.account(now, sample);
        self.pending = self.pending.and(sample);
        if self.is_due() {
            let rates = Rates::of(&self.pending, &self.costs, self.handling, self.busy);
            self.adjust(now, &rates);
            self.earned.pass(self.pending.elapsed, self.pressure_in(self.stage.min(Stage::NoWaits)) <= ROOM);
            self.pending = Sample::default();
        }
        let affordable = if self.leased { !self.bucket.is_empty() } else { self.bucket.full_in() == 0 };
        self.leased = affordable || self.limit.is_none();
        self.spending = (self.spent(sample), sample.traced);
        if self.leased && sample.traced > 0 {
            self.introduce();
        }
        self.decision(now)
    }

    fn decision(&mut self, now: Ktime) -> Decision {
        let stacks = self.earned.sampling(self.stage.sheds(Load::Stacks));
        let kinds = self.kinds();
        let wait = if !self.leased {
            self.bucket.full_in().clamp(SHORTEST_GAP_NS, SECOND_NS)
        } else if self.next_kind().is_some() {
            INTRODUCE_NS
        } else {
            self.renewed_in()
        };
        let term = if self.limit.is_some() { TERM_NS } else { UNBOUNDED_TERM_NS };
        let lease = (self.leased && !kinds.is_empty()).then(|| Lease {
            kinds,
            until: now.plus(term),
            allowance: self.limit.map_or(u64::MAX, |_| self.bucket.allowance()),
            costs: self.costs_with_stacks(),
        });
        self.due = now.plus(wait);
        Decision { lease, stacks, again: self.due }
    }

    fn renewed_in(&self) -> u64 {
        let ((spent, traced), allowance) = (self.spending, self.bucket.allowance());
        // Without a limit the term is short, and before anything was seen nothing is known.
        if self.limit.is_none() || traced == 0 {
            return RENEW_NS;
        }
        half_spent_in(allowance, spent, traced).clamp(RENEW_NS, CALM_RENEW_NS)
    }

    /// The kinds that the stage has.
    fn kinds(&self) -> Kinds {
        self.introduced.iter().filter(|kind| !self.is_shed(*kind)).collect()
    }

    const fn is_shed(&self, kind: Kind) -> bool {
        self.stage.sheds(Load::Waits) && matches!(kind, Kind::Park | Kind::Ready)
    }

    /// Adds one kind, after those before it were seen.
    fn introduce(&mut self) {
        self.introduced = self.next_kind().map_or(self.introduced, |kind| self.introduced.with(kind));
    }

    /// The kind to be added next; of one that is shed it would not be seen what it costs.
    fn next_kind(&self) -> Option<Kind> {
        self.wanted.iter().find(|kind| !self.introduced.contains(*kind) && !self.is_shed(*kind))
    }

    /// As a birth costs with its share of stacks; as long as that is not known, with one.
    fn costs_with_stacks(&self) -> [f64; Kind::ALL.len()] {
        let mut costs = self.costs.hit.map(|hit| hit + self.handling);
        costs[Kind::Birth.index()] += self.costs.stack * self.known.stacks_a_birth().unwrap_or(1.0);
        costs
    }

    /// Whether enough has been seen to decide, or more than enough.
    fn is_due(&self) -> bool {
        let seen = self.pending.traced >= OBSERVE_TRACED_NS;
        seen && (self.pending.elapsed >= OBSERVE_NS || self.bucket.is_empty())
    }

    fn adjust(&mut self, now: Ktime, rates: &Rates) {
        let has_waits = !self.stage.sheds(Load::Waits) && self.introduced == self.wanted;
        self.known.learn(rates, has_waits, self.stage);
        self.whole = self.known.complete(rates, has_waits, self.stage);
        if self.pressure_in(self.stage) > 1.0 {
            self.tighten(now);
        } else {
            self.relax(now);
        }
    }

    /// What the hits of a sample cost the target, and will have cost us when their records are handled, in nanoseconds.
    fn spent(&self, sample: &Sample) -> f64 {
        rates::cost(sample, &self.costs) + real(sample.hits.iter().sum()) * self.handling
    }

    /// How many times the limit a stage would cost if nothing stopped it.
    fn pressure_in(&self, stage: Stage) -> f64 {
        let cost = self.whole.in_stage(stage);
        self.limit.map_or(0.0, |limit| cost / for_tracing(limit, self.whole.busy, self.own))
    }

    /// Goes on to the first stage that is enough, at once.
    fn tighten(&mut self, now: Ktime) {
        let mut heavier = Stage::ALL.into_iter().filter(|stage| *stage > self.stage);
        let next = heavier.find(|stage| self.pressure_in(*stage) <= ROOM).unwrap_or(Stage::Slices);
        if next == self.stage {
            return;
        }
        let failed = self.trying && now.since(self.since) < RETRY_NS;
        self.retry = if failed { (self.retry * 2).min(LONGEST_RETRY_NS) } else { RETRY_NS };
        self.enter(next, now, false);
    }

    /// Goes back by one stage if that is affordable, or may be by now.
    fn relax(&mut self, now: Ktime) {
        let Some(lighter) = Stage::ALL.into_iter().rev().find(|stage| *stage < self.stage) else { return };
        let lasted = now.since(self.since);
        let affordable = lasted >= SHORTEST_STAGE_NS && self.pressure_in(lighter) <= ROOM;
        if affordable || lasted >= self.retry {
            self.enter(lighter, now, true);
        }
    }

    const fn enter(&mut self, stage: Stage, now: Ktime, trying: bool) {
        self.stage = stage;
        self.since = now;
        self.trying = trying;
    }
}

#[cfg(test)]
mod tests;
