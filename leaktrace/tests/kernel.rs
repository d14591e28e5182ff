//! The eBPF programs on the running kernel, attached to a function of this very process.
//!
//! They need the privileges of tracing. Without them each test says that it was skipped and why; where
//! `CI=true` that is a failure.

use leaktrace::kernel::specimen::{Goroutines, Identity, own_exe, place};
use leaktrace::kernel::{Attached, Backend, LoadError, Options, ProbeSite, Probes, Tracee};
use leaktrace_common::cookie::GRegister;
use leaktrace_common::event::Kind;
use leaktrace_core::decode::{Event, decode};
use leaktrace_core::plan::Cost;
use leaktrace_tests::privilege::skip;

const IDENTITY: Identity =
    Identity { goid: 42, parent_goid: 7, creation_pc: 0x1234, start_pc: 0x5678, wait_reason: 19 };

const BACKENDS: [Backend; 2] = [Backend::UprobeMulti, Backend::PerfEvent];

/// Loads the programs, or says why the test is skipped.
fn load(options: Options) -> Option<Probes> {
    match Probes::load(&options) {
        Ok(probes) => Some(probes),
        Err(LoadError::NotPermitted(why)) => {
            skip(&format!("loading eBPF programs is not permitted: {why}"));
            None
        }
        Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
    }
}

fn attach(probes: &mut Probes, kinds: &[Kind], cost: Cost) -> Attached {
    let tracee = Tracee { index: 3, pid: std::process::id(), exe: own_exe(), layout: Goroutines::layout() };
    let offset = place(cost).expect("our own binary is mapped");
    let sites = kinds.iter().map(|&kind| ProbeSite { kind, offset, g: GRegister::Arg0 });
    probes.attach(&tracee, sites).expect("what can be loaded can be attached")
}

fn records(probes: &mut Probes) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    probes.ring.drain(|record| records.push(record.to_vec()));
    records
}

#[test]
fn every_kind_of_event_says_what_the_process_has() {
    for backend in BACKENDS {
        let Some(mut probes) = load(Options { backend: Some(backend), ..Options::default() }) else { return };
        assert_eq!(probes.backend(), backend);
        attach(&mut probes, &Kind::ALL, Cost::Emulated);
        let goroutines = Goroutines::new(IDENTITY, 3);
        goroutines.run();
        let records = records(&mut probes);
        let mut events: Vec<_> = records.iter().map(|record| decode(record).unwrap()).collect();
        events.sort_by_key(Event::kind);
        assert_eq!(events.iter().map(Event::kind).collect::<Vec<_>>(), Kind::ALL);
    }
}
