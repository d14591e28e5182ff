//! What each waiting goroutine waits on, by its wait records (`runtime.sudog`).
//!
//! From Go 1.26 on every waiter has its records in `g.waiting`. Up to 1.25 only those that wait for channels have;
//! the others' records are found among all objects of the size of a record, by the goroutine that they name.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::go::layout::SudogFields;
use crate::go::waiting::WaitObject;
use crate::memory::Memory;
use crate::num::{Avma, GPtr};
use crate::structs::{Words, read_structs};

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
    pub(super) objects: FxHashMap<GPtr, Vec<WaitObject>>,
    /// All records that are in use.
    pub(super) records: FxHashSet<Avma>,
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
        let hidden: FxHashMap<GPtr, WaitKind> = waiting
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
        hidden: &FxHashMap<GPtr, WaitKind>,
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
