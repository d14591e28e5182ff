//! What goroutines are blocked on: the channels, locks and times that the runtime's own queues hold.
//!
//! Source: Go `src/runtime/select.go`, `sema.go` and `time.go`, go1.19 to go1.27.

use std::collections::HashMap;

use super::channels::Channels;
use super::sudogs::{Sudog, Sudogs};
use super::words::read_structs;
use super::{conditions, descriptors};
use crate::dump::DumpBuilder;
use crate::dump::model::{BlockedId, BlockedOn, ChannelOperation, LockKind, SelectCase, StackId};
use crate::go::goroutines::{Goroutine, Snapshot};
use crate::go::program::Program;
use crate::hash::KeyedMap;
use crate::memory::Memory;
use crate::num::{Avma, GPtr, Ktime};

/// The most entries of queues that are read for each goroutine: a select has few cases, and one lock.
const MAX_PER_GOROUTINE: usize = 64;
/// The most cases of one select that are told.
const MAX_CASES: usize = 64;

/// What was read of the queues of one process.
pub(super) struct Waits<'m> {
    finished: Ktime,
    sudogs: Sudogs<'m>,
    channels: Channels,
    /// Up to Go 1.25, the lock that each goroutine waits for.
    locks: KeyedMap<GPtr, Avma>,
    /// How many wait for each lock.
    waiters: KeyedMap<Avma, u32>,
    /// When each sleeper wakes.
    deadlines: HashMap<GPtr, Ktime>,
    descriptors: HashMap<GPtr, i32>,
}

impl<'m> Waits<'m> {
    /// Reads what the goroutines of `snapshot` wait for.
    pub(super) fn read(snapshot: &Snapshot, program: &Program<'_>, memory: &'m dyn Memory) -> Self {
        let sudogs = read_sudogs(snapshot, program, memory);
        let mut waits = Self {
            finished: snapshot.finished,
            channels: Channels::read(&sudogs, program, memory),
            locks: KeyedMap::default(),
            waiters: KeyedMap::default(),
            deadlines: HashMap::new(),
            descriptors: descriptors::read(snapshot, program, memory),
            sudogs,
        };
        waits.find_locks(leads_to_locks(program));
        if !leads_to_locks(program) {
            waits.find_conditions(snapshot, program, memory);
        }
        waits.read_deadlines(snapshot, program, memory);
        waits
    }

    fn find_locks(&mut self, known_to_goroutines: bool) {
        for sudog in self.sudogs.iter() {
            let Some(lock) = sudog.lock() else { continue };
            *self.waiters.entry(lock).or_insert(0) += 1;
            if !known_to_goroutines {
                self.locks.insert(sudog.g, lock);
            }
        }
    }

