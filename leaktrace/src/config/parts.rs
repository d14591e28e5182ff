//! The parts that the configuration of a session is made of. Each is complete when it is built.

use std::time::Duration;

use leaktrace_common::event::Kind;
use leaktrace_core::judge::detect::{Gate, Level, Policy, UNREACHABLE};
use leaktrace_core::report;
use leaktrace_core::report::render::Format;
use leaktrace_core::schema::Severity;
use leaktrace_core::trace::plan::Statement;

use super::ConfigError;
use crate::cli;
use crate::cli::Sort;

/// The bounds of the ring buffer, in bytes.
pub(super) const RING: std::ops::RangeInclusive<u64> = 4096..=1 << 30;

/// How many `go` statements can be named.
pub(super) const MOST_STATEMENTS: usize = 16;

/// The size of the ring buffer of a process unless told otherwise: of the only one, and of each of several.
const RING_OF_ONE: u64 = 16 << 20;
const RING_OF_MANY: u64 = 2 << 20;

/// What is traced, and what that may cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Tracing {
    /// The kinds of events.
    pub probes: Vec<Kind>,
    /// The `go` statements that alone are probed; none where all births are meant.
    pub statements: Vec<Statement>,
    /// The most that tracing may cost, as a share of the target's busy cores.
    pub max_overhead: Option<f64>,
    /// The size of a target's ring buffer: a power of two, and whole pages.
    pub ring_bytes: u32,
    /// Whether the creator's stack of every birth is taken, and not only of some.
    pub every_stack: bool,
}

impl Tracing {
    /// What the options mean, for one process or for `many`.
    pub fn new(wish: &cli::tracing::Tracing, many: bool) -> Result<Self, ConfigError> {
        let statements = wish.site.clone();
        if statements.len() > MOST_STATEMENTS {
            return Err(ConfigError::TooManySites(statements.len()));
        }
        let probes = if statements.is_empty() { wish.probes.0.clone() } else { vec![Kind::Site] };
        let usual = if many { RING_OF_MANY } else { RING_OF_ONE };
        Ok(Self {
            probes,
            statements,
            max_overhead: wish.max_overhead.0,
            ring_bytes: ring_bytes(wish.ring_size.as_ref().map_or(usual, |size| size.0))?,
            every_stack: false,
        })
    }
}

/// When to report, and when to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// When to stop by ourselves.
    pub duration: Option<Duration>,
    /// How often to report before the end; `None` is only at the end.
    pub interval: Option<Duration>,
}

/// What of the report is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Goroutines younger than this are counted and not shown.
    pub min_age: Duration,
    /// How many groups; `None` is all.
    pub top: Option<usize>,
    /// How many incidents; 0 is all.
    pub incidents: usize,
    /// Which come first.
    pub sort: Sort,
    /// Whether the runtime's own goroutines are shown.
    pub include_runtime: bool,
}

impl View {
    /// Everything that belongs to the program.
    pub(crate) const EVERYTHING: Self =
        Self { min_age: Duration::ZERO, top: None, incidents: 0, sort: Sort::Live, include_runtime: false };

    /// How many incidents are listed in `format`, of which a user wants `top`. Tools get all, or they would take the others
    /// for mended.
    pub(crate) fn incidents(format: &Format, top: usize) -> usize {
        if format.is_for_tools() { 0 } else { top }
    }

    /// What this means to a report.
    pub(crate) fn of_report(&self) -> report::View {
        report::View {
            min_age: self.min_age,
            top: self.top,
            sort: match self.sort {
                Sort::Live => report::Sort::Live,
                Sort::Age => report::Sort::Age,
                Sort::Net => report::Sort::Net,
                Sort::Born => report::Sort::Born,
                Sort::Stack => report::Sort::Stack,
            },
            include_runtime: self.include_runtime,
            ..report::View::default()
        }
    }
}

/// How to judge.
#[derive(Clone, Debug, PartialEq)]
pub struct Judging {
    /// What is judged, and how.
    pub policy: Policy,
    /// What makes it end with exit status 1.
    pub gate: Gate,
}

impl Judging {
    /// Fails on verdicts that are as sure as `fail_on`, on those of the rules `deny`, and on what the policy denies.
    pub fn new(policy: Policy, fail_on: Option<Severity>, deny: impl IntoIterator<Item = String>) -> Self {
        let deny = deny.into_iter().chain(policy.levels.denied()).collect();
        Self { policy, gate: Gate { fail_on, deny } }
    }

    /// Whether anybody wants to hear what nothing refers to.
    pub fn seeks_unreachable(&self) -> bool {
        self.policy.levels.of_code(UNREACHABLE) != Level::Allow
    }
}

/// The kernel wants a power of two and whole pages; a wish between two sizes gets the larger.
fn ring_bytes(wish: u64) -> Result<u32, ConfigError> {
    if !RING.contains(&wish) {
        return Err(ConfigError::RingSize(wish));
    }
    let whole = wish.max(rustix::param::page_size() as u64).next_power_of_two();
    u32::try_from(whole).map_err(|_| ConfigError::RingSize(wish))
}
