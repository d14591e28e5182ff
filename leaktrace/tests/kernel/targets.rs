//! Many targets at a time: what one does is nothing to the others.

use std::collections::BTreeMap;
use std::time::Duration;

use leaktrace::kernel::specimen::Specimen;
use leaktrace::kernel::{Hub, Loaded, Loader, TargetId, TargetOptions};
use leaktrace_common::event::Kind;
use leaktrace_common::layout::Control;
use leaktrace_core::trace::budget::Kinds;
use leaktrace_core::trace::decode::{Event, decode};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::bench::{add, goroutines, hub};
use crate::{LARGE, TINY};

#[test]
fn a_flood_of_one_target_takes_nothing_from_another() {
    let Some(mut hub) = hub(None) else { return };
    let [noisy, quiet] = [9, 10].map(Specimen::new);
    let flooded = add(&mut hub, noisy, &Kind::ALL, &TargetOptions::with_ring_bytes(TINY));
    let other = add(&mut hub, quiet, &Kind::ALL, &TargetOptions::with_ring_bytes(1 << 20));
    for id in [flooded, other] {
        hub.set_kinds(id, Kinds::ALL).unwrap();
    }
    let goroutines = goroutines(2);
    for _ in 0..500 {
        (0..20).for_each(|_| goroutines.run(noisy));
        goroutines.run(quiet);
    }
    let [of_flooded, of_other] = [flooded, other].map(|id| hub.counters(id).unwrap());
    assert!(of_flooded.lost() > 9_000, "the ring was too large to overflow: {of_flooded:?}");
    assert_eq!(of_other.hits, [500; Kind::ALL.len()]);
    assert_eq!((of_other.drops, of_other.lost()), ([[0; 3]; Kind::ALL.len()], 0));
    let [records, stacks] = tally(&mut hub, other);
    assert_eq!(records, 500 * Kind::ALL.len());
    assert_eq!(
        stacks,
        16 + 7,
        "its stacks are sampled by its own births: every 64th of 500 after the first 16"
    );
}

/// How many records wait, and how many of them have a stack; each must be of this target.
fn tally(hub: &mut Hub, id: TargetId) -> [usize; 2] {
    let mut stacks = 0;
    let drained = hub.drain(id, usize::MAX, |record| {
        match decode(record).expect("the programs write what can be decoded") {
            Event::Birth(birth) => stacks += usize::from(!birth.stack.is_empty()),
            event => assert_eq!(event.about().target, id.number()),
        }
    });
    assert_eq!(drained.foreign, 0);
    [drained.records, stacks]
}

#[test]
fn control_is_of_one_target_only() {
    let Some(mut hub) = hub(None) else { return };
    let specimens = [11, 12].map(Specimen::new);
    let ids = specimens
        .map(|specimen| add(&mut hub, specimen, &[Kind::Birth], &TargetOptions::with_ring_bytes(LARGE)));
    let none = Control { stacks_per_site: 0, stack_sample_mask: u32::MAX, wakeup_bytes: u32::MAX, wakers: 0 };
    hub.set_control(ids[0], none).unwrap();
    for (id, specimen) in ids.into_iter().zip(specimens) {
        hub.set_kinds(id, Kinds::ALL).unwrap();
        goroutines(2).run(specimen);
    }
    assert_eq!(ids.map(|id| tally(&mut hub, id)), [[1, 0], [1, 1]]);
}

