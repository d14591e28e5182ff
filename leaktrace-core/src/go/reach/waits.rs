//! What each waiting goroutine waits on, by its wait records (`runtime.sudog`).
//!
//! From Go 1.26 on every waiter has its records in `g.waiting`. Up to 1.25 only those that wait for channels have;
//! the others' records are found among all objects of the size of a record, by the goroutine that they name.

use crate::base::hash::{KeyedMap, KeyedSet};
use crate::base::memory::Memory;
use crate::base::num::{Avma, GPtr};
use crate::base::structs::{Words, read_structs};
use crate::go::layout::SudogFields;
use crate::go::waiting::WaitObject;

use super::Refusal;
use super::goroutines::Seen;
use super::heap::{Heap, Span, Use};
use super::reasons::{Kinds, WaitKind};

/// The most records of one goroutine: `select` has at most 65536 cases (`src/runtime/select.go`).
const MAX_RECORDS: usize = 1 << 16;
/// How much larger than a record the objects that hold records can be: one size class.
const CLASS_SLACK: u64 = 24;

/// A `runtime.sudog`.
#[derive(Clone, Copy, Debug)]
struct Record {
    g: GPtr,
    channel: Avma,
    elem: Avma,
    next_of_g: Avma,
}

impl Record {
    fn decode(words: Words<'_>, fields: &SudogFields) -> Option<Self> {
        Some(Self {
            g: GPtr(words.u64(fields.g)?),
            channel: words.pointer(fields.c)?,
            elem: words.pointer(fields.elem)?,
            next_of_g: words.pointer(fields.waitlink)?,
        })
    }
}

/// What goroutines wait on.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// By goroutine. For a condition variable up to Go 1.25 it is the wait record itself, which only the variable's
    /// list leads to.
    pub(super) objects: KeyedMap<GPtr, Vec<WaitObject>>,
    /// All records that are in use.
    pub(super) records: KeyedSet<Avma>,
}

impl Waits {
    /// Reads the records of those goroutines that wait on objects.
    pub(super) fn read(
        memory: &dyn Memory,
        fields: &SudogFields,
        goroutines: &[Seen],
        kinds: &Kinds,
        heap: &Heap,
    ) -> Result<Self, Refusal> {
        let mut waits = Self::default();
        waits.read_lists(memory, fields, goroutines)?;
        let waiting = goroutines.iter().filter(|seen| seen.status.is_waiting() && seen.waiting.is_null());
        let hidden: KeyedMap<GPtr, WaitKind> = waiting
            .filter_map(|seen| Some((seen.g, kinds.get(seen.wait_reason)?)))
            .filter(|(_, kind)| matches!(kind, WaitKind::Semaphore | WaitKind::Cond))
            .collect();
        if !hidden.is_empty() {
            waits.search(memory, fields, &hidden, heap)?;
        }
        Ok(waits)
    }

    /// Follows `g.waiting`, one record of every goroutine at a time.
    fn read_lists(
        &mut self,
        memory: &dyn Memory,
        fields: &SudogFields,
        goroutines: &[Seen],
    ) -> Result<(), Refusal> {
        let mut todo: Vec<(Avma, GPtr)> =
            goroutines.iter().map(|seen| (seen.waiting, seen.g)).filter(|(at, _)| !at.is_null()).collect();
        for _ in 0..MAX_RECORDS {
            // One that was seen before is a ring.
            todo.retain(|(at, _)| !at.is_null() && self.records.insert(*at));
            if todo.is_empty() {
                break;
            }
            let addresses: Vec<Avma> = todo.iter().map(|(at, _)| *at).collect();
            let mut next = Vec::new();
            read_structs(memory, &addresses, fields.size as usize, |index, words| {
                let (_, g) = todo[index];
                let record = Record::decode(words, fields).filter(|record| record.g == g);
                if let Some(record) = record {
                    self.add(&record);
                    next.push((record.next_of_g, g));
                }
            })?;
            todo = next;
        }
        Ok(())
    }

    fn add(&mut self, record: &Record) {
        let object = match (record.channel, record.elem) {
            (Avma(0), Avma(0)) => return,
            (Avma(0), semaphore) => WaitObject::Semaphore(semaphore),
            (channel, _) => WaitObject::Channel(channel),
        };
        self.objects.entry(record.g).or_default().push(object);
    }

