//! Whatever is lost or late, snapshots bring the registry back to the truth.

use std::collections::BTreeMap;

use leaktrace_common::event::Kind;
use leaktrace_core::base::num::Goid;
use leaktrace_core::go::goroutines::Goroutine;
use leaktrace_core::go::names::Status;
use proptest::prelude::*;

use crate::support::{SITE, Watch, birth_record, goroutine, record, snapshot};

/// What a goroutine of the simulated program does.
#[derive(Clone, Copy, Debug)]
enum Step {
    Spawn,
    End(usize),
    Park(usize, u8),
    Ready(usize),
    Snapshot(u64),
}

/// A program that runs: what is true, and what the probes wrote of it.
#[derive(Default)]
struct Program {
    now: u64,
    next: u64,
    alive: BTreeMap<u64, (Status, u8)>,
    births: u64,
    ends: u64,
    /// Records in the order in which they reach the ring, by the time at which they do.
    records: Vec<(u64, Vec<u8>)>,
}

impl Program {
    fn pick(&self, index: usize) -> Option<u64> {
        let count = self.alive.len();
        (count > 0).then(|| self.alive.keys().nth(index % count).copied())?
    }

    /// Takes one step, whose record is lost or comes `late` nanoseconds after its time.
    fn step(&mut self, step: Step, lost: bool, late: u64) {
        self.now += 1_000;
        let bytes = match step {
            Step::Spawn => {
                self.next += 1;
                self.births += 1;
                self.alive.insert(self.next, (Status::Runnable, 0));
                Some(birth_record(self.now, self.next, SITE, &[]))
            }
            Step::End(index) => self.pick(index).map(|goid| {
                self.alive.remove(&goid);
                self.ends += 1;
                record(Kind::End, self.now, goid, &[])
            }),
            Step::Park(index, reason) => self.pick(index).map(|goid| {
                self.alive.insert(goid, (Status::Waiting, reason));
                record(Kind::Park, self.now, goid, &[u64::from(reason)])
            }),
            Step::Ready(index) => self.pick(index).map(|goid| {
                self.alive.insert(goid, (Status::Runnable, 0));
                record(Kind::Ready, self.now, goid, &[0])
            }),
            Step::Snapshot(_) => None,
        };
        self.records.extend(bytes.filter(|_| !lost).map(|bytes| (self.now + late, bytes)));
    }

    fn shown(&self, goid: u64) -> Option<Goroutine> {
        self.alive.get(&goid).map(|&(status, reason)| goroutine(goid, status, reason))
    }

    /// Hands all records that have reached the ring to the registry.
    fn drain(&mut self, watch: &mut Watch, all: bool) {
        self.records.sort_by_key(|(at, _)| *at);
        let ready = self.records.partition_point(|(at, _)| all || *at <= self.now);
        for (_, bytes) in self.records.drain(..ready) {
            watch.feed(&bytes);
        }
    }
}

/// A step, how it fares on its way to us, and what else happens.
type Planned = (Step, u8, u16);

fn steps() -> impl Strategy<Value = Vec<Planned>> {
    let step = prop_oneof![
        4 => Just(Step::Spawn),
        3 => any::<usize>().prop_map(Step::End),
        4 => (any::<usize>(), 1_u8..30).prop_map(|(index, reason)| Step::Park(index, reason)),
        3 => any::<usize>().prop_map(Step::Ready),
        1 => any::<u64>().prop_map(Step::Snapshot),
    ];
    prop::collection::vec((step, any::<u8>(), any::<u16>()), 0..400)
}

