//! More targets than fit into any table come and go, in a process that does nothing else: what they had is gone.

use std::collections::BTreeSet;
use std::fs;

use aya::maps::loaded_maps;
use leaktrace::kernel::specimen::{Goroutines, Identity, Specimen, own_exe};
use leaktrace::kernel::{Hub, HubOptions, LoadError, ProbeSite, TargetId, TargetOptions, Tracee};
use leaktrace_common::cookie::GRegister;
use leaktrace_common::event::Kind;
use leaktrace_core::trace::budget::Kinds;
use leaktrace_core::trace::plan::Cost;
use leaktrace_tests::poll::{PATIENCE, poll_until};
use leaktrace_tests::privilege::skip;

const MANY: usize = 80;

/// A ring of one page: the smallest.
const TINY: u32 = 4096;

const IDENTITY: Identity = Identity { goid: 1, parent_goid: 2, creation_pc: 3, start_pc: 4, wait_reason: 5 };

#[test]
fn many_targets_come_and_go_and_leave_nothing() {
    let mut hub = match Hub::new(HubOptions::default()) {
        Ok(hub) => hub,
        Err(LoadError::NotPermitted(why)) => {
            return skip(&format!("loading programs is not permitted: {why}"));
        }
        Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
    };
    let before = (descriptors(), threads());
    for _ in 0..2 {
        let maps = come_and_go(&mut hub);
        assert!(maps.len() > MANY, "each target has maps of its own");
        poll_until(PATIENCE, "every map, descriptor and thread to be gone", || {
            let left = loaded_maps().flatten().filter(|map| maps.contains(&map.id())).count();
            (left == 0 && (descriptors(), threads()) == before).then_some(())
        });
    }
}

/// Traces one specimen many times over; the ids of all maps that this took.
fn come_and_go(hub: &mut Hub) -> BTreeSet<u32> {
    let (specimen, goroutines) = (Specimen::new(0), Goroutines::new(IDENTITY, 0));
    let offset = specimen.place(Cost::Emulated).expect("our own binary is mapped");
    let sites = [ProbeSite { kind: Kind::End, offset, g: GRegister::Arg0 }];
    let exe = own_exe().expect("we run");
    let tracee = Tracee { pid: std::process::id(), exe: &exe, layout: Goroutines::layout(), sites: &sites };
    let options = TargetOptions::with_ring_bytes(TINY);
    let ids: Vec<TargetId> =
        (0..MANY).map(|_| hub.add(&tracee, &options).expect("one more can be loaded")).collect();
    for &id in &ids {
        hub.set_kinds(id, Kinds::ALL).expect("what is loaded can be attached");
    }
    goroutines.run(specimen);
    let drained = hub.drain_all(usize::MAX, |_, _| ());
    assert_eq!((drained.records, drained.foreign), (MANY, 0), "each has the record for itself");
    let maps = map_ids();
    for &id in &ids {
        assert_eq!(hub.counters(id).expect("the map is there").hits_of(Kind::End), 1);
        hub.remove(id);
        assert!(hub.is_detached(id) && hub.set_kinds(id, Kinds::ALL).is_err(), "it is gone");
    }
    assert_eq!(hub.targets().count(), 0);
    maps
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("proc is mounted").count()
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").expect("proc is mounted").count()
}

/// The maps that this process has open.
fn map_ids() -> BTreeSet<u32> {
    let infos = fs::read_dir("/proc/self/fdinfo").expect("proc is mounted").flatten();
    let texts = infos.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    texts
        .filter_map(|text| text.lines().find_map(|line| line.strip_prefix("map_id:")?.trim().parse().ok()))
        .collect()
}
