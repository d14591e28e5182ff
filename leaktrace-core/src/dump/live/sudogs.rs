//! The entries of wait queues, `runtime.sudog`, found by their addresses.
//!
//! Source: Go `src/runtime/runtime2.go` and `sema.go`, go1.19 to go1.27.

use super::words::{Words, read_structs};
use crate::elf::Arch;
use crate::go::layout::SudogFields;
use crate::go::program::Program;
use crate::hash::KeyedMap;
use crate::memory::Memory;
use crate::num::{Avma, GPtr};

/// The slots of `runtime.semtable`.
const SEMTABLE_SLOTS: u64 = 251;

/// An entry of a wait queue.
#[derive(Clone, Copy)]
pub(super) struct Sudog {
    pub(super) at: Avma,
    pub(super) g: GPtr,
    pub(super) next: Avma,
    pub(super) prev: Avma,
    pub(super) waitlink: Avma,
    /// The channel; nil for a lock.
    pub(super) channel: Avma,
    /// For a lock, its address.
    pub(super) elem: Avma,
}

impl Sudog {
    pub(super) fn of(at: Avma, words: Words<'_>, fields: &SudogFields) -> Option<Self> {
        Some(Self {
            at,
            g: GPtr(words.u64(fields.g)?),
            next: words.pointer(fields.next)?,
            prev: words.pointer(fields.prev)?,
            waitlink: words.pointer(fields.waitlink)?,
            channel: words.pointer(fields.c)?,
            elem: words.pointer(fields.elem)?,
        })
    }

    /// The lock that is waited for, if it is one.
    pub(super) fn lock(&self) -> Option<Avma> {
        (self.channel.is_null() && !self.elem.is_null()).then_some(self.elem)
    }
}

/// What was read of the queues of one process.
pub(super) struct Sudogs<'m> {
    memory: &'m dyn Memory,
    fields: SudogFields,
    /// How many entries are read at most.
    limit: usize,
    /// The first entry of each goroutine that has one, by address.
    firsts: Vec<Sudog>,
    /// For each goroutine of the snapshot, which of `firsts` is its own.
    first_of: Vec<Option<u32>>,
    /// All other entries, and which is at an address.
    others: Vec<Sudog>,
    by_address: KeyedMap<Avma, u32>,
}

impl<'m> Sudogs<'m> {
    /// Reads the first entries of goroutines, at the addresses that their `g.waiting` say.
    pub(super) fn of(memory: &'m dyn Memory, fields: SudogFields, waiting: &[Avma], limit: usize) -> Self {
        let first_of = vec![None; waiting.len()];
        let (firsts, others, by_address) = (Vec::new(), Vec::new(), KeyedMap::default());
        let mut sudogs = Self { memory, fields, limit, firsts, first_of, others, by_address };
        sudogs.read_firsts(waiting);
        sudogs
    }

    fn read_firsts(&mut self, waiting: &[Avma]) {
        let numbered = waiting.iter().copied().zip(0_u32..);
        let mut wanted: Vec<_> = numbered.filter(|(at, _)| !at.is_null()).collect();
        wanted.sort_unstable();
        let addresses: Vec<_> = wanted.iter().map(|&(at, _)| at).collect();
        self.firsts.reserve(addresses.len());
        read_structs(self.memory, &addresses, self.fields.size as usize, |index, words| {
            let (at, goroutine) = wanted[index];
            let Some(sudog) = Sudog::of(at, words, &self.fields) else { return };
            self.first_of[goroutine as usize] = u32::try_from(self.firsts.len()).ok();
            self.firsts.push(sudog);
        });
        // One that could not be read at once with its neighbours has come late.
        if !self.firsts.is_sorted_by_key(|sudog| sudog.at) {
            self.firsts.sort_by_key(|sudog| sudog.at);
            self.number_again(waiting);
        }
    }

    fn number_again(&mut self, waiting: &[Avma]) {
        for (first, at) in self.first_of.iter_mut().zip(waiting) {
            let found = self.firsts.binary_search_by_key(at, |sudog| sudog.at).ok();
            *first = found.and_then(|index| u32::try_from(index).ok());
        }
    }

    /// Reads the further cases of goroutines that select.
    pub(super) fn read_cases(&mut self) {
        // What follows a lock's entry is another goroutine's.
        let next = |sudog: &Sudog| if sudog.channel.is_null() { Avma(0) } else { sudog.waitlink };
        self.read(self.firsts.iter().map(next).collect(), |sudog| [next(sudog), Avma(0), Avma(0)]);
    }

    /// Reads entries and those that `follow` names, until there are no more of them.
    fn read(&mut self, mut todo: Vec<Avma>, follow: impl Fn(&Sudog) -> [Avma; 3]) {
        while !todo.is_empty() && self.others.len() < self.limit {
            todo.retain(|at| !at.is_null() && !self.by_address.contains_key(at));
            todo.sort_unstable();
            todo.dedup();
            todo.truncate(self.limit - self.others.len());
            let first = self.others.len();
            read_structs(self.memory, &todo, self.fields.size as usize, |index, words| {
                let Some(sudog) = Sudog::of(todo[index], words, &self.fields) else { return };
                let Ok(number) = u32::try_from(self.others.len()) else { return };
                self.by_address.insert(sudog.at, number);
                self.others.push(sudog);
            });
            todo.clear();
            todo.extend(self.others[first..].iter().flat_map(&follow));
        }
    }

    /// Up to Go 1.25 a goroutine that waits for a lock is found in the table of semaphores only: 251 trees, in
    /// which each address is one node, and those that wait for the same one are a list.
    pub(super) fn read_semtable(&mut self, program: &Program<'_>) {
        const LOCK: u64 = 8;
        let Some(table) = program.globals.semtable else { return };
        let stride = match program.arch {
            Arch::Amd64 => 64,
            Arch::Arm64 => 128,
        };
        let roots: Vec<_> = (0..SEMTABLE_SLOTS).map(|slot| table.plus(slot * stride + LOCK)).collect();
        let mut trees = Vec::new();
        read_structs(self.memory, &roots, 8, |_, words| trees.extend(words.pointer(0)));
        self.read(trees, |sudog| [sudog.prev, sudog.next, sudog.waitlink]);
    }

    /// The first entry of the goroutine with this index in the snapshot.
    pub(super) fn first_of(&self, goroutine: usize) -> Option<&Sudog> {
        self.firsts.get((*self.first_of.get(goroutine)?)? as usize)
    }

    /// The entry at an address.
    pub(super) fn get(&self, at: Avma) -> Option<&Sudog> {
        if at.is_null() {
            return None;
        }
        let other = self.by_address.get(&at).and_then(|&number| self.others.get(number as usize));
        other.or_else(|| {
            let first = self.firsts.binary_search_by_key(&at, |sudog| sudog.at).ok()?;
            self.firsts.get(first)
        })
    }

    /// All entries.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Sudog> {
        self.firsts.iter().chain(&self.others)
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.firsts.len() + self.others.len()
    }
}
