//! Compares a layout with the live process before anything is read with it.
//!
//! The runtime's structs point to each other and to themselves: a `g` in `sched.g`, a thread's `g0` back to the
//! thread, a processor carries its index. Wrong offsets do not survive that. The process runs while it is being
//! looked at, so a few goroutines may be caught in the middle of a change.

use thiserror::Error;

use crate::base::bytes;
use crate::base::memory::{MAX_READ, Memory, ReadError};
use crate::base::num::Avma;
use crate::base::structs::{Words, read_structs};
use crate::go::globals::Globals;
use crate::go::layout::Layout;
use crate::go::names::Status;

/// How many goroutines, threads and processors are looked at.
const SAMPLED: u64 = 256;
/// More goroutines than fit into any machine.
const MAX_GOROUTINES: u64 = 1 << 30;
/// How much of a struct is read: no release has these fields further from its start.
const MAX_STRUCT: u32 = 4096;
/// How often a thread is looked at before it counts as wrong: it may switch goroutines between two reads, and in a
/// program that only starts and ends them it often does. Wrong offsets are as wrong the next time.
const ATTEMPTS: usize = 16;

/// The greatest thread id that Linux gives out (`PID_MAX_LIMIT`).
const MAX_TID: u64 = 1 << 22;
/// The smallest stack (`stackMin` in `src/runtime/stack.go`).
const MIN_STACK: u64 = 2048;

/// Why a layout, or the address of a variable, does not fit the live process.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidLayout {
    /// The runtime has not made its first goroutine yet: try again in a moment.
    #[error("the program has not started its first goroutine yet")]
    NotStarted,
    /// The list of goroutines has an impossible length.
    #[error("the list of goroutines at {at} has the impossible length {len}")]
    BadLength {
        /// Where the list is.
        at: Avma,
        /// The length that was read.
        len: u64,
    },
    /// Too many of the things that were looked at do not look like what they should be.
    #[error("{wrong} of {examined} {what} are not valid, the first at {first}")]
    NotAsExpected {
        /// What they should be.
        what: &'static str,
        /// How many are not.
        wrong: usize,
        /// Of how many.
        examined: usize,
        /// Where the first of those is.
        first: Avma,
    },
    /// The process's memory could not be read.
    #[error("the memory of the process could not be read")]
    Read(#[from] ReadError),
}

impl Layout {
    /// Checks this layout, and `globals`, against the live process.
    pub fn validate(&self, memory: &dyn Memory, globals: &Globals) -> Result<(), InvalidLayout> {
        let check = Check { layout: self, memory };
        accept("goroutines", &check.goroutines(globals)?)?;
        accept("threads", &check.threads(globals))?;
        accept("processors", &check.processors(globals)?)
    }
}

/// Where each thing is, and whether it looks right.
type Examined = Vec<(Avma, bool)>;

/// A quarter may be in the middle of a change.
fn accept(what: &'static str, examined: &Examined) -> Result<(), InvalidLayout> {
    let wrong = examined.iter().filter(|(_, right)| !right).count();
    match examined.iter().find(|(_, right)| !right) {
        Some(&(first, _)) if wrong * 4 > examined.len() => {
            Err(InvalidLayout::NotAsExpected { what, wrong, examined: examined.len(), first })
        }
        _ => Ok(()),
    }
}

struct Check<'a> {
    layout: &'a Layout,
    memory: &'a dyn Memory,
}