    /// Looks through all objects of a record's size for those that name one of the `hidden` goroutines.
    fn search(
        &mut self,
        memory: &dyn Memory,
        fields: &SudogFields,
        hidden: &KeyedMap<GPtr, WaitKind>,
        heap: &Heap,
    ) -> Result<(), Refusal> {
        let size = u64::from(fields.size);
        let fits =
            |span: &&Span| span.used_for == Use::Scan && (size..size + CLASS_SLACK).contains(&span.elem);
        let Some(class) = heap.spans().filter(fits).map(|span| span.elem).min() else { return Ok(()) };
        let spans = heap.spans().filter(|span| span.used_for == Use::Scan && span.elem == class);
        for span in spans {
            let slots: Vec<Avma> = (0..span.objects()).map(|index| Avma(span.base(index))).collect();
            read_structs(memory, &slots, fields.size as usize, |index, words| {
                let Some(record) = Record::decode(words, fields) else { return };
                let kind = hidden.get(&record.g).filter(|_| record.channel.is_null());
                match kind {
                    Some(WaitKind::Semaphore) if !record.elem.is_null() => self.add(&record),
                    Some(WaitKind::Cond) if record.elem.is_null() => {
                        let objects = self.objects.entry(record.g).or_default();
                        objects.push(WaitObject::Semaphore(slots[index]));
                    }
                    _ => return,
                }
                self.records.insert(slots[index]);
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::memory::Pieces;
    use crate::base::num::Goid;
    use crate::go::goroutines::StackBounds;
    use crate::go::names::{Status, WaitReasons};

    /// As go1.25 and earlier have it.
    const FIELDS: SudogFields = SudogFields {
        size: 88,
        g: 0,
        next: 8,
        prev: 16,
        elem: 24,
        is_select: 52,
        parent: 56,
        waitlink: 64,
        c: 80,
    };
    const BASE: u64 = 0x00c0_0000_0000;
    const REASONS: [&str; 4] = ["", "select", "sync.Mutex.Lock", "sync.Cond.Wait"];

    fn waiting(g: u64, reason: u8, waiting: u64) -> Seen {
        Seen {
            g: GPtr(g),
            goid: Goid(g),
            status: Status::Waiting,
            wait_reason: reason,
            stack: StackBounds::default(),
            standing: None,
            waiting: Avma(waiting),
            tracking_seq: None,
            defers: Avma(0),
            panics: false,
            ctxt: 0,
        }
    }

    /// A span of records, each with the words `g`, `elem`, `waitlink` and `c`.
    fn records(records: &[[u64; 4]]) -> (Heap, Pieces<'static>) {
        let mut bytes = vec![0; 8192];
        for (index, record) in records.iter().enumerate() {
            for (offset, word) in [0, 24, 64, 80].into_iter().zip(record) {
                let at = index * 96 + offset;
                bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
            }
        }
        let mut heap = Heap::default();
        heap.add(Span { start: BASE, len: 8192, elem: 96, used_for: Use::Scan, specials: Avma(0) });
        (heap, Pieces::new().with(Avma(BASE), bytes))
    }

    fn read(goroutines: &[Seen], (heap, memory): &(Heap, Pieces<'_>)) -> Waits {
        let kinds = Kinds::of(&WaitReasons::new(REASONS));
        Waits::read(memory, &FIELDS, goroutines, &kinds, heap).unwrap()
    }

    #[test]
    fn a_select_waits_on_all_its_channels_and_on_nobody_elses() {
        let second = BASE + 96;
        let world = records(&[[7, 0, second, 0xc1], [7, 0, BASE + 192, 0xc2], [8, 0, 0, 0xc3]]);
        let waits = read(&[waiting(7, 1, BASE)], &world);
        assert_eq!(waits.objects[&GPtr(7)], [0xc1, 0xc2].map(|at| WaitObject::Channel(Avma(at))));
    }

    #[test]
    fn a_ring_of_records_ends() {
        let world = records(&[[7, 0, BASE, 0xc1]]);
        assert_eq!(read(&[waiting(7, 1, BASE)], &world).objects[&GPtr(7)].len(), 1);
    }

    #[test]
    fn waiters_for_locks_are_found_by_who_they_are() {
        // A record for a mutex, one that was given back, one for a condition, and one for a channel.
        let world = records(&[[7, 0x5e, 0, 0], [7, 0, 0, 0], [8, 0, 0, 0], [8, 0x77, 0, 0xc1]]);
        let waits = read(&[waiting(7, 2, 0), waiting(8, 3, 0)], &world);
        assert_eq!(waits.objects[&GPtr(7)], [WaitObject::Semaphore(Avma(0x5e))]);
        assert_eq!(waits.objects[&GPtr(8)], [WaitObject::Semaphore(Avma(BASE + 192))]);
        assert_eq!(waits.records.len(), 2);
    }
}
