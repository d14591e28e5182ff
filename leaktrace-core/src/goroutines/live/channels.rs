//! The channels that goroutines wait on, and who waits on which side.
//!
//! Source: Go `src/runtime/chan.go`, go1.19 to go1.27.

use super::queues::{Entry, Queues, WaitsFor};
use super::words::{Words, read_structs};
use crate::base::hash::KeyedMap;
use crate::base::memory::Memory;
use crate::base::num::Avma;
use crate::go::layout::HchanFields;
use crate::go::program::Program;
use crate::go::timers;
use crate::go::types::Types;
use crate::goroutines::DumpBuilder;
use crate::goroutines::model::{BlockedId, BlockedOn, Channel, ChannelId, ChannelOperation, StrId};

/// A `runtime.hchan`, and who waits on it.
struct Hchan {
    channel: Channel,
    /// Its timer, where channels know theirs.
    timer: Avma,
    element_type: Avma,
    receivers_first: Avma,
    senders_first: Avma,
    /// Its number in the dump, once it has one.
    id: Option<ChannelId>,
    /// The numbers in the dump of waiting to receive and to send.
    waiting: [Option<BlockedId>; 2],
}

impl Hchan {
    fn of(address: Avma, words: Words<'_>, fields: &HchanFields) -> Option<Self> {
        let timer = fields.timer.map_or(Some(Avma(0)), |timer| words.pointer(timer))?;
        let channel = Channel {
            address,
            element: None,
            length: words.u64(fields.qcount)?,
            capacity: words.u64(fields.dataqsiz)?,
            closed: words.u32(fields.closed)? != 0,
            timer: !timer.is_null(),
            stopped: false,
            receivers: 0,
            senders: 0,
        };
        Some(Self {
            channel,
            timer,
            element_type: words.pointer(fields.elemtype)?,
            receivers_first: words.pointer(fields.recvq_first)?,
            senders_first: words.pointer(fields.sendq_first)?,
            id: None,
            waiting: [None; 2],
        })
    }

    /// The side that all are on; of a channel with a queue on each side, or on none, that is not known.
    fn only_side(&self) -> Option<ChannelOperation> {
        match (self.receivers_first.is_null(), self.senders_first.is_null()) {
            (false, true) => Some(ChannelOperation::Receive),
            (true, false) => Some(ChannelOperation::Send),
            (true, true) | (false, false) => None,
        }
    }

    fn count(&mut self, operation: ChannelOperation) {
        let count = match operation {
            ChannelOperation::Receive => &mut self.channel.receivers,
            ChannelOperation::Send => &mut self.channel.senders,
        };
        *count = count.saturating_add(1);
    }
}

/// The type of what a channel carries.
#[derive(Default)]
struct Element {
    name: String,
    /// Its name in the dump, once it has one.
    id: Option<StrId>,
}

/// The channels of one process.
pub(super) struct Channels {
    /// By the number that the queues have of each; `None` for what could not be read.
    hchans: Vec<Option<Hchan>>,
    /// The side of each entry of the channels that have entries on both: goroutines that would do either.
    sides: KeyedMap<Avma, ChannelOperation>,
    elements: KeyedMap<Avma, Element>,
}

impl Channels {
    /// Reads the channels that `queues` have entries of.
    pub(super) fn read(queues: &Queues, program: &Program<'_>, memory: &dyn Memory) -> Self {
        let hchans = read_hchans(queues.channels(), &program.layout.hchan, memory);
        let mut channels = Self { hchans, sides: KeyedMap::default(), elements: KeyedMap::default() };
        channels.read_elements(program, memory);
        channels.find_stopped(program, memory);
        channels.find_sides(queues);
        channels.count(queues);
        channels
    }

    fn read_elements(&mut self, program: &Program<'_>, memory: &dyn Memory) {
        for hchan in self.hchans.iter().flatten() {
            let at = hchan.element_type;
            if self.elements.contains_key(&at) {
                continue;
            }
            let Some(module) = program.modules.iter().find(|module| module.types.contains(at)) else {
                continue;
            };
            let types = Types::new(memory, module.types.start, module.types.end);
            let name = types.get(at).map(|found| found.name).unwrap_or_default();
            self.elements.insert(at, Element { name, id: None });
        }
    }