impl Check<'_> {
    fn goroutines(&self, globals: &Globals) -> Result<Examined, InvalidLayout> {
        let at = globals.allgs;
        let len = self.memory.u64(globals.allglen.unwrap_or(at.plus(8)))?;
        let base = self.memory.pointer(globals.allgptr.unwrap_or(at))?;
        if len == 0 || base.is_null() {
            return Err(InvalidLayout::NotStarted);
        }
        if len > MAX_GOROUTINES {
            return Err(InvalidLayout::BadLength { at, len });
        }
        // From all of the list, not only the oldest.
        let step = usize::try_from(len.div_ceil(SAMPLED)).unwrap_or(usize::MAX);
        let slots: Vec<Avma> = (0..len).step_by(step).map(|index| base.plus(index * 8)).collect();
        let g = &self.layout.g;
        let words = [g.stack_lo, g.stack_hi, g.stackguard1, g.sched_sp, g.sched_g, g.atomicstatus, g.goid];
        Ok(self.pointed_to(&slots, end_of(&words), |_, at, words| self.is_goroutine(at, words))?)
    }

    fn threads(&self, globals: &Globals) -> Examined {
        let mut examined = Examined::new();
        let mut slot = globals.allm;
        while let Some(m) = slot.and_then(|slot| self.memory.pointer(slot).ok()).filter(|m| !m.is_null()) {
            if examined.len() as u64 >= SAMPLED {
                break;
            }
            let is_thread = (0..ATTEMPTS).any(|_| self.is_thread(m).unwrap_or(false));
            examined.push((m, is_thread));
            slot = Some(m.plus(self.layout.m.alllink.into()));
        }
        examined
    }

    fn processors(&self, globals: &Globals) -> Result<Examined, InvalidLayout> {
        let Some(allp) = globals.allp else { return Ok(Examined::new()) };
        let (base, len) = (self.memory.pointer(allp)?, self.memory.u64(allp.plus(8))?);
        let slots: Vec<Avma> = (0..len.min(SAMPLED)).map(|index| base.plus(index * 8)).collect();
        let id = self.layout.p.id;
        let has_its_number = |index, _, words: Words<'_>| Some(usize::try_from(words.u32(id)?) == Ok(index));
        Ok(self.pointed_to(&slots, end_of(&[id]), has_its_number)?)
    }

    /// What the pointers in `slots` lead to, whose first `size` bytes are read at once, and whether it looks right.
    fn pointed_to(
        &self,
        slots: &[Avma],
        size: usize,
        looks_right: impl Fn(usize, Avma, Words<'_>) -> Option<bool>,
    ) -> Result<Examined, ReadError> {
        let mut found = slots.to_vec();
        read_structs(self.memory, slots, 8, |index, words| {
            found[index] = words.pointer(0).unwrap_or(slots[index]);
        })?;
        let mut examined: Examined = found.iter().map(|&at| (at, false)).collect();
        read_structs(self.memory, &found, size, |index, words| {
            examined[index].1 = looks_right(index, found[index], words).unwrap_or(false);
        })?;
        Ok(examined)
    }

    fn is_goroutine(&self, at: Avma, words: Words<'_>) -> Option<bool> {
        let g = &self.layout.g;
        let Some(status) = Status::from_raw(words.u32(g.atomicstatus)?) else { return Some(false) };
        let points_to_itself = words.pointer(g.sched_g)? == at;
        if !status.is_alive() {
            // Its stack may have been given back, and it may never have run.
            return Some(points_to_itself || words.u64(g.sched_g)? == 0);
        }
        let (lo, hi) = (words.u64(g.stack_lo)?, words.u64(g.stack_hi)?);
        let stack = hi.saturating_sub(lo);
        let runs = matches!(status, Status::Running | Status::Syscall);
        Some(
            points_to_itself
                && stack >= MIN_STACK
                && stack.is_power_of_two()
                && words.u64(g.stackguard1)? == u64::MAX
                && words.u64(g.goid)? != 0
                && (runs || (lo..=hi).contains(&words.u64(g.sched_sp)?)),
        )
    }

    fn is_thread(&self, at: Avma) -> Result<bool, ReadError> {
        let (g, m) = (&self.layout.g, &self.layout.m);
        let words = self.memory.bytes(at, end_of(&[m.g0, m.curg, m.procid]) as u64, MAX_READ)?;
        let word = |offset: u32| bytes::u64_at(&words, offset as usize).unwrap_or(u64::MAX);
        // It has always a goroutine of its own, and may run another.
        let curg = Some(word(m.curg)).filter(|curg| *curg != 0);
        let held = [word(m.g0)].into_iter().chain(curg);
        let slots: Vec<Avma> = held.map(|held| Avma(held).plus(g.m.into())).collect();
        let mut back = 0;
        read_structs(self.memory, &slots, 8, |_, words| back += usize::from(words.pointer(0) == Some(at)))?;
        // A thread that is being made has no id yet, and one that was given up keeps nothing.
        Ok(word(m.procid) <= MAX_TID && back == slots.len())
    }
}