#[test]
fn a_round_takes_no_more_of_a_target_than_its_share() {
    let Some(mut hub) = hub(None) else { return };
    let specimens = [13, 14].map(Specimen::new);
    let ids = specimens
        .map(|specimen| add(&mut hub, specimen, &[Kind::End], &TargetOptions::with_ring_bytes(LARGE)));
    for (id, (specimen, times)) in ids.into_iter().zip(specimens.into_iter().zip([1000, 10])) {
        hub.set_kinds(id, Kinds::ALL).unwrap();
        let goroutines = goroutines(0);
        (0..times).for_each(|_| goroutines.run(specimen));
    }
    let mut rounds = Vec::new();
    for _ in 0..2 {
        let (mut counts, mut order) = (BTreeMap::new(), Vec::new());
        let drained = hub.drain_all(100, |id, _| {
            *counts.entry(id).or_insert(0) += 1;
            if order.last() != Some(&id) {
                order.push(id);
            }
        });
        assert!(drained.more, "the first has more than its share");
        rounds.push((counts, order));
    }
    assert_eq!(rounds[0], (BTreeMap::from([(ids[0], 100), (ids[1], 10)]), ids.to_vec()));
    assert_eq!(rounds[1], (BTreeMap::from([(ids[0], 100)]), vec![ids[0]]));
    assert_eq!(hub.drain(ids[0], usize::MAX, |_| ()).records, 800);
}

#[test]
fn the_hub_can_be_waited_for_when_any_ring_fills() {
    let Some(mut hub) = hub(None) else { return };
    let specimens = [22, 23].map(Specimen::new);
    let asks = |wakeup_bytes| {
        let options = TargetOptions::with_ring_bytes(1 << 20);
        TargetOptions { control: Control { wakeup_bytes, ..options.control }, ..options }
    };
    let ids = [(specimens[0], u32::MAX), (specimens[1], 1024)]
        .map(|(specimen, wakeup_bytes)| add(&mut hub, specimen, &[Kind::End], &asks(wakeup_bytes)));
    let goroutines = goroutines(0);
    for (id, (specimen, wakes)) in ids.into_iter().zip(specimens.into_iter().zip([false, true])) {
        hub.set_kinds(id, Kinds::ALL).unwrap();
        (0..1000).for_each(|_| goroutines.run(specimen));
        assert_eq!(is_readable(&hub), wakes, "a thousand records of 40 bytes wait");
    }
    assert_eq!(hub.drain_all(usize::MAX, |_, _| ()).records, 2000);
    assert!(!is_readable(&hub), "nothing waits");
}

#[test]
fn what_the_holder_of_the_probes_uses_is_laid_to_the_target_that_it_works_for() {
    let Some(mut hub) = hub(None) else { return };
    let [busy, idle] = [30, 31].map(|number| {
        let options = TargetOptions::with_ring_bytes(1 << 20);
        add(&mut hub, Specimen::new(number), &Kind::ALL, &options)
    });
    for id in [busy, idle] {
        hub.set_kinds(id, Kinds::ALL).unwrap();
        hub.wait_until_detached(id).unwrap();
    }
    let [busy_before, idle_before] = [busy, idle].map(|id| hub.keeper_cpu_for(id));
    assert!(!busy_before.is_zero() && !idle_before.is_zero(), "to attach takes time");
    for kinds in [Kinds::NONE, Kinds::ALL].into_iter().cycle().take(20) {
        hub.set_kinds(busy, kinds).unwrap();
        hub.wait_until_detached(busy).unwrap();
    }
    let used = hub.keeper_cpu_for(busy).saturating_sub(busy_before);
    assert!(used >= Duration::from_millis(1), "{used:?} to attach and detach ten times");
    assert_eq!(hub.keeper_cpu_for(idle), idle_before);
    assert_eq!(hub.keeper_cpu_for(busy) + hub.keeper_cpu_for(idle), hub.keeper_cpu());
}

fn is_readable(hub: &Hub) -> bool {
    let mut fds = [PollFd::new(hub, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).expect("it can be waited for") > 0
}

/// Programs can be loaded on other threads, and whoever has the hub can move.
const _: fn() = || {
    fn is_shared<T: Send + Sync>() {}
    fn is_sent<T: Send>() {}
    is_shared::<Loader>();
    is_sent::<Loaded>();
    is_sent::<Hub>();
};
