//! The process that holds the probes has room for some targets, and is asked to take on more.

use std::fs;

use leaktrace::kernel::specimen::{Goroutines, Identity, Specimen, own_exe};
use leaktrace::kernel::{
    AttachError, Hub, HubOptions, LoadError, ProbeSite, TargetId, TargetOptions, Tracee,
};
use leaktrace_common::cookie::GRegister;
use leaktrace_common::event::Kind;
use leaktrace_core::trace::budget::Kinds;
use leaktrace_core::trace::plan::Cost;
use leaktrace_tests::poll::{PATIENCE, poll_until};
use leaktrace_tests::privilege::skip;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

const IDENTITY: Identity = Identity { goid: 1, parent_goid: 2, creation_pc: 3, start_pc: 4, wait_reason: 5 };

#[test]
fn whom_there_is_no_room_for_is_refused_and_nobody_else() {
    let mut hub = match Hub::new(HubOptions::default()) {
        Ok(hub) => hub,
        Err(LoadError::NotPermitted(why)) => {
            return skip(&format!("loading programs is not permitted: {why}"));
        }
        Err(error) => panic!("{error}"),
    };
    prlimit(Some(only_child()), Resource::Nofile, Rlimit { current: Some(40), maximum: Some(40) }).unwrap();
    let (specimen, goroutines) = (Specimen::new(0), Goroutines::new(IDENTITY, 0));
    let offset = specimen.place(Cost::Emulated).expect("our own binary is mapped");
    let sites = [ProbeSite { kind: Kind::End, offset, g: GRegister::Arg0 }];
    let exe = own_exe().expect("we run");
    let tracee = Tracee { pid: std::process::id(), exe: &exe, layout: Goroutines::layout(), sites: &sites };
    let add = |hub: &mut Hub| {
        let id = hub.add(&tracee, &TargetOptions::with_ring_bytes(4096)).expect("one more can be loaded");
        (id, hub.set_kinds(id, Kinds::ALL))
    };
    let mut taken: Vec<TargetId> = Vec::new();
    let refused = loop {
        match add(&mut hub) {
            (id, Ok(())) => taken.push(id),
            (id, Err(error)) => break (id, error),
        }
        assert!(taken.len() < 40, "there is no room for so many");
    };
    assert!(
        matches!(&refused.1, AttachError::Taking(error) if error.raw_os_error() == Some(libc::EMFILE)),
        "{refused:?}"
    );
    hub.remove(refused.0);
    goroutines.run(specimen);
    assert!(taken.len() > 2, "{taken:?}");
    for id in &taken {
        assert_eq!(hub.counters(*id).expect("the map is there").hits_of(Kind::End), 1);
    }
    hub.remove(taken[0]);
    poll_until(PATIENCE, "room for one more", || {
        let (id, added) = add(&mut hub);
        added.inspect_err(|_| hub.remove(id)).ok()
    });
}

/// The process that holds the probes.
fn only_child() -> Pid {
    let threads = fs::read_dir("/proc/self/task").expect("proc is mounted").flatten();
    let children = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let all: String = children.collect();
    Pid::from_raw(all.trim().parse().expect("there is one")).expect("it has an id")
}
