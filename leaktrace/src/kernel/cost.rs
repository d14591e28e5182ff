//! What a hit costs on this machine, measured in a few milliseconds on functions of our own.
//!
//! The very programs are attached that the target will have, and their records are thrown away. What a target
//! pays can differ: it has other things in its caches, and its threads meet in the kernel.

use std::time::Instant;

use aya::maps::MapError;
use leaktrace_common::cookie::GRegister;
use leaktrace_common::event::Kind;
use leaktrace_common::layout::Control;
use leaktrace_core::trace::budget::Kinds;
use leaktrace_core::trace::plan::Cost;
use thiserror::Error;

use super::attach::{AttachError, ProbeSite, Tracee};
use super::hub::{Hub, TargetId};
use super::load::TargetOptions;
use super::specimen::{Goroutines, Identity, Specimen, own_exe};

/// What the records of all rounds fit into.
const RING_BYTES: u32 = 1 << 18;

/// How deep the creator is whose stack is taken: what is usual for a handler of a server.
const DEPTH: usize = 16;

/// Medians of this many rounds are taken.
const ROUNDS: usize = 9;

/// Calls in a round.
const CALLS: u32 = 50;

/// Calls in a round where each costs a second trap, which can take 15 microseconds.
const SLOW_CALLS: u32 = 10;

/// No stack at all, and no wake-up.
const NO_STACKS: Control =
    Control { stacks_per_site: 0, stack_sample_mask: u32::MAX, wakeup_bytes: u32::MAX, wakers: 0 };

/// Every stack.
const ALL_STACKS: Control = Control { stacks_per_site: u32::MAX, ..NO_STACKS };

/// Nanoseconds that hits cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CostPerHit {
    /// By [`Kind::index`], at an instruction that the kernel emulates; for a birth without its stack, and at a `go`
    /// statement with it.
    pub emulated: [f64; Kind::ALL.len()],
    /// By [`Kind::index`], at an instruction that is single-stepped.
    pub single_stepped: [f64; Kind::ALL.len()],
    /// More, for a birth with its creator's stack.
    pub stack: f64,
}

/// Why the cost cannot be measured.
#[derive(Debug, Error)]
pub enum CostError {
    /// We cannot be probed.
    #[error("cannot probe leaktrace itself")]
    Attach(#[from] AttachError),
    /// The functions to probe cannot be found.
    #[error("cannot find leaktrace's own code")]
    Place(#[from] std::io::Error),
    /// The programs cannot be told what to do.
    #[error("cannot access an eBPF map")]
    Map(#[from] MapError),
}

impl CostPerHit {
    /// What it was in a virtual machine, rounded up: for where it cannot be measured, because it is better to shed
    /// too early than too late.
    pub const USUAL: Self = Self {
        emulated: [600.0, 600.0, 600.0, 600.0, 1_300.0],
        single_stepped: [15_000.0; Kind::ALL.len()],
        stack: 700.0,
    };

    /// What a hit of this kind costs at an instruction of this cost.
    pub const fn of(&self, kind: Kind, cost: Cost) -> f64 {
        let costs = match cost {
            Cost::Emulated => &self.emulated,
            Cost::SingleStepped => &self.single_stepped,
        };
        costs[kind.index()]
    }
}

/// Measures what hits cost, of a target that is ourselves and is gone afterwards.
pub(super) fn measure(hub: &mut Hub) -> Result<CostPerHit, CostError> {
    let sites = sites()?;
    let (pid, layout) = (std::process::id(), Goroutines::layout());
    let exe = own_exe().map_err(AttachError::Exe)?;
    let tracee = Tracee { pid, exe: &exe, layout, sites: &sites };
    let options = TargetOptions { ring_bytes: RING_BYTES, control: NO_STACKS };
    let id = hub.add(&tracee, &options)?;
    let measured = measure_target(hub, id);
    hub.remove(id);
    measured
}

fn measure_target(hub: &mut Hub, id: TargetId) -> Result<CostPerHit, CostError> {
    hub.set_kinds(id, Kinds::ALL)?;
    let mut bench = Bench { hub, id, goroutines: Goroutines::new(IDENTITY, DEPTH), unprobed: 0.0 };
    bench.unprobed = bench.time(UNPROBED, CALLS);
    let mut emulated = Kind::ALL.map(|kind| bench.time(of_kind(kind), CALLS));
    let single_stepped = bench.time(AT_SINGLE_STEPPED, SLOW_CALLS);
    bench.hub.set_control(id, ALL_STACKS)?;
    let with_stack = bench.time(of_kind(Kind::Birth), CALLS);
    let stack = (with_stack - emulated[Kind::Birth.index()]).max(0.0);
    // Its stack is always taken, and ours has hardly one there: compilers of Rust need no frame pointers.
    emulated[Kind::Site.index()] += stack;
    // What the program takes does not depend on the instruction that it is attached to.
    let end = emulated[Kind::End.index()];
    Ok(CostPerHit { emulated, single_stepped: emulated.map(|kind| single_stepped + kind - end), stack })
}

const IDENTITY: Identity =
    Identity { goid: 1, parent_goid: 2, creation_pc: 0x1000, start_pc: 0x2000, wait_reason: 0 };

/// The first specimen that is not left to tests.
const OWN: u64 = 8;

/// An end probe at the other instruction, and no probe.
const AT_SINGLE_STEPPED: Specimen = Specimen::new(OWN + 5);
const UNPROBED: Specimen = Specimen::new(OWN + 6);

/// The specimen with a probe of this kind at its emulated instruction.
const fn of_kind(kind: Kind) -> Specimen {
    Specimen::new(OWN + kind.index() as u64)
}

/// Everything at once, each at a specimen of its own: attaching is what takes time.
fn sites() -> std::io::Result<Vec<ProbeSite>> {
    let site = |kind, specimen: Specimen, cost| {
        Ok(ProbeSite { kind, offset: specimen.place(cost)?, g: GRegister::Arg0 })
    };
    let of_kinds = Kind::ALL.map(|kind| site(kind, of_kind(kind), Cost::Emulated));
    let other = site(Kind::End, AT_SINGLE_STEPPED, Cost::SingleStepped);
    of_kinds.into_iter().chain([other]).collect()
}

struct Bench<'h> {
    hub: &'h mut Hub,
    id: TargetId,
    goroutines: Goroutines,
    unprobed: f64,
}

impl Bench<'_> {
    /// The median time of a call, less that of a call without a probe.
    fn time(&mut self, specimen: Specimen, calls: u32) -> f64 {
        // The first hits of a `nop` are those in which the kernel replaces it.
        self.round(specimen, SLOW_CALLS);
        let mut rounds: [f64; ROUNDS] = std::array::from_fn(|_| self.round(specimen, calls));
        rounds.sort_by(f64::total_cmp);
        (rounds[ROUNDS / 2] - self.unprobed).max(0.0)
    }

    fn round(&mut self, specimen: Specimen, calls: u32) -> f64 {
        let began = Instant::now();
        for _ in 0..calls {
            self.goroutines.run(specimen);
        }
        let took = began.elapsed();
        self.hub.drain(self.id, usize::MAX, |_| ());
        took.as_secs_f64() * 1e9 / f64::from(calls)
    }
}
