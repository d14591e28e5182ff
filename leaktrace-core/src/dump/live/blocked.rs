//! What goroutines are blocked on: the channels, locks and times that the runtime's own queues hold.
//!
//! Source: Go `src/runtime/chan.go`, `select.go`, `sema.go` and `time.go`, go1.19 to go1.27.

use std::collections::HashMap;

use super::descriptors;
use super::words::{Words, read_structs};
use crate::dump::DumpBuilder;
use crate::dump::model::{
    BlockedId, BlockedOn, Channel, ChannelId, ChannelOperation, LockKind, SelectCase, StackId,
};
use crate::elf::Arch;
use crate::go::goroutines::{Goroutine, Snapshot};
use crate::go::layout::Layout;
use crate::go::program::Program;
use crate::go::types::Types;
use crate::memory::Memory;
use crate::num::{Avma, GPtr, Ktime};

/// The slots of `runtime.semtable`.
const SEMTABLE_SLOTS: u64 = 251;
/// The most entries of queues that are read for each goroutine: a select has few cases, and one lock.
const MAX_PER_GOROUTINE: usize = 64;
/// The most cases of one select that are told.
const MAX_CASES: usize = 64;

/// An entry of a wait queue, `runtime.sudog`.
#[derive(Clone, Copy)]
struct Sudog {
    g: GPtr,
    next: Avma,
    prev: Avma,
    waitlink: Avma,
    /// The channel; nil for a lock.
    channel: Avma,
    /// For a lock, its address.
    elem: Avma,
}

/// A `runtime.hchan`, and who waits on it.
struct Hchan {
    channel: Channel,
    element_type: Avma,
    receivers_first: Avma,
    senders_first: Avma,
}

/// What was read of the queues of one process.
pub(super) struct Waits {
    finished: Ktime,
    sudogs: HashMap<Avma, Sudog>,
    channels: HashMap<Avma, Hchan>,
    /// The side of its channel that each entry is on.
    operations: HashMap<Avma, ChannelOperation>,
    /// The lock that each goroutine waits for, and how many do for each lock.
    locks: HashMap<GPtr, Avma>,
    waiters: HashMap<Avma, u32>,
    /// When each sleeper wakes.
    deadlines: HashMap<GPtr, Ktime>,
    /// The descriptor that each goroutine waits for.
    descriptors: HashMap<GPtr, i32>,
    elements: HashMap<Avma, String>,
}

impl Waits {
    /// Reads what the goroutines of `snapshot` wait for.
    pub(super) fn read(snapshot: &Snapshot, program: &Program<'_>, memory: &dyn Memory) -> Self {
        let mut waits = Self {
            finished: snapshot.finished,
            sudogs: HashMap::new(),
            channels: HashMap::new(),
            operations: HashMap::new(),
            locks: HashMap::new(),
            waiters: HashMap::new(),
            deadlines: HashMap::new(),
            descriptors: descriptors::read(snapshot, program, memory),
            elements: HashMap::new(),
        };
        let source = Source { memory, layout: &program.layout, limit: limit(snapshot) };
        let waiting =
            snapshot.goroutines.iter().filter(|one| one.status.is_waiting() && !one.waiting.is_null());
        waits.read_sudogs(&source, waiting.map(|one| one.waiting).collect(), |sudog| {
            // What follows a lock's entry is another goroutine's.
            [if sudog.channel.is_null() { Avma(0) } else { sudog.waitlink }, Avma(0), Avma(0)]
        });
        waits.read_semtable(&source, program);
        waits.read_channels(&source);
        waits.read_elements(program, memory);
        waits.find_sides();
        waits.find_locks();
        waits.read_deadlines(&source, snapshot, program);
        waits
    }

    /// Reads entries and those that `follow` names, until there are no more of them.
    fn read_sudogs(
        &mut self,
        source: &Source<'_>,
        mut todo: Vec<Avma>,
        follow: impl Fn(&Sudog) -> [Avma; 3],
    ) {
        let size = source.layout.sudog.size as usize;
        while !todo.is_empty() && self.sudogs.len() < source.limit {
            todo.sort_unstable();
            todo.dedup();
            todo.retain(|at| !at.is_null() && !self.sudogs.contains_key(at));
            todo.truncate(source.limit - self.sudogs.len());
            let mut next = Vec::new();
            read_structs(source.memory, &todo, size, |index, words| {
                if let Some(sudog) = source.sudog(words) {
                    next.extend(follow(&sudog));
                    self.sudogs.insert(todo[index], sudog);
                }
            });
            todo = next;
        }
    }

