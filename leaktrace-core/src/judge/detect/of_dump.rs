//! What a dump shows, as far as rules care.

use std::sync::Arc;

use super::network_reads;
use super::observation::{Object, Observation, Sighting, Standing, Wait};
use super::sample::Weight;
use crate::base::hash::KeyedMap;
use crate::base::num::{Goid, Ktime};
use crate::goroutines::model::{BlockedOn, Channel, ChannelOperation, LocationId, LockKind, StackId, StrId};
use crate::goroutines::{Dump, DumpGoroutine};
use crate::schema::{Frame, Location};

/// Makes an observation of a dump, naming each place once.
pub(super) struct ObservationBuilder<'d> {
    dump: &'d Dump,
    standings: KeyedMap<StandingKey, u32>,
    pub(super) seen: Observation,
}

/// What names a place: that and no more is looked up for each goroutine.
type StandingKey = (StackId, Option<LocationId>, Option<StrId>, Wait, bool);

impl<'d> ObservationBuilder<'d> {
    /// Of a dump that was made at `at`.
    pub(super) fn new(dump: &'d Dump, at: Ktime) -> Self {
        Self { dump, standings: KeyedMap::default(), seen: Observation { at, ..Observation::default() } }
    }

    /// Adds a goroutine.
    pub(super) fn add(&mut self, goroutine: &DumpGoroutine, moves: Option<u8>, weight: Weight) {
        let (wait, object) = self.wait(goroutine, weight.count);
        let is_main = goroutine.goid == Goid(1);
        let place = (goroutine.stack, goroutine.created_by, goroutine.wait_reason, wait, is_main);
        let next = self.standings.len();
        let standing = *self.standings.entry(place).or_insert_with(|| {
            self.seen.standings.push(Arc::new(standing(self.dump, goroutine, wait, is_main)));
            u32::try_from(next).unwrap_or(u32::MAX)
        });
        // Who reads from a stream waits for its peer, whatever it waits for.
        let is_same = self.seen.standings.get(standing as usize).is_none_or(|known| known.wait == wait);
        let object = if is_same { object } else { 0 };
        self.seen.sightings.push(Sighting {
            goid: goroutine.goid,
            parent: goroutine.parent,
            standing,
            object,
            moves,
            waiting_ns: goroutine.known_age_ns(),
            stack_bytes: goroutine.stack_bytes,
            leaked: goroutine.is_leaked(),
            locked: goroutine.locked,
            weight,
        });
    }

    /// What it waits for, and on which object if that is a single one; the object is noted.
    fn wait(&mut self, goroutine: &DumpGoroutine, weight: u32) -> (Wait, u64) {
        if !goroutine.status.is_waiting() {
            return (Wait::Nothing, 0);
        }
        let blocked = goroutine.blocked_on.and_then(|id| self.dump.tables.blocked(id));
        match blocked {
            Some(BlockedOn::Channel { operation, channel }) => {
                let Some(channel) = self.dump.tables.channel(*channel) else { return (Wait::Other, 0) };
                let wait =
                    if self.dump.is_running_timers(channel) { Wait::Time } else { Wait::Channel(*operation) };
                let object = Object::Channel(scaled(*channel, *operation, weight));
                (wait, self.note(channel.address.0, object))
            }
            Some(BlockedOn::Select { cases }) => {
                let channels = cases.iter().filter_map(|case| self.dump.tables.channel(case.channel));
                let mut channels: Vec<&Channel> = channels.collect();
                let timed = channels.iter().any(|channel| self.dump.is_running_timers(channel));
                channels.dedup_by_key(|channel| channel.address);
                let wait = if timed { Wait::Time } else { Wait::Select };
                let [only] = channels[..] else { return (wait, 0) };
                (wait, self.note(only.address.0, Object::Channel(*only)))
            }
            Some(BlockedOn::Lock { kind, address, waiters }) => {
                let waiters = waiters.unwrap_or(1).saturating_mul(weight);
                let lock = Object::Lock { kind: *kind, waiters };
                (Wait::Lock(*kind), self.note(address.0, lock))
            }
            Some(BlockedOn::NilChannel { .. }) => (Wait::NilChannel, 0),
            Some(BlockedOn::NoCases) => (Wait::NoCases, 0),
            Some(BlockedOn::Sleep { .. }) => (Wait::Time, 0),
            Some(BlockedOn::Io { fd, .. }) => {
                self.seen.descriptors.push((goroutine.goid, *fd));
                (Wait::Io, 0)
            }
            None => (wait_by_name(self.dump.wait_reason(goroutine)), 0),
        }
    }

