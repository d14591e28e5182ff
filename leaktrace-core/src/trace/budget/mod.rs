//! Keeps what tracing costs the target below a limit: a state machine over counted hits and calibrated costs.
//!
//! It does not attach or detach anything. It is told what was counted ([`Sample`]) and answers what should be
//! traced ([`Tracing`]); someone else makes it so, and the report says what was [shed](Shed) and for how long.
//!
//! What is shed, in this order: parks and readies, because the target's memory says who waits for what anyway;
//! creator stacks, except for a few; births and ends, which are then traced in windows. All of it comes back
//! when the load falls. A stage whose cost cannot be predicted is tried again after a time that doubles with
//! every failure.

mod kinds;
mod rates;
mod stacks;

use leaktrace_common::event::Kind;

pub use kinds::Kinds;
use rates::{Proportions, Rates};
pub use stacks::{StackSampling, THINNING};

use crate::base::num::Ktime;
use crate::base::time::SECOND_NS;

/// Decisions are made on at least this much time, so that one burst is no reason.
const OBSERVE_NS: u64 = SECOND_NS / 2;

/// Beyond this multiple of the limit nothing waits for the end of [`OBSERVE_NS`].
const EMERGENCY: f64 = 3.0;

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

/// How long births and ends are traced at a time, once that is all that the limit allows.
const WINDOW_NS: u64 = SECOND_NS;
const LONGEST_GAP_NS: u64 = 60 * SECOND_NS;

/// What one hit costs the target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    /// Nanoseconds for a hit of each kind, in the order of [`Kind::ALL`].
    pub hit: [f64; 4],
    /// Nanoseconds more for a creator's stack.
    pub stack: f64,
}

impl Costs {
    /// Those of a session that traces nothing.
    pub const NOTHING: Self = Self { hit: [0.0; 4], stack: 0.0 };
}

/// What was counted since the sample before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Sample {
    /// How long that is, in nanoseconds.
    pub elapsed: u64,
    /// Hits of each kind, in the order of [`Kind::ALL`].
    pub hits: [u64; 4],
    /// Creator stacks that were taken.
    pub stacks: u64,
    /// Nanoseconds of processor time that the target used, the probes' share among them.
    pub busy: u64,
}

/// What should be traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracing {
    /// The probes that should be there.
    pub kinds: Kinds,
    /// The creator stacks that should be taken.
    pub stacks: StackSampling,
}

/// Something that is left out to stay within the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shed {
    /// What.
    pub what: Load,
    /// For how many nanoseconds so far.
    pub nanoseconds: u64,
    /// Whether it is left out now.
    pub now: bool,
}

/// What can be shed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// Park and ready events.
    Waits,
    /// Most creator stacks.
    Stacks,
    /// Births and ends, outside of windows.
    Births,
}

impl Load {
    const ALL: [Self; 3] = [Self::Waits, Self::Stacks, Self::Births];

    /// The word for it in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waits => "park and ready",
            Self::Stacks => "creator stacks",
            Self::Births => "births and ends",
        }
    }
}

/// How far we have had to go. Each stage also sheds what those before it do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Full,
    NoWaits,
    ThinStacks,
    Windows,
}

impl Stage {
    const ALL: [Self; 4] = [Self::Full, Self::NoWaits, Self::ThinStacks, Self::Windows];

    const fn sheds(self, load: Load) -> bool {
        match load {
            Load::Waits => self as u8 >= Self::NoWaits as u8,
            Load::Stacks => self as u8 >= Self::ThinStacks as u8,
            Load::Births => self as u8 >= Self::Windows as u8,
        }
    }
}

/// Decides what is traced.
#[derive(Clone, Debug)]
pub struct Governor {
    limit: Option<f64>,
    costs: Costs,
    wanted: Kinds,
    stage: Stage,
    since: Ktime,
    window: Window,
    /// Whether this stage was entered in the hope that it is affordable again, and when to hope next.
    trying: bool,
    retry: u64,
    pending: Sample,
    known: Proportions,
    /// Everything, as last reckoned while births were traced.
    whole: Rates,
    shed: [u64; 3],
    last_tick: Ktime,
}

/// Whether births and ends are traced just now, and until when, in [`Stage::Windows`].
#[derive(Clone, Copy, Debug)]
struct Window {
    open: bool,
    until: Ktime,
}

impl Governor {
    /// One that keeps to `limit`, a share of the cores that the target keeps busy, or to none.
    pub fn new(limit: Option<f64>, costs: Costs, wanted: Kinds, now: Ktime) -> Self {
        Self {
            limit,
            costs,
            wanted,
            stage: Stage::Full,
            since: now,
            window: Window { open: true, until: now },
            trying: false,
            retry: RETRY_NS,
            pending: Sample::default(),
            known: Proportions::default(),
            whole: Rates::default(),
            shed: [0; 3],
            last_tick: now,
        }
    }