    /// Up to Go 1.25 a goroutine that waits for a lock is found in the table of semaphores only: 251 trees, in
    /// which each address is one node, and those that wait for the same one are a list.
    fn read_semtable(&mut self, source: &Source<'_>, program: &Program<'_>) {
        const LOCK: u64 = 8;
        if program.version.minor >= 26 {
            return;
        }
        let Some(table) = program.globals.semtable else { return };
        let stride = match program.arch {
            Arch::Amd64 => 64,
            Arch::Arm64 => 128,
        };
        let roots: Vec<_> = (0..SEMTABLE_SLOTS).map(|slot| table.plus(slot * stride + LOCK)).collect();
        let mut trees = Vec::new();
        read_structs(source.memory, &roots, 8, |_, words| trees.extend(words.pointer(0)));
        self.read_sudogs(source, trees, |sudog| [sudog.prev, sudog.next, sudog.waitlink]);
    }

    fn read_channels(&mut self, source: &Source<'_>) {
        let mut channels: Vec<_> = self.sudogs.values().map(|sudog| sudog.channel).collect();
        channels.sort_unstable();
        channels.dedup();
        channels.retain(|at| !at.is_null());
        read_structs(source.memory, &channels, source.layout.hchan.size as usize, |index, words| {
            if let Some(hchan) = source.hchan(channels[index], words) {
                self.channels.insert(channels[index], hchan);
            }
        });
    }

    fn read_elements(&mut self, program: &Program<'_>, memory: &dyn Memory) {
        for hchan in self.channels.values() {
            let module = program.modules.iter().find(|module| module.types.contains(hchan.element_type));
            let Some(module) = module else { continue };
            let types = Types::new(memory, module.types.start, module.types.end);
            self.elements
                .entry(hchan.element_type)
                .or_insert_with(|| types.get(hchan.element_type).map(|found| found.name).unwrap_or_default());
        }
    }

    /// Goes through the queues of each channel: says who is on which side, and how many are.
    fn find_sides(&mut self) {
        let Self { sudogs, channels, operations, .. } = self;
        for (&at, hchan) in channels.iter_mut() {
            let mut side = |first, operation| {
                let queue = std::iter::successors(sudogs.get_key_value(&first), |(_, sudog)| {
                    sudogs.get_key_value(&sudog.next)
                });
                // A queue that was changed under our eyes may go in circles.
                let queue = queue.take_while(|(_, sudog)| sudog.channel == at).take(sudogs.len());
                let mut count = 0;
                for (&entry, _) in queue {
                    if operations.insert(entry, operation).is_some() {
                        break;
                    }
                    count += 1;
                }
                count
            };
            hchan.channel.receivers = side(hchan.receivers_first, ChannelOperation::Receive);
            hchan.channel.senders = side(hchan.senders_first, ChannelOperation::Send);
        }
    }

    fn find_locks(&mut self) {
        for sudog in self.sudogs.values().filter(|sudog| sudog.channel.is_null() && !sudog.elem.is_null()) {
            self.locks.insert(sudog.g, sudog.elem);
            *self.waiters.entry(sudog.elem).or_insert(0) += 1;
        }
    }

    fn read_deadlines(&mut self, source: &Source<'_>, snapshot: &Snapshot, program: &Program<'_>) {
        let sleep = program.wait_reasons.number("sleep");
        let sleepers = snapshot.goroutines.iter().filter(|one| one.status.is_waiting());
        let sleepers: Vec<_> =
            sleepers.filter(|one| Some(one.wait_reason) == sleep).map(|one| one.g).collect();
        let fields = &source.layout.g;
        let mut timers = Vec::new();
        let offset = fields.sleep_when.unwrap_or(fields.timer);
        let addresses: Vec<_> = sleepers.iter().map(|g| g.as_avma().plus(offset.into())).collect();
        read_structs(source.memory, &addresses, 8, |index, words| match (fields.sleep_when, words.u64(0)) {
            (Some(_), Some(when)) => {
                self.deadlines.insert(sleepers[index], Ktime(when));
            }
            (None, Some(timer)) => timers.push((sleepers[index], Avma(timer))),
            (_, None) => {}
        });
        let Some(when) = source.layout.timer.as_ref().map(|timer| timer.when) else { return };
        let addresses: Vec<_> = timers.iter().map(|(_, timer)| timer.plus(when.into())).collect();
        read_structs(source.memory, &addresses, 8, |index, words| {
            self.deadlines.extend(words.u64(0).map(|when| (timers[index].0, Ktime(when))));
        });
    }