    /// Finds those that look like a timer's and that none is going to send on.
    fn find_stopped(&mut self, program: &Program<'_>, memory: &dyn Memory) {
        let layout = &program.layout;
        let all = || self.hchans.iter().flatten();
        let of_timers: Vec<Avma> = all().map(|hchan| hchan.timer).filter(|timer| !timer.is_null()).collect();
        let carries_times = |hchan: &&Hchan| {
            let element = self.elements.get(&hchan.element_type);
            hchan.channel.capacity == 1 && element.is_some_and(|element| element.name == "time.Time")
        };
        let may_be: Vec<Avma> = match layout.hchan.timer {
            Some(_) => Vec::new(),
            None => all().filter(carries_times).map(|hchan| hchan.channel.address).collect(),
        };
        let fields = layout.timer.as_ref().filter(|_| !of_timers.is_empty());
        let idle = fields.map(|fields| timers::not_armed(memory, fields, &of_timers)).unwrap_or_default();
        let without = timers::without_timer(program, memory, &may_be);
        for hchan in self.hchans.iter_mut().flatten() {
            let at = hchan.channel.address;
            hchan.channel.stopped = idle.contains(&hchan.timer) || without.contains(&at);
        }
        keep_stopped(&mut self.hchans, layout.hchan.recvq_first, memory);
    }

    /// Goes through the queues of the channels that have two.
    fn find_sides(&mut self, queues: &Queues) {
        let has_two = |hchan: &&Hchan| !hchan.receivers_first.is_null() && !hchan.senders_first.is_null();
        let doubtful: Vec<_> = self.hchans.iter().flatten().filter(has_two).collect();
        if doubtful.is_empty() {
            return;
        }
        let entries: KeyedMap<Avma, &Entry> = queues.entries().map(|entry| (entry.at, entry)).collect();
        for hchan in doubtful {
            let is_there = |entry: &&Entry| match entry.waits_for {
                WaitsFor::Channel(number) => {
                    queues.channels().get(number as usize) == Some(&hchan.channel.address)
                }
                WaitsFor::Lock(_) | WaitsFor::Nothing => false,
            };
            let mut side = |first, operation| {
                let behind = |at: Avma| entries.get(&at).copied();
                let queue = std::iter::successors(behind(first), |entry| behind(entry.next));
                // A queue that was changed under our eyes may go in circles.
                for entry in queue.take_while(is_there).take(entries.len()) {
                    if self.sides.insert(entry.at, operation).is_some() {
                        break;
                    }
                }
            };
            side(hchan.receivers_first, ChannelOperation::Receive);
            side(hchan.senders_first, ChannelOperation::Send);
        }
    }

    fn count(&mut self, queues: &Queues) {
        for entry in queues.entries() {
            let Some(side) = self.side(entry) else { continue };
            if let WaitsFor::Channel(number) = entry.waits_for
                && let Some(Some(hchan)) = self.hchans.get_mut(number as usize)
            {
                hchan.count(side);
            }
        }
    }

    /// The side of its channel that an entry is on.
    pub(super) fn side(&self, entry: &Entry) -> Option<ChannelOperation> {
        let WaitsFor::Channel(number) = entry.waits_for else { return None };
        let hchan = self.hchans.get(number as usize)?.as_ref()?;
        hchan.only_side().or_else(|| self.sides.get(&entry.at).copied())
    }

    /// The number in the dump of the channel that an entry is of.
    pub(super) fn add(&mut self, entry: &Entry, builder: &mut DumpBuilder) -> Option<ChannelId> {
        let WaitsFor::Channel(number) = entry.waits_for else { return None };
        let hchan = self.hchans.get_mut(number as usize)?.as_mut()?;
        if hchan.id.is_none() {
            let element =
                self.elements.get_mut(&hchan.element_type).filter(|element| !element.name.is_empty());
            let element = element.map(|one| *one.id.get_or_insert_with(|| builder.string(&one.name)));
            hchan.id = Some(builder.new_channel(Channel { element, ..hchan.channel }));
        }
        hchan.id
    }

