//! What goroutines are blocked on: the channels, locks and times that the runtime's own queues hold.
//!
//! Source: Go `src/runtime/select.go`, `sema.go` and `time.go`, go1.19 to go1.27.

use super::channels::Channels;
use super::queues::{Entry, Queues, WaitsFor};
use super::reasons::{Reason, Reasons};
use super::words::read_structs;
use super::{conditions, descriptors, sudogs};
use crate::base::hash::KeyedMap;
use crate::base::memory::Memory;
use crate::base::num::{Avma, GPtr, Ktime};
use crate::go::goroutines::{Goroutine, Snapshot};
use crate::go::program::Program;
use crate::goroutines::DumpBuilder;
use crate::goroutines::model::{BlockedId, BlockedOn, LockKind, SelectCase, StackId};

/// The most entries of the table of semaphores that are read for each goroutine.
const MAX_PER_GOROUTINE: usize = 64;
const MAX_SEMAPHORES: usize = 16 << 20;

/// What was read of the queues of one process.
pub(super) struct Waits {
    /// When the walk was over, by the program's clock, where that is known.
    now: Option<Ktime>,
    reasons: Reasons,
    queues: Queues,
    channels: Channels,
    /// Up to Go 1.25, the lock that each goroutine waits for.
    locks: KeyedMap<GPtr, Avma>,
    /// How many wait for each lock.
    waiters: KeyedMap<Avma, u32>,
    /// When each sleeper wakes.
    deadlines: KeyedMap<GPtr, Ktime>,
    descriptors: KeyedMap<GPtr, i32>,
    /// The cases of one select.
    cases: Vec<SelectCase>,
}

impl Waits {
    /// Reads what the goroutines of `snapshot` wait for that are in these queues.
    pub(super) fn read(
        snapshot: &Snapshot,
        queues: Queues,
        program: &Program<'_>,
        memory: &dyn Memory,
        is_clock_known: bool,
    ) -> Self {
        let queues = queues.complete();
        let now =
            is_clock_known.then(|| snapshot.finished.of_clock_ahead(program.clock_ahead.saturating_neg()));
        let mut waits = Self {
            now,
            reasons: Reasons::of(program),
            channels: Channels::read(&queues, program, memory),
            queues,
            locks: KeyedMap::default(),
            waiters: KeyedMap::default(),
            deadlines: KeyedMap::default(),
            descriptors: descriptors::read(snapshot, program, memory).into_iter().collect(),
            cases: Vec::new(),
        };
        waits.count_waiters();
        // Where it is not known that `g.waiting` leads to locks, they are looked for: they are found either way.
        if program.facts.lock_waits_are_linked != Ok(true) {
            waits.find_locks(snapshot, program, memory);
        }
        waits.read_deadlines(snapshot, program, memory);
        waits
    }

    fn count_waiters(&mut self) {
        for entry in self.queues.entries() {
            if let WaitsFor::Lock(lock) = entry.waits_for {
                *self.waiters.entry(lock).or_insert(0) += 1;
            }
        }
    }

    /// Semaphores are in a table of their own, and a goroutine that waits for a condition is on the condition's own list
    /// only.
    fn find_locks(&mut self, snapshot: &Snapshot, program: &Program<'_>, memory: &dyn Memory) {
        let limit = snapshot.goroutines.len().saturating_mul(MAX_PER_GOROUTINE).min(MAX_SEMAPHORES);
        let semaphores = sudogs::read_semtable(program, memory, limit);
        for (g, lock) in semaphores.into_iter().chain(conditions::read(snapshot, program, memory)) {
            self.locks.insert(g, lock);
            *self.waiters.entry(lock).or_insert(0) += 1;
        }
    }