    /// What a goroutine is blocked on that stands at `stack`.
    pub(super) fn blocked_on(
        &self,
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
        let blocked = match reason {
            "chan receive (nil chan)" => Some(BlockedOn::NilChannel { operation: ChannelOperation::Receive }),
            "chan send (nil chan)" => Some(BlockedOn::NilChannel { operation: ChannelOperation::Send }),
            "select (no cases)" => Some(BlockedOn::NoCases),
            "chan receive" => self.channel(goroutine, ChannelOperation::Receive, builder),
            "chan send" => self.channel(goroutine, ChannelOperation::Send, builder),
            "select" => self.select(goroutine, builder),
            "sleep" => self.sleep(goroutine),
            "IO wait" => {
                self.descriptors.get(&goroutine.g).map(|&fd| BlockedOn::Io { fd, description: None })
            }
            "semacquire" => {
                self.lock(goroutine, kind_by_callers(builder.frames(stack).map(|at| at.function)))
            }
            reason => self.lock(goroutine, lock_kind(reason)?),
        };
        blocked.map(|blocked| builder.blocked_on(blocked))
    }

    /// The goroutine's own entries, as long as they are still its own.
    fn entries(&self, goroutine: &Goroutine) -> impl Iterator<Item = (Avma, &Sudog)> {
        let first = self.sudogs.get_key_value(&goroutine.waiting);
        let entries = std::iter::successors(first, |(_, sudog)| self.sudogs.get_key_value(&sudog.waitlink));
        let g = goroutine.g;
        entries.take(MAX_CASES).take_while(move |(_, sudog)| sudog.g == g).map(|(&at, sudog)| (at, sudog))
    }

    fn channel(
        &self,
        goroutine: &Goroutine,
        operation: ChannelOperation,
        builder: &mut DumpBuilder,
    ) -> Option<BlockedOn> {
        let (_, sudog) = self.entries(goroutine).next()?;
        Some(BlockedOn::Channel { operation, channel: self.add_channel(sudog.channel, builder)? })
    }

    fn select(&self, goroutine: &Goroutine, builder: &mut DumpBuilder) -> Option<BlockedOn> {
        let cases = self.entries(goroutine).filter_map(|(at, sudog)| {
            let operation = *self.operations.get(&at)?;
            Some(SelectCase { operation, channel: self.add_channel(sudog.channel, builder)? })
        });
        let cases: Box<[_]> = cases.collect();
        (!cases.is_empty()).then_some(BlockedOn::Select { cases })
    }

    fn add_channel(&self, at: Avma, builder: &mut DumpBuilder) -> Option<ChannelId> {
        let hchan = self.channels.get(&at)?;
        let element = self.elements.get(&hchan.element_type).filter(|name| !name.is_empty());
        let element = element.map(|name| builder.string(name));
        Some(builder.channel(Channel { element, ..hchan.channel }))
    }

    fn sleep(&self, goroutine: &Goroutine) -> Option<BlockedOn> {
        let deadline = self.deadlines.get(&goroutine.g)?;
        Some(BlockedOn::Sleep { remaining_ns: deadline.0.wrapping_sub(self.finished.0).cast_signed() })
    }

    fn lock(&self, goroutine: &Goroutine, kind: LockKind) -> Option<BlockedOn> {
        let address = *self.locks.get(&goroutine.g)?;
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

/// Where the structs are read from.
struct Source<'a> {
    memory: &'a dyn Memory,
    layout: &'a Layout,
    /// How many entries are read at most.
    limit: usize,
}

impl Source<'_> {
    fn sudog(&self, words: Words<'_>) -> Option<Sudog> {
        let fields = &self.layout.sudog;
        Some(Sudog {
            g: GPtr(words.u64(fields.g)?),
            next: words.pointer(fields.next)?,
            prev: words.pointer(fields.prev)?,
            waitlink: words.pointer(fields.waitlink)?,
            channel: words.pointer(fields.c)?,
            elem: words.pointer(fields.elem)?,
        })
    }

    fn hchan(&self, address: Avma, words: Words<'_>) -> Option<Hchan> {
        let fields = &self.layout.hchan;
        let timer = fields.timer.map_or(Some(Avma(0)), |timer| words.pointer(timer))?;
        let channel = Channel {
            address,
            element: None,
            length: words.u64(fields.qcount)?,
            capacity: words.u64(fields.dataqsiz)?,
            closed: words.u32(fields.closed)? != 0,
            timer: !timer.is_null(),
            receivers: 0,
            senders: 0,
        };
        Some(Hchan {
            channel,
            element_type: words.pointer(fields.elemtype)?,
            receivers_first: words.pointer(fields.recvq_first)?,
            senders_first: words.pointer(fields.sendq_first)?,
        })
    }
}
