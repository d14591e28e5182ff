mod kept;
mod still;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Range;

use proptest::prelude::*;

use super::*;
use crate::base::memory::{Memory, Pieces, ReadError};
use crate::binary::elf::Arch;
use crate::go::globals::{Found, Globals};
use crate::go::layout::GFields;
use crate::go::names::WaitReasons;
use crate::go::unwind::{FrameRule, FrameTraits};

const ALLGS: u64 = 0x1000;
const ALLGLEN: u64 = 0x1040;
const ALLGPTR: u64 = 0x1048;
const LIST: u64 = 0x10_0000;
const G_SIZE: u64 = 512;
const GS: u64 = 0x100_0000;
const STACKS: u64 = 0x1000_0000;
const STACK_SIZE: u64 = 2048;

const PARK: u64 = 0x40_0100;
const WORKER: u64 = 0x40_0200;
const BGSWEEP: u64 = 0x40_0300;
const FINALIZERS: u64 = 0x40_0400;
const GOEXIT: u64 = 0x40_0900;

const FINALIZER_WAIT: u8 = 2;
const COROUTINE: u8 = 3;

/// A program with a handful of functions whose frames are all one word beside the return address.
struct Program;

impl FrameRules for Program {
    fn rule(&self, pc: Pc) -> Option<FrameRule> {
        let end = FrameTraits::default().with(FrameTraits::OUTERMOST, true).with(FrameTraits::GOEXIT, true);
        match pc.0 {
            GOEXIT => Some(FrameRule { delta: Some(0), traits: end }),
            0x40_0000..0x41_0000 => Some(FrameRule { delta: Some(8), ..FrameRule::default() }),
            _ => None,
        }
    }
}

impl Code for Program {
    fn start_kind(&self, entry: Pc) -> StartKind {
        match entry.0 {
            BGSWEEP => StartKind::Runtime,
            FINALIZERS => StartKind::Finalizers,
            _ => StartKind::User,
        }
    }
}

fn fields() -> GFields {
    GFields {
        size: 456,
        stack_lo: 0,
        stack_hi: 8,
        stackguard1: 24,
        m: 48,
        sched_sp: 56,
        sched_pc: 64,
        sched_g: 72,
        sched_lr: 88,
        sched_bp: 96,
        syscall_sp: 104,
        syscall_pc: 112,
        syscall_bp: Some(120),
        atomicstatus: 144,
        goid: 152,
        schedlink: 160,
        waitsince: 168,
        waitreason: 176,
        tracking_seq: Some(191),
        lockedm: 208,
        parent_goid: Some(280),
        gopc: 288,
        ancestors: 296,
        startpc: 304,
        waiting: 320,
        labels: 352,
        timer: 360,
        sleep_when: Some(368),
        select_done: 376,
        bubble: Some(392),
        running_cleanups: Some(220),
    }
}

fn globals() -> Globals {
    Globals {
        allgs: Avma(ALLGS),
        allglen: Some(Avma(ALLGLEN)),
        allgptr: Some(Avma(ALLGPTR)),
        sched: None,
        allp: None,
        allm: None,
        semtable: None,
        fing_status: None,
        finalizer_words: Vec::new(),
        cleanup_words: Vec::new(),
        found: Found::Symbols,
    }
}

/// What happens to the memory before the given read.
type Event = Box<dyn Fn(u64, &mut BTreeMap<u64, u64>)>;

/// A process with slots for goroutines, and what happens to it while it is read.
struct World {
    words: RefCell<BTreeMap<u64, u64>>,
    reads: Cell<u64>,
    event: Event,
}

impl World {
    fn new(gs: &[u64]) -> Self {
        let world = Self { words: RefCell::default(), reads: Cell::new(0), event: Box::new(|_, _| {}) };
        world.list(LIST, gs);
        world
    }

    /// Goroutines parked in their slots, with goid 100 plus the slot.
    fn parked(slots: u64) -> Self {
        let world = Self::new(&(0..slots).map(g).collect::<Vec<_>>());
        (0..slots).for_each(|slot| world.park(slot));
        world
    }

    fn list(&self, at: u64, gs: &[u64]) {
        self.set(ALLGLEN, gs.len() as u64);
        self.set(ALLGPTR, at);
        for (index, g) in gs.iter().enumerate() {
            self.set(at + index as u64 * 8, *g);
        }
    }

    fn set(&self, at: u64, word: u64) {
        self.words.borrow_mut().insert(at, word);
    }

