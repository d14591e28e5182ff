//! Ring 2: two Go processes under one hub. They run the same binary, so every instruction that is probed is probed twice.

use std::sync::Arc;

use leaktrace::inspect::Inspected;
use leaktrace::kernel::{Hub, HubOptions, ProbeSite, TargetId, TargetOptions, Tracee};
use leaktrace::process::find::HeldProcess;
use leaktrace::process::{Pid, Procfs};
use leaktrace_common::drops::DropReason;
use leaktrace_common::event::Kind;
use leaktrace_core::trace::budget::Kinds;
use leaktrace_core::trace::decode::{Event, decode};
use leaktrace_tests::poll::{PATIENCE, poll_until};
use leaktrace_tests::privilege::can_probe;
use leaktrace_tests::{Mode, Target, Version};

/// A ring of one page: the smallest.
const TINY: u32 = 4096;

/// How many records a round takes of each.
const SHARE: usize = 1000;

/// Attaches all four probes to a process that runs already.
fn attach(hub: &mut Hub, pid: u32, ring_bytes: u32) -> TargetId {
    let procfs = Procfs::system();
    let process = Arc::new(HeldProcess::open(&procfs, Pid(pid)).expect("it runs"));
    let inspected = Inspected::new(Arc::clone(&process), &procfs).expect("it is a Go process");
    let plan = inspected.plan(&Kind::IN_RUNTIME).expect("it can be planned");
    let sites: Vec<ProbeSite> = plan.sites.iter().map(Into::into).collect();
    let layout = inspected.program().layout.for_probes();
    let exe = process.exe.reopen(Pid(pid)).expect("it runs the same program");
    let tracee = Tracee { pid, exe: &exe, layout, sites: &sites };
    let id = hub.add(&tracee, &TargetOptions::with_ring_bytes(ring_bytes)).expect("it can be loaded");
    hub.set_kinds(id, Kinds::ALL).expect("it can be attached");
    id
}

/// What came of one target.
#[derive(Default)]
struct Seen {
    records: u64,
    births: u64,
}

impl Seen {
    fn take(&mut self, id: TargetId, record: &[u8]) {
        let event = decode(record).expect("the programs write what can be decoded");
        assert_eq!(event.about().target, id.number());
        self.records += 1;
        self.births += u64::from(matches!(event, Event::Birth(_)));
    }
}

#[test]
fn a_storm_in_one_process_is_nothing_to_another() {
    if !can_probe() {
        return;
    }
    let mut stormy = Target::start(Version::NEWEST, Mode::Plain, "storm=2");
    let mut quiet = Target::start(Version::NEWEST, Mode::Plain, "driven=5 exits=1");
    let mut hub = Hub::new(HubOptions::default()).expect("we may probe");
    let storm = attach(&mut hub, stormy.pid(), TINY);
    let other = attach(&mut hub, quiet.pid(), 1 << 20);
    let (mut of_storm, mut of_other) = (Seen::default(), Seen::default());
    for _ in 0..20 {
        quiet.command("spawn 100");
        hub.drain_all(SHARE, |id, record| {
            let seen = if id == storm { &mut of_storm } else { &mut of_other };
            seen.take(id, record);
        });
    }
    poll_until(PATIENCE, "the storm floods its ring", || {
        (hub.counters(storm).expect("it is traced").lost() > 10_000).then_some(())
    });
    stormy.command("calm 0");
    quiet.command("settle");
    hub.set_kinds(storm, Kinds::NONE).expect("it is traced");
    hub.wait_until_detached(storm).expect("the keeper answers");
    hub.drain(storm, usize::MAX, |record| of_storm.take(storm, record));
    let counted = hub.counters(storm).expect("it is traced");
    let dropped: u64 = Kind::IN_RUNTIME.into_iter().map(|kind| counted.dropped_of(kind)).sum();
    assert_eq!(counted.hits.iter().sum::<u64>(), of_storm.records + dropped);
    assert_eq!(hub.kinds(other), Kinds::IN_RUNTIME, "the other one goes on");

    ended_by_exec(&mut hub, other, &mut quiet);
    hub.drain(other, usize::MAX, |record| of_other.take(other, record));
    let counted = hub.counters(other).expect("it is traced");
    assert_eq!(
        (counted.lost(), counted.hits_of(Kind::Birth) - counted.dropped_of(Kind::Birth)),
        (0, of_other.births)
    );
    assert!((2000..2100).contains(&of_other.births), "{} births", of_other.births);
    assert!(!hub.has_execed(storm));
}

/// Has the process exec itself: from then on its hits are another program's.
fn ended_by_exec(hub: &mut Hub, id: TargetId, process: &mut Target) {
    let foreign = |hub: &Hub| hub.counters(id).expect("it is traced").dropped_for(DropReason::OtherProcess);
    assert!(!hub.has_execed(id));
    assert_eq!(foreign(hub), 0);
    process.send("exec 0");
    process.await_ready();
    assert!(hub.has_execed(id));
    process.command("spawn 100");
    process.command("settle");
    // The kernel knows a process by its first thread. If another one execs, that thread is no more, and no probe is in the
    // new program; else the same binary has the same probes, and all that they see is left out.
    let left_out = foreign(hub);
    assert!(left_out == 0 || left_out >= 100, "{left_out} of at least 100 hits are left out");
}