    fn read_deadlines(&mut self, snapshot: &Snapshot, program: &Program<'_>, memory: &dyn Memory) {
        let sleep = program.wait_reasons.number("sleep");
        let sleepers = snapshot.goroutines.iter().filter(|one| one.status.is_waiting());
        let sleepers: Vec<_> =
            sleepers.filter(|one| Some(one.wait_reason) == sleep).map(|one| one.g).collect();
        let fields = &program.layout.g;
        let mut timers = Vec::new();
        let offset = fields.sleep_when.unwrap_or(fields.timer);
        let addresses: Vec<_> = sleepers.iter().map(|g| g.as_avma().plus(offset.into())).collect();
        read_structs(memory, &addresses, 8, |index, words| match (fields.sleep_when, words.u64(0)) {
            (Some(_), Some(when)) => {
                self.deadlines.insert(sleepers[index], Ktime(when));
            }
            (None, Some(timer)) => timers.push((sleepers[index], Avma(timer))),
            (_, None) => {}
        });
        let Some(when) = program.layout.timer.as_ref().map(|timer| timer.when) else { return };
        let addresses: Vec<_> = timers.iter().map(|(_, timer)| timer.plus(when.into())).collect();
        read_structs(memory, &addresses, 8, |index, words| {
            self.deadlines.extend(words.u64(0).map(|when| (timers[index].0, Ktime(when))));
        });
    }

    /// What the goroutine with this index in the snapshot is blocked on, which stands at `stack`.
    pub(super) fn blocked_on(
        &mut self,
        index: usize,
        goroutine: &Goroutine,
        stack: StackId,
        builder: &mut DumpBuilder,
    ) -> Option<BlockedId> {
        if !goroutine.status.is_waiting() {
            return None;
        }
        let own = self.queues.first_of(index);
        let blocked = match self.reasons.get(goroutine.wait_reason)? {
            Reason::Nil(operation) => Some(BlockedOn::NilChannel { operation }),
            Reason::NoCases => Some(BlockedOn::NoCases),
            Reason::Channel(operation) => return self.channels.waiting(&own?, operation, builder),
            Reason::Select => return self.select(own?, builder),
            Reason::Sleep => self.sleep(goroutine),
            Reason::Io => {
                self.descriptors.get(&goroutine.g).map(|&fd| BlockedOn::Io { fd, description: None })
            }
            Reason::Semaphore => {
                let kind = kind_by_callers(builder.frames(stack).map(|at| at.function));
                self.lock(goroutine, own, kind)
            }
            Reason::Lock(kind) => self.lock(goroutine, own, kind),
        };
        blocked.map(|blocked| builder.blocked_on(blocked))
    }

    fn select(&mut self, first: Entry, builder: &mut DumpBuilder) -> Option<BlockedId> {
        self.cases.clear();
        for entry in std::iter::successors(Some(first), |entry| self.queues.next_case(entry)) {
            let Some(operation) = self.channels.side(&entry) else { continue };
            let channel = self.channels.add(&entry, builder);
            self.cases.extend(channel.map(|channel| SelectCase { operation, channel }));
        }
        (!self.cases.is_empty()).then(|| builder.select(&self.cases))
    }

    fn sleep(&self, goroutine: &Goroutine) -> Option<BlockedOn> {
        let deadline = self.deadlines.get(&goroutine.g)?;
        let remaining_ns = self.now.map(|now| deadline.0.wrapping_sub(now.0).cast_signed());
        Some(BlockedOn::Sleep { remaining_ns })
    }

    fn lock(&self, goroutine: &Goroutine, own: Option<Entry>, kind: LockKind) -> Option<BlockedOn> {
        let address = match own.map(|entry| entry.waits_for) {
            Some(WaitsFor::Lock(lock)) => lock,
            _ => *self.locks.get(&goroutine.g)?,
        };
        Some(BlockedOn::Lock { kind, address, waiters: self.waiters.get(&address).copied() })
    }
}

/// What a goroutine waits for by what called, innermost first: before Go 1.20 locks all say `semacquire`, before Go 1.24 groups do.
fn kind_by_callers<'f>(mut functions: impl Iterator<Item = &'f str>) -> LockKind {
    let kind = functions.find_map(|function| match function {
        "sync.(*Mutex).lockSlow" => Some(LockKind::Mutex),
        "sync.(*RWMutex).RLock" => Some(LockKind::RwMutexRead),
        "sync.(*RWMutex).Lock" => Some(LockKind::RwMutexWrite),
        "sync.(*WaitGroup).Wait" => Some(LockKind::WaitGroup),
        _ => None,
    });
    kind.unwrap_or(LockKind::Semaphore)
}
