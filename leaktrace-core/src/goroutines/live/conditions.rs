//! Which `sync.Cond` a goroutine waits for, up to Go 1.25; from Go 1.26 on `g.waiting` leads there.
//!
//! The list of a condition names the goroutines that wait for it, and the condition's address lies in their innermost
//! frames, since `(*Cond).Wait` needs it again to lock what it unlocked. So each word there is looked at, and taken only if
//! it points to a list on which the goroutine is.
//!
//! Source: Go `src/sync/cond.go` (`Cond`: an interface, then the list) and `src/runtime/sema.go` (`notifyList`: two numbers
//! and a lock, then the first and the last `sudog`), go1.19 to go1.25.

use super::frame_words::{distinct, pointers};
use super::sudogs::Sudog;
use super::words::read_structs;
use crate::base::hash::{KeyedMap, KeyedSet};
use crate::base::memory::Memory;
use crate::base::num::{Avma, GPtr};
use crate::go::goroutines::{Goroutine, Snapshot};
use crate::go::layout::SudogFields;
use crate::go::program::Program;

/// Where the list of a `sync.Cond` is, and where its first and last entries are behind that.
const LIST: u64 = 16;
const FIRST: u64 = LIST + 16;
/// How many entries of lists are read for each goroutine that waits.
const MAX_ENTRIES: usize = 16;
/// How many goroutines are looked at together, so that what is remembered of them is bounded.
const CHUNK: usize = 4_096;

/// The list that each goroutine is on which waits for a condition, where that can be proved.
pub(super) fn read(snapshot: &Snapshot, program: &Program<'_>, memory: &dyn Memory) -> KeyedMap<GPtr, Avma> {
    let Some(reason) = program.wait_reasons.number("sync.Cond.Wait") else { return KeyedMap::default() };
    let waits = |one: &&Goroutine| one.status.is_waiting() && one.wait_reason == reason && one.stack_used > 0;
    let waiting: Vec<&Goroutine> = snapshot.goroutines.iter().filter(waits).collect();
    let mut search = Search {
        memory,
        fields: &program.layout.sudog,
        waiting: waiting.iter().map(|one| one.g).collect(),
        lists: KeyedMap::default(),
        budget: waiting.len().saturating_mul(MAX_ENTRIES),
    };
    waiting.chunks(CHUNK).flat_map(|waiting| search.conditions(waiting, program)).collect()
}

struct Search<'a> {
    memory: &'a dyn Memory,
    fields: &'a SudogFields,
    waiting: KeyedSet<GPtr>,
    /// Who is on the list of each condition that was looked at.
    lists: KeyedMap<Avma, KeyedSet<GPtr>>,
    /// How many entries of lists may still be read, since what is no list may lead into one.
    budget: usize,
}

impl Search<'_> {
    fn conditions(&mut self, waiting: &[&Goroutine], program: &Program<'_>) -> Vec<(GPtr, Avma)> {
        let candidates = pointers(waiting, program, self.memory);
        let mut new = distinct(&candidates);
        new.retain(|at| !self.lists.contains_key(at));
        self.read_lists(&new);
        let find = |(one, candidates): (&&Goroutine, &Vec<Avma>)| {
            let is_on = |at: &&Avma| self.lists.get(at).is_some_and(|list| list.contains(&one.g));
            candidates.iter().find(is_on).map(|at| (one.g, at.plus(LIST)))
        };
        waiting.iter().zip(&candidates).filter_map(find).collect()
    }

    /// Follows the lists of what may be conditions. One that leads to anything but goroutines that wait for a condition is
    /// none.
    fn read_lists(&mut self, candidates: &[Avma]) {
        let ends: Vec<_> = candidates.iter().map(|at| at.plus(FIRST)).collect();
        let mut lists = Vec::new();
        read_structs(self.memory, &ends, 16, |index, words| {
            lists.extend(words.pointer(0).zip(words.pointer(8)).map(|ends| (candidates[index], ends)));
        });
        for (at, (first, last)) in lists {
            if let Some(list) = self.follow(first, last) {
                self.lists.insert(at, list);
            }
        }
    }

    fn follow(&mut self, first: Avma, last: Avma) -> Option<KeyedSet<GPtr>> {
        let (mut at, mut list) = (first, KeyedSet::default());
        loop {
            let entry = self.entry(at)?;
            let is_new = self.waiting.contains(&entry.g) && list.insert(entry.g);
            if !is_new || !entry.channel.is_null() {
                return None;
            }
            self.budget = self.budget.checked_sub(1)?;
            if at == last {
                return Some(list);
            }
            at = entry.next;
        }
    }

    fn entry(&self, at: Avma) -> Option<Sudog> {
        let mut entry = None;
        let plausible = at.0.is_multiple_of(8) && !at.is_null();
        let addresses: &[Avma] = if plausible { &[at] } else { &[] };
        read_structs(self.memory, addresses, self.fields.size as usize, |_, words| {
            entry = Sudog::of(words, self.fields);
        });
        entry
    }
}