    /// A goroutine that waits for a condition is on the condition's own list only.
    fn find_conditions(&mut self, snapshot: &Snapshot, program: &Program<'_>, memory: &dyn Memory) {
        for (g, list) in conditions::read(snapshot, program, memory) {
            self.locks.insert(g, list);
            *self.waiters.entry(list).or_insert(0) += 1;
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
        program: &Program<'_>,
        builder: &mut DumpBuilder,
    ) -> Option<BlockedId> {
        if !goroutine.status.is_waiting() {
            return None;
        }
        let reason = program.wait_reasons.name(goroutine.wait_reason)?;
        let reason = reason.strip_suffix(" (durable)").unwrap_or(reason);
        let own = self.first(index, goroutine);
        let blocked = match reason {
            "chan receive (nil chan)" => Some(BlockedOn::NilChannel { operation: ChannelOperation::Receive }),
            "chan send (nil chan)" => Some(BlockedOn::NilChannel { operation: ChannelOperation::Send }),
            "select (no cases)" => Some(BlockedOn::NoCases),
            "chan receive" => self.channel(&own?, ChannelOperation::Receive, builder),
            "chan send" => self.channel(&own?, ChannelOperation::Send, builder),
            "select" => self.select(own?, builder),
            "sleep" => self.sleep(goroutine),
            "IO wait" => {
                self.descriptors.get(&goroutine.g).map(|&fd| BlockedOn::Io { fd, description: None })
            }
            "semacquire" => {
                let kind = kind_by_callers(builder.frames(stack).map(|at| at.function));
                self.lock(goroutine, own, kind)
            }
            reason => self.lock(goroutine, own, lock_kind(reason)?),
        };
        blocked.map(|blocked| builder.blocked_on(blocked))
    }

    /// The goroutine's own first entry, as long as it is still its own.
    fn first(&self, index: usize, goroutine: &Goroutine) -> Option<Sudog> {
        self.sudogs.first_of(index).filter(|sudog| sudog.g == goroutine.g).copied()
    }

    fn channel(
        &mut self,
        own: &Sudog,
        operation: ChannelOperation,
        builder: &mut DumpBuilder,
    ) -> Option<BlockedOn> {
        Some(BlockedOn::Channel { operation, channel: self.channels.add(own.channel, builder)? })
    }

    fn select(&mut self, first: Sudog, builder: &mut DumpBuilder) -> Option<BlockedOn> {
        let entries = std::iter::successors(Some(first), |sudog| self.sudogs.get(sudog.waitlink).copied());
        let own = entries.take(MAX_CASES).take_while(|sudog| sudog.g == first.g);
        let cases = own.filter_map(|sudog| {
            let operation = self.channels.side(&sudog)?;
            Some(SelectCase { operation, channel: self.channels.add(sudog.channel, builder)? })
        });
        let cases: Box<[_]> = cases.collect();
        (!cases.is_empty()).then_some(BlockedOn::Select { cases })
    }

    fn sleep(&self, goroutine: &Goroutine) -> Option<BlockedOn> {
        let deadline = self.deadlines.get(&goroutine.g)?;
        Some(BlockedOn::Sleep { remaining_ns: deadline.0.wrapping_sub(self.finished.0).cast_signed() })
    }

    fn lock(&self, goroutine: &Goroutine, own: Option<Sudog>, kind: LockKind) -> Option<BlockedOn> {
        let own = own.as_ref().and_then(Sudog::lock);
        let address = own.or_else(|| self.locks.get(&goroutine.g).copied())?;
        Some(BlockedOn::Lock { kind, address, waiters: self.waiters.get(&address).copied() })
    }
}

/// What goroutines wait for that give this reason.
fn lock_kind(reason: &str) -> Option<LockKind> {
    match reason {
        "sync.Mutex.Lock" => Some(LockKind::Mutex),
        "sync.RWMutex.RLock" => Some(LockKind::RwMutexRead),
        "sync.RWMutex.Lock" => Some(LockKind::RwMutexWrite),
        "sync.WaitGroup.Wait" => Some(LockKind::WaitGroup),
        "sync.Cond.Wait" => Some(LockKind::Cond),
        _ => None,
    }
}

/// The same by what called, innermost first: before Go 1.20 locks all say `semacquire`, before Go 1.24 groups do.
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

fn limit(snapshot: &Snapshot) -> usize {
    snapshot.goroutines.len().saturating_mul(MAX_PER_GOROUTINE).min(16 << 20)
}

/// The entries of all that wait.
fn read_sudogs<'m>(snapshot: &Snapshot, program: &Program<'_>, memory: &'m dyn Memory) -> Sudogs<'m> {
    let waiting = |one: &Goroutine| if one.status.is_waiting() { one.waiting } else { Avma(0) };
    let waiting: Vec<_> = snapshot.goroutines.iter().map(waiting).collect();
    let mut sudogs = Sudogs::of(memory, program.layout.sudog.clone(), &waiting, limit(snapshot));
    sudogs.read_cases();
    if !leads_to_locks(program) {
        sudogs.read_semtable(program);
    }
    sudogs
}

/// Whether `g.waiting` of a goroutine that waits for a lock leads to its entry.
const fn leads_to_locks(program: &Program<'_>) -> bool {
    program.version.minor >= 26
}