/// Runs a program of `steps`; a snapshot takes the time of some steps, and reads each goroutine in one of them.
fn run(steps: &[Planned], lost_of_256: u8, late: bool) -> (Program, Watch) {
    let (mut program, mut watch) = (Program::default(), Watch::attached_at(0));
    for _ in 0..5 {
        program.step(Step::Spawn, true, 0);
    }
    let mut queue = steps.iter();
    while let Some(&(step, luck, delay)) = queue.next() {
        if let Step::Snapshot(seed) = step {
            let span: Vec<Planned> = queue.by_ref().take(usize::from(delay % 12)).copied().collect();
            let fate = (lost_of_256, late);
            take_snapshot(&mut program, &mut watch, seed, &span, fate);
        } else {
            program.step(step, luck < lost_of_256, if late { u64::from(delay) } else { 0 });
        }
    }
    (program, watch)
}

fn take_snapshot(program: &mut Program, watch: &mut Watch, seed: u64, span: &[Planned], fate: (u8, bool)) {
    watch.registry.expect_snapshot();
    let started = program.now + 1;
    let mut shown = BTreeMap::new();
    let moment = |goid: u64| (seed ^ goid.wrapping_mul(0x9e37_79b9)) % (span.len() as u64 + 1);
    for (index, &(step, luck, delay)) in span.iter().enumerate() {
        read(program, &mut shown, |goid| moment(goid) == index as u64);
        program.step(step, luck < fate.0, if fate.1 { u64::from(delay) } else { 0 });
    }
    read(program, &mut shown, |goid| moment(goid) == span.len() as u64);
    program.drain(watch, true);
    watch.registry.reconcile(&snapshot(started, program.now + 1, shown.into_values().collect()));
}

fn read(program: &Program, shown: &mut BTreeMap<u64, Goroutine>, now: impl Fn(u64) -> bool) {
    let read = program.alive.keys().filter(|goid| now(**goid));
    shown.extend(read.filter_map(|&goid| Some((goid, program.shown(goid)?))));
}

/// The registry's goroutines and states equal the program's.
#[track_caller]
fn assert_truth(program: &Program, watch: &Watch) {
    watch.counts();
    let known: BTreeMap<u64, (Status, u8)> = watch
        .registry
        .goroutines()
        .map(|known| {
            (known.goid.0, (known.status, if known.status.is_waiting() { known.wait_reason } else { 0 }))
        })
        .collect();
    assert_eq!(known, program.alive);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn nothing_lost_and_in_order_is_exact_without_any_repair(steps in steps()) {
        let (mut program, mut watch) = run(&steps, 0, false);
        program.drain(&mut watch, true);
        // The five goroutines from before the attachment are known from the first snapshot on.
        let before: Vec<u64> = (1..=5).filter(|&goid| watch.registry.get(Goid(goid)).is_some()).collect();
        if watch.counts().snapshots > 0 {
            assert_truth(&program, &watch);
        } else {
            prop_assert!(before.is_empty());
        }
        let counts = watch.counts();
        prop_assert_eq!(counts.born, program.births - 5);
        prop_assert_eq!(counts.ended + counts.ends_unmatched, program.ends);
        prop_assert_eq!((counts.ghosts_removed, counts.births_recovered, counts.births_repeated), (0, 0, 0));
    }

    #[test]
    fn late_events_change_nothing_in_the_end(steps in steps()) {
        let (mut program, mut watch) = run(&steps, 0, true);
        take_snapshot(&mut program, &mut watch, 0, &[], (0, true));
        assert_truth(&program, &watch);
        let counts = watch.counts();
        prop_assert_eq!(counts.births_recovered, 0);
        prop_assert_eq!(counts.born + counts.before_attach, program.births - counts.ends_unmatched);
    }

    #[test]
    fn one_quiet_snapshot_repairs_every_loss(steps in steps(), lost: u8, late: bool) {
        let (mut program, mut watch) = run(&steps, lost, late);
        program.drain(&mut watch, true);
        watch.counts();
        take_snapshot(&mut program, &mut watch, 0, &[], (0, false));
        assert_truth(&program, &watch);
        let counts = watch.counts();
        prop_assert!(counts.born + counts.before_attach <= program.births, "counted twice: {:?}", counts);
        prop_assert!(counts.ended + counts.ends_unmatched <= program.ends, "counted twice: {:?}", counts);
    }
}
