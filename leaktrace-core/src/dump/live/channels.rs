//! The channels that goroutines wait on, and who waits on which side.
//!
//! Source: Go `src/runtime/chan.go`, go1.19 to go1.27.

use super::sudogs::{Sudog, Sudogs};
use super::words::{Words, read_structs};
use crate::dump::DumpBuilder;
use crate::dump::model::{Channel, ChannelId, ChannelOperation};
use crate::go::layout::HchanFields;
use crate::go::program::Program;
use crate::go::types::Types;
use crate::hash::KeyedMap;
use crate::memory::Memory;
use crate::num::Avma;

/// A `runtime.hchan`, and who waits on it.
struct Hchan {
    channel: Channel,
    element_type: Avma,
    receivers_first: Avma,
    senders_first: Avma,
    /// Its number in the dump, once it has one.
    id: Option<ChannelId>,
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
            receivers: 0,
            senders: 0,
        };
        Some(Self {
            channel,
            element_type: words.pointer(fields.elemtype)?,
            receivers_first: words.pointer(fields.recvq_first)?,
            senders_first: words.pointer(fields.sendq_first)?,
            id: None,
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

/// The channels of one process.
pub(super) struct Channels {
    by_address: KeyedMap<Avma, Hchan>,
    /// The side of each entry of the channels that have entries on both: goroutines that would do either.
    sides: KeyedMap<Avma, ChannelOperation>,
    elements: KeyedMap<Avma, String>,
}

impl Channels {
    /// Reads the channels that `sudogs` are entries of.
    pub(super) fn read(sudogs: &Sudogs<'_>, program: &Program<'_>, memory: &dyn Memory) -> Self {
        let mut addresses: Vec<_> = sudogs.iter().map(|sudog| sudog.channel).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses.retain(|at| !at.is_null());
        let fields = &program.layout.hchan;
        let mut by_address = KeyedMap::default();
        read_structs(memory, &addresses, fields.size as usize, |index, words| {
            let hchan = Hchan::of(addresses[index], words, fields);
            by_address.extend(hchan.map(|hchan| (addresses[index], hchan)));
        });
        let mut channels = Self { by_address, sides: KeyedMap::default(), elements: KeyedMap::default() };
        channels.read_elements(program, memory);
        channels.find_sides(sudogs);
        channels.count(sudogs);
        channels
    }

    fn read_elements(&mut self, program: &Program<'_>, memory: &dyn Memory) {
        for hchan in self.by_address.values() {
            let module = program.modules.iter().find(|module| module.types.contains(hchan.element_type));
            let Some(module) = module else { continue };
            let types = Types::new(memory, module.types.start, module.types.end);
            self.elements
                .entry(hchan.element_type)
                .or_insert_with(|| types.get(hchan.element_type).map(|found| found.name).unwrap_or_default());
        }
    }

    /// Goes through the queues of the channels that have two.
    fn find_sides(&mut self, sudogs: &Sudogs<'_>) {
        for (&at, hchan) in &self.by_address {
            if hchan.receivers_first.is_null() || hchan.senders_first.is_null() {
                continue;
            }
            let mut side = |first, operation| {
                let queue = std::iter::successors(sudogs.get(first), |sudog| sudogs.get(sudog.next));
                // A queue that was changed under our eyes may go in circles.
                for sudog in queue.take_while(|sudog| sudog.channel == at).take(sudogs.len()) {
                    if self.sides.insert(sudog.at, operation).is_some() {
                        break;
                    }
                }
            };
            side(hchan.receivers_first, ChannelOperation::Receive);
            side(hchan.senders_first, ChannelOperation::Send);
        }
    }

    fn count(&mut self, sudogs: &Sudogs<'_>) {
        for sudog in sudogs.iter().filter(|sudog| !sudog.channel.is_null()) {
            let Some(hchan) = self.by_address.get_mut(&sudog.channel) else { continue };
            if let Some(side) = hchan.only_side().or_else(|| self.sides.get(&sudog.at).copied()) {
                hchan.count(side);
            }
        }
    }

    /// The side of its channel that an entry is on.
    pub(super) fn side(&self, sudog: &Sudog) -> Option<ChannelOperation> {
        let hchan = self.by_address.get(&sudog.channel)?;
        hchan.only_side().or_else(|| self.sides.get(&sudog.at).copied())
    }

    /// The number in the dump of the channel at an address.
    pub(super) fn add(&mut self, at: Avma, builder: &mut DumpBuilder) -> Option<ChannelId> {
        let hchan = self.by_address.get_mut(&at)?;
        let element = self.elements.get(&hchan.element_type).filter(|name| !name.is_empty());
        let add = || {
            let element = element.map(|name| builder.string(name));
            builder.channel(Channel { element, ..hchan.channel })
        };
        let id = hchan.id.unwrap_or_else(add);
        hchan.id = Some(id);
        Some(id)
    }
}