    /// The number in the dump of waiting at the channel that an entry is of, to do this.
    pub(super) fn waiting(
        &mut self,
        entry: &Entry,
        operation: ChannelOperation,
        builder: &mut DumpBuilder,
    ) -> Option<BlockedId> {
        let channel = self.add(entry, builder)?;
        let WaitsFor::Channel(number) = entry.waits_for else { return None };
        let known = &mut self.hchans.get_mut(number as usize)?.as_mut()?.waiting[operation as usize];
        let add = || builder.new_blocked_on(BlockedOn::Channel { operation, channel });
        Some(*known.get_or_insert_with(add))
    }
}

/// Of those that were found stopped, leaves it at that where the same goroutine is still the first to receive: a timer that
/// fires after the channel was read, and before the timer is, is not going to fire any more either.
fn keep_stopped(hchans: &mut [Option<Hchan>], recvq_first: u32, memory: &dyn Memory) {
    let mut stopped: Vec<_> = hchans.iter_mut().flatten().filter(|hchan| hchan.channel.stopped).collect();
    stopped.sort_unstable_by_key(|hchan| hchan.channel.address);
    let first = |hchan: &&mut Hchan| hchan.channel.address.plus(recvq_first.into());
    let addresses: Vec<_> = stopped.iter().map(first).collect();
    for hchan in &mut stopped {
        hchan.channel.stopped = false;
    }
    read_structs(memory, &addresses, 8, |index, words| {
        let before = stopped[index].receivers_first;
        stopped[index].channel.stopped = !before.is_null() && words.pointer(0) == Some(before);
    });
}

fn read_hchans(channels: &[Avma], fields: &HchanFields, memory: &dyn Memory) -> Vec<Option<Hchan>> {
    let mut hchans: Vec<_> = channels.iter().map(|_| None).collect();
    let mut order: Vec<_> = channels.iter().copied().zip(0_usize..).collect();
    order.sort_unstable();
    let addresses: Vec<_> = order.iter().map(|&(at, _)| at).collect();
    read_structs(memory, &addresses, fields.size as usize, |index, words| {
        let (at, number) = order[index];
        hchans[number] = Hchan::of(at, words, fields);
    });
    hchans
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::memory::Pieces;

    fn hchan(address: u64, first: u64, stopped: bool) -> Hchan {
        let channel = Channel::of_timer(Avma(address), stopped);
        let null = Avma(0);
        Hchan {
            channel,
            timer: null,
            element_type: null,
            receivers_first: Avma(first),
            senders_first: null,
            id: None,
            waiting: [None; 2],
        }
    }

    #[test]
    fn a_timer_that_fires_while_it_is_looked_for_is_not_stopped() {
        let first = |first: u64| first.to_le_bytes().to_vec();
        let memory = Pieces::new()
            .with(Avma(0x1040), first(0xa1))
            .with(Avma(0x2040), first(0))
            .with(Avma(0x3040), first(0xa4))
            .with(Avma(0x4040), first(0))
            .with(Avma(0x5040), first(0xa5));
        let mut hchans: Vec<_> = [
            hchan(0x3000, 0xa3, true),
            hchan(0x1000, 0xa1, true),
            hchan(0x2000, 0xa2, true),
            hchan(0x4000, 0, true),
            hchan(0x5000, 0xa5, false),
            hchan(0x6000, 0xa6, true),
        ]
        .map(Some)
        .into();
        hchans.push(None);
        keep_stopped(&mut hchans, 0x40, &memory);
        let stopped = hchans.iter().flatten().filter(|hchan| hchan.channel.stopped);
        let stopped: Vec<_> = stopped.map(|hchan| hchan.channel.address).collect();
        assert_eq!(stopped, [Avma(0x1000)]);
    }
}
