//! The programs, attached to a specimen.

use std::collections::BTreeMap;

use leaktrace::kernel::specimen::{Goroutines, Identity, Specimen, own_exe};
use leaktrace::kernel::{
    Backend, Counters, Hub, HubOptions, LoadError, ProbeSite, TargetId, TargetOptions, Tracee,
};
use leaktrace_common::cookie::GRegister;
use leaktrace_common::event::Kind;
use leaktrace_common::layout::GoLayout;
use leaktrace_core::trace::budget::Kinds;
use leaktrace_core::trace::decode::{BirthEvent, Event, decode};
use leaktrace_core::trace::plan::Cost;
use leaktrace_tests::privilege::skip;

use crate::LARGE;

pub(crate) const IDENTITY: Identity =
    Identity { goid: 42, parent_goid: 7, creation_pc: 0x1234, start_pc: 0x5678, wait_reason: 19 };

/// A hub and the specimen that this test has for itself, as one target.
pub(crate) struct Bench {
    pub(crate) hub: Hub,
    pub(crate) specimen: Specimen,
    options: TargetOptions,
    id: Option<TargetId>,
}

/// A hub, or why the test is skipped.
pub(crate) fn hub(backend: Option<Backend>) -> Option<Hub> {
    match Hub::new(HubOptions { backend }) {
        Ok(hub) => Some(hub),
        Err(LoadError::NotPermitted(why)) => {
            skip(&format!("loading eBPF programs is not permitted: {why}"));
            None
        }
        Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
    }
}

/// Adds the same specimen, in this process, as one more target.
pub(crate) fn add(hub: &mut Hub, specimen: Specimen, kinds: &[Kind], options: &TargetOptions) -> TargetId {
    let offset = specimen.place(Cost::Emulated).expect("our own binary is mapped");
    let sites: Vec<ProbeSite> =
        kinds.iter().map(|&kind| ProbeSite { kind, offset, g: GRegister::Arg0 }).collect();
    let exe = own_exe().expect("we run");
    let tracee = Tracee { pid: std::process::id(), exe: &exe, layout: Goroutines::layout(), sites: &sites };
    hub.add(&tracee, options).expect("what can be asked for can be loaded")
}

impl Bench {
    /// The best way to attach, or why the test is skipped.
    pub(crate) fn load(specimen: u64, options: TargetOptions) -> Option<Self> {
        Some(Self { hub: hub(None)?, specimen: Specimen::new(specimen), options, id: None })
    }

    pub(crate) fn on(specimen: u64, backend: Backend) -> Option<Self> {
        let hub = hub(Some(backend))?;
        let options = TargetOptions::with_ring_bytes(LARGE);
        Some(Self { hub, specimen: Specimen::new(specimen), options, id: None })
    }

    pub(crate) fn attach(&mut self, kinds: &[Kind], cost: Cost) {
        self.attach_to(std::process::id(), kinds, cost);
    }

    pub(crate) fn attach_to(&mut self, pid: u32, kinds: &[Kind], cost: Cost) {
        self.attach_with(pid, Goroutines::layout(), kinds, cost);
    }

    pub(crate) fn attach_with(&mut self, pid: u32, layout: GoLayout, kinds: &[Kind], cost: Cost) {
        let offset = self.specimen.place(cost).expect("our own binary is mapped");
        let site = |&kind| ProbeSite { kind, offset, g: GRegister::Arg0 };
        self.attach_at(pid, layout, &kinds.iter().map(site).collect::<Vec<_>>());
    }

    pub(crate) fn attach_at(&mut self, pid: u32, layout: GoLayout, sites: &[ProbeSite]) {
        let exe = own_exe().expect("we run");
        let tracee = Tracee { pid, exe: &exe, layout, sites };
        let id = self.hub.add(&tracee, &self.options).expect("what can be asked for can be loaded");
        self.hub.set_kinds(id, Kinds::ALL).expect("what can be loaded can be attached");
        self.id = Some(id);
    }

    pub(crate) fn id(&self) -> TargetId {
        self.id.expect("something was attached")
    }

    pub(crate) fn run(&self, goroutines: &Goroutines, times: u32) {
        for _ in 0..times {
            goroutines.run(self.specimen);
        }
    }

    pub(crate) fn counters(&self) -> Counters {
        self.hub.counters(self.id()).expect("the map is there")
    }

    /// Hands over what waits; all of it is this process's.
    pub(crate) fn take(&mut self, each: impl FnMut(&[u8])) {
        let drained = self.hub.drain(self.id(), usize::MAX, each);
        assert!(drained.foreign == 0 && !drained.more);
    }

    /// How many records of each kind wait; each must be well formed and about this process.
    pub(crate) fn drain(&mut self) -> BTreeMap<Kind, u64> {
        let mut counts = BTreeMap::new();
        let id = self.id();
        self.take(|record| {
            let event = decode(record).expect("the programs write what can be decoded");
            assert_eq!(event.about().target, id.number());
            *counts.entry(event.kind()).or_default() += 1;
        });
        counts
    }

    /// The one birth that waits.
    pub(crate) fn birth<T>(&mut self, see: impl Fn(&BirthEvent<'_>) -> T) -> T {
        let mut seen = Vec::new();
        self.take(|record| match decode(record) {
            Ok(Event::Birth(birth)) => seen.push(see(&birth)),
            other => panic!("{other:?} is not a birth"),
        });
        assert_eq!(seen.len(), 1);
        seen.remove(0)
    }

    pub(crate) fn set_kinds(&mut self, kinds: Kinds) {
        self.hub.set_kinds(self.id(), kinds).expect("it was attached before");
        self.hub.wait_until_detached(self.id()).expect("the keeper answers");
        assert!(self.hub.is_detached(self.id()));
        assert_eq!(self.hub.kinds(self.id()), kinds);
    }
}

pub(crate) fn goroutines(depth: usize) -> Goroutines {
    Goroutines::new(IDENTITY, depth)
}
