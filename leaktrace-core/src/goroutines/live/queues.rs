//! The wait queues that goroutines are in: of channels, and from Go 1.26 on of locks.

use super::sudogs::Sudog;
use super::words::read_structs;
use crate::base::hash::KeyedMap;
use crate::base::memory::Memory;
use crate::base::num::{Avma, GPtr};
use crate::go::goroutines::{Goroutine, Snapshot};
use crate::go::layout::SudogFields;
use crate::go::program::Program;

/// The most cases of one select that are told.
const MAX_CASES: usize = 64;
/// How many entries are kept at most.
const MAX_ENTRIES: usize = 16 << 20;
/// How many goroutines' entries are read together.
const CHUNK: usize = 8_192;
/// No entry.
const NONE: u32 = u32::MAX;

/// What a goroutine waits for in one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitsFor {
    /// A channel, by its number in [`Queues::channels`].
    Channel(u32),
    /// A lock, by its address.
    Lock(Avma),
    /// Neither.
    Nothing,
}

/// One goroutine's place in one queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Where it is.
    pub(super) at: Avma,
    /// What is behind it in the queue.
    pub(super) next: Avma,
    pub(super) waits_for: WaitsFor,
    /// The goroutine's next case.
    further: u32,
    /// Whether it is still the goroutine's that led to it.
    own: bool,
}

/// The places in wait queues of the goroutines of one [`Snapshot`].
#[derive(Debug, Default)]
pub struct Queues {
    entries: Vec<Entry>,
    /// For each goroutine of the snapshot, its first entry.
    first_of: Vec<u32>,
    /// The addresses of the channels, and their numbers.
    channels: Vec<Avma>,
    numbers: KeyedMap<Avma, u32>,
}

impl Queues {
    /// Reads the entries of the goroutines of `snapshot`, which was taken just now.
    pub fn read(snapshot: &Snapshot, program: &Program<'_>, memory: &dyn Memory) -> Self {
        let goroutines = &snapshot.goroutines;
        let queues = Self { first_of: vec![NONE; goroutines.len()], ..Self::default() };
        let mut reading = Reading { memory, fields: &program.layout.sudog, queues };
        for (first, goroutines) in (0..).step_by(CHUNK).zip(goroutines.chunks(CHUNK)) {
            reading.read(first, goroutines);
        }
        reading.queues
    }

    /// Adds the entries of what is [added](Snapshot::append) to the snapshot.
    pub fn append(&mut self, other: &Self) {
        let offset = self.entries.len();
        let moved = |index: u32| number(offset + index as usize).filter(|_| index != NONE).unwrap_or(NONE);
        self.first_of.extend(other.first_of.iter().map(|&first| moved(first)));
        let channels: Vec<_> = other.channels.iter().map(|&at| self.waits_for(at)).collect();
        self.entries.extend(other.entries.iter().map(|entry| Entry {
            further: moved(entry.further),
            waits_for: match entry.waits_for {
                WaitsFor::Channel(number) => channels[number as usize],
                other => other,
            },
            ..*entry
        }));
    }

    /// The same to look at: nothing is added any more, so that no channel has to be found by its address.
    pub(super) fn complete(self) -> Self {
        Self { numbers: KeyedMap::default(), ..self }
    }

    /// The first entry of the goroutine with this index in the snapshot, if it is still its own.
    pub(super) fn first_of(&self, goroutine: usize) -> Option<Entry> {
        self.entry(*self.first_of.get(goroutine)?)
    }

    /// The entry of the goroutine's next case.
    pub(super) fn next_case(&self, entry: &Entry) -> Option<Entry> {
        self.entry(entry.further)
    }

    fn entry(&self, index: u32) -> Option<Entry> {
        self.entries.get(index as usize).filter(|entry| entry.own).copied()
    }

    /// All entries that are their goroutines' own.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.own)
    }

    /// The addresses of the channels that there are entries of.
    pub(super) fn channels(&self) -> &[Avma] {
        &self.channels
    }

    fn add(&mut self, link: Link, sudog: &Sudog) -> Option<u32> {
        let waits_for = match sudog.lock() {
            Some(lock) => WaitsFor::Lock(lock),
            None if sudog.channel.is_null() => WaitsFor::Nothing,
            None => self.waits_for(sudog.channel),
        };
        let index = number(self.entries.len())?;
        let own = sudog.g == link.g;
        self.entries.push(Entry { at: link.to, next: sudog.next, waits_for, further: NONE, own });
        Some(index)
    }

    fn waits_for(&mut self, channel: Avma) -> WaitsFor {
        let channels = &mut self.channels;
        WaitsFor::Channel(*self.numbers.entry(channel).or_insert_with(|| {
            channels.push(channel);
            number(channels.len() - 1).unwrap_or(NONE)
        }))
    }
}