    fn park(&self, slot: u64) {
        let (g, hi) = (g(slot), STACKS + (slot + 1) * STACK_SIZE);
        for offset in (0..G_SIZE).step_by(8) {
            self.set(g + offset, 0);
        }
        let words = [(0, hi - STACK_SIZE), (8, hi), (56, hi - 40), (64, PARK), (144, 4), (152, 100 + slot)];
        for (offset, word) in words {
            self.set(g + offset, word);
        }
        let frames = [0, WORKER, 0, GOEXIT, 0];
        frames.into_iter().zip(0..).for_each(|(word, index)| self.set(hi - 40 + index * 8, word));
    }

    fn when(mut self, event: impl Fn(u64, &mut BTreeMap<u64, u64>) + 'static) -> Self {
        self.event = Box::new(event);
        self
    }

    fn snapshot(&self, want: Want) -> Snapshot {
        snapshot(self, want).unwrap()
    }
}

impl Memory for World {
    fn read(&self, at: Avma, buf: &mut [u8]) -> Result<(), ReadError> {
        self.reads.set(self.reads.get() + 1);
        (self.event)(self.reads.get(), &mut self.words.borrow_mut());
        let words = self.words.borrow();
        for (index, byte) in buf.iter_mut().enumerate() {
            let address = at.0.wrapping_add(index as u64);
            let word = words.get(&(address & !7)).ok_or(ReadError::Unmapped { at, len: index })?;
            *byte = word.to_le_bytes()[usize::try_from(address & 7).unwrap()];
        }
        Ok(())
    }
}

fn g(slot: u64) -> u64 {
    GS + slot * G_SIZE
}

fn snapshot(memory: &dyn Memory, want: Want) -> Result<Snapshot, WalkError> {
    part(memory, want, 0..u64::MAX)
}

fn part(memory: &dyn Memory, want: Want, entries: Range<u64>) -> Result<Snapshot, WalkError> {
    let time = Cell::new(0);
    let clock = || Ktime(time.replace(time.get() + 1));
    with_walker(|mut walker| walker.part(memory, want, &clock, entries))
}