/// How much of a struct is to be read for the words at these offsets.
pub(super) fn end_of(offsets: &[u32]) -> usize {
    let last = offsets.iter().max().copied().unwrap_or_default();
    last.saturating_add(8).min(MAX_STRUCT) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::go::layout::sample::Process;

    fn validated(process: &Process) -> Result<(), InvalidLayout> {
        process.layout().validate(&process.memory(), &process.globals())
    }

    fn wrong(result: &Result<(), InvalidLayout>) -> Option<(&'static str, usize)> {
        match result {
            Err(InvalidLayout::NotAsExpected { what, wrong, .. }) => Some((what, *wrong)),
            _ => None,
        }
    }

    #[test]
    fn a_layout_that_fits_is_believed() {
        assert_eq!(validated(&Process::with_goroutines(9)), Ok(()));
    }

    #[test]
    fn offsets_of_another_release_are_not() {
        let process = Process::with_goroutines(9);
        let mut layout = process.layout().clone();
        // As in go1.24.
        (layout.g.atomicstatus, layout.g.goid) = (152, 160);
        let result = layout.validate(&process.memory(), &process.globals());
        // All but the one whose id looks like the status of a dead one.
        assert_eq!(wrong(&result), Some(("goroutines", 8)));
        let mut layout = process.layout().clone();
        layout.m.curg = 64;
        let result = layout.validate(&process.memory(), &process.globals());
        assert_eq!(wrong(&result), Some(("threads", 1)));
    }

    #[test]
    fn a_goroutine_in_the_middle_of_a_change_is_no_reason_for_doubt() {
        let mut process = Process::with_goroutines(9);
        let stack_hi = process.layout().g.stack_hi;
        for index in 0..2 {
            process.put(Process::goroutine(index), stack_hi, 0);
        }
        assert_eq!(validated(&process), Ok(()));
        process.put(Process::goroutine(2), stack_hi, 0);
        assert_eq!(wrong(&validated(&process)), Some(("goroutines", 3)));
    }

    #[test]
    fn a_goroutine_that_is_not_there_hides_no_other() {
        let mut process = Process::with_goroutines(9);
        for index in [3, 4] {
            process.put(Process::list(), index * 8, 0x10);
        }
        assert_eq!(validated(&process), Ok(()));
        process.put(Process::list(), 64, 0x10);
        assert_eq!(wrong(&validated(&process)), Some(("goroutines", 3)));
    }

    #[test]
    fn a_thread_is_known_by_both_its_goroutines() {
        let mut process = Process::with_goroutines(2);
        let (curg, of) = (process.layout().m.curg, process.layout().g.m);
        process.put(Process::thread(), curg, Process::goroutine(1).0);
        assert_eq!(wrong(&validated(&process)), Some(("threads", 1)), "that one is on no thread");
        process.put(Process::goroutine(1), of, Process::thread().0);
        assert_eq!(validated(&process), Ok(()));
    }

    #[test]
    fn a_processor_carries_its_number() {
        let mut process = Process::with_goroutines(1);
        process.put(Process::processors(), 0, Process::thread().0 + 64);
        assert_eq!(wrong(&validated(&process)), Some(("processors", 1)));
    }

    #[test]
    fn an_empty_or_an_endless_list_is_told_apart() {
        assert_eq!(validated(&Process::with_goroutines(0)), Err(InvalidLayout::NotStarted));
        let process = Process::with_goroutines(1);
        let mut globals = process.globals();
        // A word that is no length.
        globals.allglen = Some(Process::goroutine(0).plus(process.layout().g.stackguard1.into()));
        let result = process.layout().validate(&process.memory(), &globals);
        assert_eq!(result, Err(InvalidLayout::BadLength { at: globals.allgs, len: u64::MAX }));
    }
}