/// What leads to an entry: a goroutine, or another entry of it.
#[derive(Clone, Copy)]
struct Link {
    to: Avma,
    from: u32,
    /// The goroutine whose entry it should be.
    g: GPtr,
}

struct Reading<'a> {
    memory: &'a dyn Memory,
    fields: &'a SudogFields,
    queues: Queues,
}

impl Reading<'_> {
    /// Reads the entries of some goroutines, the first of which has this index in the snapshot.
    fn read(&mut self, first: u32, goroutines: &[Goroutine]) {
        let leads = |one: &Goroutine| one.status.is_waiting() && !one.waiting.is_null();
        let waiting = (first..).zip(goroutines).filter(|(_, one)| leads(one));
        let links = waiting.map(|(from, one)| Link { to: one.waiting, from, g: one.g }).collect();
        let mut links = self.follow(links, |queues, from, to| queues.first_of[from] = to);
        for _ in 1..MAX_CASES {
            if links.is_empty() {
                return;
            }
            links = self.follow(links, |queues, from, to| queues.entries[from].further = to);
        }
    }

    /// Reads the entries that `links` lead to, and returns the links to the next cases.
    fn follow(&mut self, mut links: Vec<Link>, note: fn(&mut Queues, usize, u32)) -> Vec<Link> {
        links.truncate(MAX_ENTRIES - self.queues.entries.len());
        links.sort_unstable_by_key(|link| link.to);
        let addresses: Vec<_> = links.iter().map(|link| link.to).collect();
        let (queues, mut next) = (&mut self.queues, Vec::new());
        read_structs(self.memory, &addresses, self.fields.size as usize, |index, words| {
            let (link, Some(sudog)) = (links[index], Sudog::of(words, self.fields)) else { return };
            let Some(entry) = queues.add(link, &sudog) else { return };
            note(queues, link.from as usize, entry);
            // What follows a lock's entry is another goroutine's.
            if !sudog.channel.is_null() && !sudog.waitlink.is_null() {
                next.push(Link { to: sudog.waitlink, from: entry, g: link.g });
            }
        });
        next
    }
}

fn number(index: usize) -> Option<u32> {
    u32::try_from(index).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The queues of as many goroutines as there are `waiting`, each with a first entry for the first of its channels and
    /// a further one for the second.
    fn queues(waiting: &[[u64; 2]]) -> Queues {
        let mut queues = Queues::default();
        for (from, channels) in (0..).zip(waiting) {
            let [first, second] = channels.map(|channel| {
                let link = Link { to: Avma(channel + 8), from, g: GPtr(0x700) };
                let (next, none) = (Avma(0), Avma(0));
                let sudog =
                    Sudog { g: link.g, next, prev: none, waitlink: none, channel: Avma(channel), elem: none };
                queues.add(link, &sudog).unwrap()
            });
            queues.first_of.push(first);
            queues.entries[first as usize].further = second;
        }
        queues
    }

    /// The channels of the cases of each goroutine.
    fn cases(queues: &Queues) -> Vec<Vec<Avma>> {
        let channel = |entry: Entry| match entry.waits_for {
            WaitsFor::Channel(number) => queues.channels()[number as usize],
            other => panic!("no channel: {other:?}"),
        };
        let of = |goroutine| {
            let first = queues.first_of(goroutine);
            std::iter::successors(first, |entry| queues.next_case(entry)).map(channel).collect()
        };
        (0..queues.first_of.len()).map(of).collect()
    }

    #[test]
    fn parts_that_were_read_apart_know_the_same_channels() {
        let (first, second) = ([[0x100, 0x200], [0x100, 0x300]], [[0x300, 0x400], [0x400, 0x100]]);
        let mut together = queues(&first);
        together.append(&queues(&second));
        let expected: Vec<_> =
            first.iter().chain(&second).map(|channels| channels.map(Avma).to_vec()).collect();
        assert_eq!(cases(&together), expected);
        assert_eq!(together.channels(), [0x100, 0x200, 0x300, 0x400].map(Avma));
    }
}