fn with_walker<T>(walk: impl FnOnce(Walker<'_>) -> T) -> T {
    with_walker_of(0, walk)
}

/// A walker of a program whose clock is ahead by so many nanoseconds.
fn with_walker_of<T>(clock_ahead: i64, walk: impl FnOnce(Walker<'_>) -> T) -> T {
    let (fields, globals) = (fields(), globals());
    let wait_reasons = WaitReasons::new(["", "chan receive", "finalizer wait", "coroutine"]);
    let input = WalkerInput {
        arch: Arch::Amd64,
        code: &Program,
        fields: &fields,
        globals: &globals,
        finalizer_state: None,
        wait_reasons: &wait_reasons,
        clock_ahead,
    };
    walk(Walker::new(input))
}

fn pcs(snapshot: &Snapshot, index: usize) -> Option<Vec<u64>> {
    let stack = snapshot.stacks.get(snapshot.goroutines[index].stack_id?)?;
    Some(stack.pcs.iter().map(|pc| pc.0).collect())
}

#[test]
fn parked_goroutines_stand_where_they_parked_and_share_their_stack() {
    let snapshot = World::parked(3000).snapshot(Want::Stacks);
    assert_eq!((snapshot.goroutines.len(), snapshot.stacks.len()), (3000, 1));
    assert_eq!(pcs(&snapshot, 1234), Some(vec![PARK, WORKER]));
    let goids: Vec<u64> = snapshot.goroutines.iter().map(|goroutine| goroutine.goid.0).collect();
    assert_eq!(goids, (100..3100).collect::<Vec<_>>());
    assert_eq!(snapshot.goroutines[0].stack_used, 40);
    assert_eq!((snapshot.unreadable, snapshot.moved, snapshot.dead), (0, 0, 0));
    assert_eq!((snapshot.started, snapshot.finished), (Ktime(0), Ktime(1)));
}

#[test]
fn waits_are_timed_by_the_clock_of_the_walk() {
    let world = World::parked(2);
    world.set(g(0) + 168, 3_000_000_000_500);
    let clock = || Ktime(900);
    let since = |ahead| {
        let walked = with_walker_of(ahead, |mut walker| walker.snapshot(&world, Want::Stacks, &clock));
        walked.unwrap().goroutines.iter().map(|one| one.wait_since).collect::<Vec<_>>()
    };
    assert_eq!(since(0), [Some(Ktime(3_000_000_000_500)), None]);
    assert_eq!(since(3_000_000_000_000), [Some(Ktime(500)), None]);
    assert_eq!(since(-100), [Some(Ktime(3_000_000_000_600)), None]);
}

#[test]
fn parts_that_are_put_together_are_the_whole() {
    let world = World::parked(3000);
    world.set(g(1700) + 144, 1);
    let (mut parts, whole) = (part(&world, Want::Stacks, 0..1300).unwrap(), world.snapshot(Want::Stacks));
    for entries in [1300..1301, 1301..2900, 2900..u64::MAX, 5000..6000] {
        parts.append(part(&world, Want::Stacks, entries).unwrap());
    }
    assert_eq!(parts.goroutines, whole.goroutines);
    assert_eq!((parts.stacks.len(), parts.unreadable, parts.dead), (1, whole.unreadable, whole.dead));
    assert_eq!(parts.finished, Ktime(1));
}

#[test]
fn a_stack_of_another_part_is_the_same_stack() {
    let world = World::parked(4);
    // Where the part before has it as its second, the next has it as its first.
    world.set(g(0) + 64, WORKER + 0x10);
    let mut parts = part(&world, Want::Stacks, 0..2).unwrap();
    parts.append(part(&world, Want::Stacks, 2..u64::MAX).unwrap());
    assert_eq!(parts.stacks.len(), 2);
    let places: Vec<_> = (0..4).map(|index| pcs(&parts, index).unwrap()[0]).collect();
    assert_eq!(places[1..], [PARK; 3]);
    assert_ne!(places[0], PARK);
}

#[test]
fn states_decide_what_is_shown() {
    let world = World::parked(8);
    // Dead, deadextra, running, scanned by the collector, leaked, runnable with a thread, preempted.
    for (slot, status) in [(0, 6), (1, 11), (2, 2), (3, 0x1004), (4, 10), (5, 1), (6, 9)] {
        world.set(g(slot) + 144, status);
    }
    world.set(g(5) + 48, 0xdead);
    let snapshot = world.snapshot(Want::Stacks);
    assert_eq!(snapshot.dead, 2);
    assert_eq!(snapshot.moved, 1);
    let by_goid: BTreeMap<u64, &Goroutine> =
        snapshot.goroutines.iter().map(|goroutine| (goroutine.goid.0, goroutine)).collect();
    let shown = |slot: u64| (by_goid[&(100 + slot)].stack_id.is_some(), by_goid[&(100 + slot)].moved);
    assert_eq!(shown(2), (false, false));
    assert_eq!([3, 4, 6, 7].map(shown), [(true, false); 4]);
    assert_eq!(shown(5), (false, true));
}

#[test]
fn a_system_call_is_unwound_from_where_it_was_entered() {
    let world = World::parked(1);
    let hi = STACKS + STACK_SIZE;
    for (offset, word) in [(144, 3), (48, 0xdead), (56, 1), (64, 1), (104, hi - 24), (112, WORKER)] {
        world.set(g(0) + offset, word);
    }
    assert_eq!(pcs(&world.snapshot(Want::Stacks), 0), Some(vec![WORKER]));
}

#[test]
fn one_that_never_keeps_still_is_shown_without_a_stack() {
    let world = World::parked(2).when(|reads, words| {
        words.insert(g(1) + 184, reads << 56);
    });
    let snapshot = world.snapshot(Want::Stacks);
    assert_eq!(snapshot.moved, 1);
    let restless: Vec<&Goroutine> = snapshot.goroutines.iter().filter(|goroutine| goroutine.moved).collect();
    assert_eq!(restless.len(), 1);
    assert_eq!((restless[0].goid, restless[0].stack_id), (Goid(101), None));
}

#[test]
fn one_that_ended_and_was_born_again_is_shown_as_what_it_is_now() {
    // The fifth read is that of the stack.
    let world = World::parked(1).when(|reads, words| {
        if reads == 6 {
            words.insert(g(0) + 152, 777);
            words.insert(STACKS + STACK_SIZE - 32, WORKER + 1);
        }
    });
    let snapshot = world.snapshot(Want::Stacks);
    assert_eq!((snapshot.goroutines.len(), snapshot.moved), (1, 0));
    assert_eq!(snapshot.goroutines[0].goid, Goid(777));
    assert_eq!(pcs(&snapshot, 0), Some(vec![PARK, WORKER + 1]));
}

#[test]
fn one_that_dies_while_it_is_read_is_not_shown() {
    for when in 1..12 {
        let world = World::parked(1).when(move |reads, words| {
            if reads >= when {
                words.insert(g(0) + 144, 6);
            }
        });
        let snapshot = world.snapshot(Want::Stacks);
        assert_eq!(snapshot.goroutines.len() as u64 + snapshot.dead, 1, "ended at read {when}");
    }
}

#[test]
fn a_coroutine_switch_leaves_no_trace_but_a_different_stack() {
    let world = World::parked(1);
    world.set(g(0) + 176, u64::from(COROUTINE));
    let world = world.when(|reads, words| {
        words.insert(STACKS + STACK_SIZE - 40, reads.min(7));
    });
    let snapshot = world.snapshot(Want::Stacks);
    assert_eq!((snapshot.goroutines.len(), snapshot.moved), (1, 0));
    assert!(world.reads.get() > 7, "it has to be read again until it is the same twice");
}

#[test]
fn headers_alone_read_no_stacks() {
    let world = World::parked(2);
    (0..5).for_each(|index| {
        world.words.borrow_mut().remove(&(STACKS + STACK_SIZE - 40 + index * 8));
    });
    world.set(g(1) + 144, 1);
    let snapshot = world.snapshot(Want::Headers);
    assert_eq!((snapshot.goroutines.len(), snapshot.moved, snapshot.stacks.len()), (2, 0, 0));
}

#[test]
fn kinds_follow_the_runtimes_rule() {
    let world = World::parked(4);
    for (slot, start, reason) in
        [(0, WORKER, 1), (1, BGSWEEP, 1), (2, FINALIZERS, FINALIZER_WAIT), (3, FINALIZERS, 1)]
    {
        world.set(g(slot) + 304, start);
        world.set(g(slot) + 176, u64::from(reason));
    }
    let snapshot = world.snapshot(Want::Stacks);
    let kinds: Vec<GoroutineKind> = snapshot.goroutines.iter().map(|goroutine| goroutine.kind).collect();
    let (user, runtime) = (GoroutineKind::User, GoroutineKind::Runtime);
    assert_eq!(kinds, [user, runtime, runtime, user]);
}

#[test]
fn a_list_that_is_moved_meanwhile_is_read_where_it_is_now() {
    let world = World::parked(3);
    world.set(LIST + 0x1000, g(2));
    let world = world.when(|reads, words| {
        if reads == 3 {
            // The old array is reused for something else.
            for index in 0..3 {
                words.insert(LIST + index * 8, 0xbad);
                words.insert(LIST + 0x1000 + index * 8, g(index));
            }
            words.insert(ALLGPTR, LIST + 0x1000);
        }
    });
    let snapshot = world.snapshot(Want::Stacks);
    assert_eq!((snapshot.goroutines.len(), snapshot.unreadable), (3, 0));
}

#[test]
fn bad_entries_are_counted_and_do_not_spoil_their_neighbours() {
    let world = World::new(&[0, g(0), 0xbad, g(1), u64::MAX, g(1) + 0x100, g(2)]);
    (0..3).for_each(|slot| world.park(slot));
    world.set(g(2) + 144, 5);
    let snapshot = world.snapshot(Want::Stacks);
    let goids: Vec<u64> = snapshot.goroutines.iter().map(|goroutine| goroutine.goid.0).collect();
    assert_eq!(goids, [100, 101]);
    assert_eq!(snapshot.unreadable + snapshot.dead, 5);
}

#[test]
fn an_absurd_length_costs_nothing_where_the_list_is_not_as_long() {
    let world = World::parked(1);
    world.set(ALLGLEN, u64::MAX);
    let error = snapshot(&world, Want::Stacks).unwrap_err();
    assert!(matches!(error, WalkError::List(ReadError::Unmapped { .. })));
}

#[test]
fn an_unreadable_process_is_an_error_and_not_an_empty_snapshot() {
    assert!(matches!(snapshot(&Pieces::new(), Want::Stacks), Err(WalkError::List(_))));
}

#[test]
fn an_ended_process_ends_the_walk() {
    struct Ending(World);
    impl Memory for Ending {
        fn read(&self, at: Avma, buf: &mut [u8]) -> Result<(), ReadError> {
            if self.0.reads.get() > 5 {
                return Err(ReadError::Gone);
            }
            self.0.read(at, buf)
        }
    }
    let error = snapshot(&Ending(World::parked(3)), Want::Stacks).unwrap_err();
    assert_eq!(error, WalkError::Goroutines(ReadError::Gone));
}

proptest! {
    #[test]
    fn any_memory_yields_a_snapshot_of_bounded_size(
        gs in prop::collection::vec(prop_oneof![Just(0), (0..8_u64).prop_map(g), Just(u64::MAX), any::<u64>()], 0..40),
        changes in prop::collection::vec(
            (0..8_u64, 0..64_u64, prop_oneof![0..16_u64, Just(u64::MAX), Just(STACKS + 64), Just(PARK)]),
            0..60,
        ),
    ) {
        let world = World::new(&gs);
        (0..8).for_each(|slot| world.park(slot));
        for (slot, word, value) in changes {
            world.set(g(slot) + word * 8, value);
        }
        let snapshot = world.snapshot(Want::Stacks);
        let counted = snapshot.goroutines.len() as u64 + snapshot.unreadable + snapshot.dead;
        prop_assert_eq!(counted, gs.len() as u64);
    }
}