    fn note(&mut self, address: u64, object: Object) -> u64 {
        let object = match (self.seen.objects.get(&address), object) {
            // Whoever waits on one side knows for how many that counts, and not what those on the other side count for.
            (Some(Object::Channel(known)), Object::Channel(channel)) => Object::Channel(Channel {
                receivers: known.receivers.max(channel.receivers),
                senders: known.senders.max(channel.senders),
                ..channel
            }),
            (_, object) => object,
        };
        self.seen.objects.insert(address, object);
        address
    }
}

/// A channel where one who waits on this side stands for so many.
fn scaled(mut channel: Channel, operation: ChannelOperation, weight: u32) -> Channel {
    let side = match operation {
        ChannelOperation::Receive => &mut channel.receivers,
        ChannelOperation::Send => &mut channel.senders,
    };
    *side = side.saturating_mul(weight);
    channel
}

/// What a goroutine waits for, by the runtime's words alone.
fn wait_by_name(reason: &str) -> Wait {
    match reason.strip_suffix(" (durable)").unwrap_or(reason) {
        "chan receive" => Wait::Channel(ChannelOperation::Receive),
        "chan send" => Wait::Channel(ChannelOperation::Send),
        "select" => Wait::Select,
        "chan receive (nil chan)" | "chan send (nil chan)" => Wait::NilChannel,
        "select (no cases)" => Wait::NoCases,
        "sleep" => Wait::Time,
        "IO wait" => Wait::Io,
        "sync.Mutex.Lock" => Wait::Lock(LockKind::Mutex),
        "sync.RWMutex.RLock" => Wait::Lock(LockKind::RwMutexRead),
        "sync.RWMutex.Lock" => Wait::Lock(LockKind::RwMutexWrite),
        "sync.WaitGroup.Wait" => Wait::Lock(LockKind::WaitGroup),
        "sync.Cond.Wait" => Wait::Lock(LockKind::Cond),
        "semacquire" => Wait::Lock(LockKind::Semaphore),
        "coroutine" => Wait::Coroutine,
        _ => Wait::Other,
    }
}

fn standing(dump: &Dump, goroutine: &DumpGoroutine, wait: Wait, is_main: bool) -> Standing {
    let stack: Vec<Frame> = dump.shown_frames(goroutine.stack).map(|frame| named(dump, &frame)).collect();
    let start = stack.last().filter(|_| !goroutine.cut);
    let looks_so = matches!(wait, Wait::Select | Wait::Channel(_) | Wait::Lock(LockKind::Cond));
    let mut functions = stack.iter().filter_map(|frame| frame.function.as_deref());
    let wait = if looks_so && network_reads::is_read(&mut functions) { Wait::Io } else { wait };
    Standing {
        created_by: goroutine.created_by.map_or_else(nowhere, |at| location(dump, at)),
        start_function: start.and_then(|frame| frame.function.clone()),
        doing: dump.doing(goroutine).to_owned(),
        wait,
        stack,
        is_main,
    }
}

fn named(dump: &Dump, frame: &crate::goroutines::model::NamedFrame<'_>) -> Frame {
    let known = frame.is_known();
    Frame {
        function: known.then(|| dump.printed_name(frame.function)),
        file: Some(frame.file).filter(|file| !file.is_empty()).map(str::to_owned),
        line: Some(frame.line).filter(|line| *line > 0),
        pc: (!known).then(|| format!("{:#x}", frame.pc)),
    }
}

fn location(dump: &Dump, at: LocationId) -> Location {
    let frame = dump.frame(at);
    let Frame { function, file, line, .. } = named(dump, &frame);
    Location { function, file, line, pc: format!("{:#x}", frame.pc) }
}

/// Where goroutines come from that no `go` statement made.
pub(super) fn nowhere() -> Location {
    Location { function: None, file: None, line: None, pc: "0x0".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::num::Avma;

    #[test]
    fn who_waits_for_a_channel_counts_for_those_it_stands_for() {
        let dump = Dump::default();
        let mut builder = ObservationBuilder::new(&dump, Ktime(1));
        let channel = Channel { receivers: 300, senders: 2, ..Channel::of_timer(Avma(8), false) };
        for (operation, weight) in [(ChannelOperation::Receive, 16), (ChannelOperation::Send, 1)] {
            builder.note(8, Object::Channel(scaled(channel, operation, weight)));
        }
        let counted = Object::Channel(Channel { receivers: 4_800, ..channel });
        assert_eq!(builder.seen.objects.get(&8), Some(&counted));
    }
}