    /// What should be traced now.
    pub fn tracing(&self) -> Tracing {
        let mut kinds = self.wanted;
        if self.stage.sheds(Load::Waits) {
            kinds = kinds.without(Kind::Park).without(Kind::Ready);
        }
        if self.is_in_gap() {
            kinds = Kinds::NONE;
        }
        Tracing {
            kinds,
            stacks: if self.stage.sheds(Load::Stacks) { StackSampling::Thin } else { StackSampling::Normal },
        }
    }

    /// What was shed so far, and is now.
    pub fn shed(&self) -> Vec<Shed> {
        let all = Load::ALL.into_iter().zip(self.shed);
        all.map(|(what, nanoseconds)| Shed { what, nanoseconds, now: self.stage.sheds(what) })
            .filter(|shed| shed.now || shed.nanoseconds > 0)
            .collect()
    }

    /// What tracing cost the target in the time of a sample, in cores.
    pub fn cost(&self, sample: &Sample) -> f64 {
        Rates::of(sample, &self.costs).total()
    }

    /// Takes notice of what was counted until `now`, and says what should be traced from now on.
    pub fn tick(&mut self, now: Ktime, sample: &Sample) -> Tracing {
        self.account(now);
        self.pending = sum(&self.pending, sample);
        let rates = Rates::of(&self.pending, &self.costs);
        if !self.is_in_gap() && self.is_due(&rates) {
            self.pending = Sample::default();
            self.adjust(now, &rates);
        }
        self.turn_window(now);
        self.tracing()
    }

    /// Whether births and ends are left out just now. What is counted then says nothing of what tracing costs.
    fn is_in_gap(&self) -> bool {
        self.stage.sheds(Load::Births) && !self.window.open
    }

    /// Whether enough has been seen to decide, or more than enough.
    fn is_due(&self, rates: &Rates) -> bool {
        let emergency =
            self.pending.elapsed >= OBSERVE_NS / 5 && self.pressure(rates.total(), rates.busy) > EMERGENCY;
        self.pending.elapsed >= OBSERVE_NS || emergency
    }

    fn account(&mut self, now: Ktime) {
        let passed = now.since(self.last_tick);
        self.last_tick = now;
        for (load, total) in Load::ALL.into_iter().zip(&mut self.shed) {
            if self.stage.sheds(load) {
                *total += passed;
            }
        }
    }

    fn adjust(&mut self, now: Ktime, rates: &Rates) {
        self.known.learn(rates, self.stage);
        self.whole = self.known.complete(rates, self.stage);
        if self.pressure_in(self.stage) > 1.0 {
            self.tighten(now);
        } else {
            self.relax(now);
        }
    }

    /// How many times the limit this is.
    fn pressure(&self, cost: f64, busy: f64) -> f64 {
        self.limit.map_or(0.0, |limit| cost / (limit * busy.max(IDLE_FLOOR)))
    }

    /// How many times the limit a stage would cost, windows kept open.
    fn pressure_in(&self, stage: Stage) -> f64 {
        self.pressure(self.whole.in_stage(stage), self.whole.busy)
    }

    /// Goes on to the first stage that is enough, at once.
    fn tighten(&mut self, now: Ktime) {
        let mut heavier = Stage::ALL.into_iter().filter(|stage| *stage > self.stage);
        let next = heavier.find(|stage| self.pressure_in(*stage) <= ROOM).unwrap_or(Stage::Windows);
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

    fn enter(&mut self, stage: Stage, now: Ktime, trying: bool) {
        self.stage = stage;
        self.since = now;
        self.trying = trying;
        self.window = Window { open: true, until: now.plus(WINDOW_NS) };
    }

    /// Which share of the time births and ends can be traced.
    fn duty(&self) -> f64 {
        let pressure = self.pressure_in(Stage::Windows);
        if pressure > ROOM { ROOM / pressure } else { 1.0 }
    }

    fn turn_window(&mut self, now: Ktime) {
        if !self.stage.sheds(Load::Births) || now < self.window.until {
            return;
        }
        let gap = real(WINDOW_NS) * (1.0 / self.duty() - 1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded on both sides")]
        let gap = gap.clamp(real(WINDOW_NS), real(LONGEST_GAP_NS)) as u64;
        let open = !self.window.open;
        self.window = Window { open, until: now.plus(if open { WINDOW_NS } else { gap }) };
        self.pending = Sample::default();
    }
}

fn sum(a: &Sample, b: &Sample) -> Sample {
    let mut hits = a.hits;
    for (total, more) in hits.iter_mut().zip(b.hits) {
        *total += more;
    }
    Sample { elapsed: a.elapsed + b.elapsed, hits, stacks: a.stacks + b.stacks, busy: a.busy + b.busy }
}

#[expect(clippy::cast_precision_loss, reason = "counts of one tick are far below 2^52")]
const fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
