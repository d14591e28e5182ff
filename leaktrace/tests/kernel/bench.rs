//! The programs, attached to a specimen.

use std::collections::BTreeMap;

use leaktrace::kernel::specimen::{Goroutines, Identity, Specimen, own_exe};
use leaktrace::kernel::{Backend, LoadError, Options, ProbeSite, Probes, Tracee};
use leaktrace_common::cookie::GRegister;
use leaktrace_common::event::Kind;
use leaktrace_common::layout::GoLayout;
use leaktrace_core::trace::decode::{BirthEvent, Event, decode};
use leaktrace_core::trace::plan::Cost;
use leaktrace_tests::privilege::skip;

pub(crate) const IDENTITY: Identity =
    Identity { goid: 42, parent_goid: 7, creation_pc: 0x1234, start_pc: 0x5678, wait_reason: 19 };

/// The index of this process; any will do.
pub(crate) const INDEX: u16 = 3;

/// The loaded programs and the specimen that this test has for itself.
pub(crate) struct Bench {
    pub(crate) probes: Probes,
    pub(crate) specimen: Specimen,
}

impl Bench {
    /// Loads the programs, or says why the test is skipped.
    pub(crate) fn load(specimen: u64, options: Options) -> Option<Self> {
        match Probes::load(&options) {
            Ok(probes) => Some(Self { probes, specimen: Specimen::new(specimen) }),
            Err(LoadError::NotPermitted(why)) => {
                skip(&format!("loading eBPF programs is not permitted: {why}"));
                None
            }
            Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
        }
    }

    pub(crate) fn on(specimen: u64, backend: Backend) -> Option<Self> {
        Self::load(specimen, Options { backend: Some(backend), ..Options::default() })
    }

    pub(crate) fn attach(&mut self, kinds: &[Kind], cost: Cost) {
        self.attach_to(std::process::id(), kinds, cost);
    }

    pub(crate) fn attach_to(&mut self, pid: u32, kinds: &[Kind], cost: Cost) {
        self.attach_with(pid, Goroutines::layout(), kinds, cost);
    }

    pub(crate) fn attach_with(&mut self, pid: u32, layout: GoLayout, kinds: &[Kind], cost: Cost) {
        let offset = self.specimen.place(cost).expect("our own binary is mapped");
        let sites = kinds.iter().map(|&kind| ProbeSite { kind, offset, g: GRegister::Arg0 });
        let tracee = Tracee { index: INDEX, pid, exe: own_exe(), layout };
        self.probes.attach(&tracee, sites).expect("what can be loaded can be attached");
    }

    pub(crate) fn run(&self, goroutines: &Goroutines, times: u32) {
        for _ in 0..times {
            goroutines.run(self.specimen);
        }
    }

    /// How many records of each kind wait; each must be well formed and about this process.
    pub(crate) fn drain(&mut self) -> BTreeMap<Kind, u64> {
        let mut counts = BTreeMap::new();
        self.probes.ring.drain(|record| {
            let event = decode(record).expect("the programs write what can be decoded");
            assert_eq!(event.about().target, u32::from(INDEX));
            *counts.entry(event.kind()).or_default() += 1;
        });
        counts
    }

    /// The one birth that waits.
    pub(crate) fn birth<T>(&mut self, see: impl Fn(&BirthEvent<'_>) -> T) -> T {
        let mut seen = Vec::new();
        self.probes.ring.drain(|record| match decode(record) {
            Ok(Event::Birth(birth)) => seen.push(see(&birth)),
            other => panic!("{other:?} is not a birth"),
        });
        assert_eq!(seen.len(), 1);
        seen.remove(0)
    }

    pub(crate) fn detach(&mut self) {
        self.probes.detach_target(INDEX);
        self.probes.wait_until_detached();
    }
}

pub(crate) fn goroutines(depth: usize) -> Goroutines {
    Goroutines::new(IDENTITY, depth)
}
