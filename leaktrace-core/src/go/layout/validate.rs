//! Compares a layout with the live process before anything is read with it.
//!
//! The runtime's structs point to each other and to themselves: a `g` in `sched.g`, a thread's `g0` back to the
//! thread, a processor carries its index. Wrong offsets do not survive that. The process runs while it is being
//! looked at, so a few goroutines may be caught in the middle of a change.

use thiserror::Error;

use crate::go::globals::Globals;
use crate::go::layout::Layout;
use crate::go::names::Status;
use crate::memory::{Memory, ReadError};
use crate::num::Avma;

/// How many goroutines, threads and processors are looked at.
const SAMPLED: u64 = 256;
/// More goroutines than fit into any machine.
const MAX_GOROUTINES: u64 = 1 << 30;
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
    #[error("{wrong} of {examined} {what} do not look like one, the first at {first}")]
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
        judge("goroutines", &check.goroutines(globals)?)?;
        judge("threads", &check.threads(globals))?;
        judge("processors", &check.processors(globals)?)
    }
}

/// Where each thing is, and whether it looks right.
type Examined = Vec<(Avma, bool)>;

/// A quarter may be in the middle of a change.
fn judge(what: &'static str, examined: &Examined) -> Result<(), InvalidLayout> {
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
        let slots = (0..len).step_by(step).map(|index| base.plus(index * 8));
        Ok(slots.map(|slot| self.pointed_to(slot, Self::is_goroutine)).collect())
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
        let examine = |index: u64| {
            let is_processor = |check: &Self, p: Avma| {
                Ok(u64::from(check.memory.u32(p.plus(check.layout.p.id.into()))?) == index)
            };
            self.pointed_to(base.plus(index * 8), is_processor)
        };
        Ok((0..len.min(SAMPLED)).map(examine).collect())
    }

    fn pointed_to(
        &self,
        slot: Avma,
        looks_right: impl Fn(&Self, Avma) -> Result<bool, ReadError>,
    ) -> (Avma, bool) {
        match self.memory.pointer(slot) {
            Ok(at) => (at, looks_right(self, at).unwrap_or(false)),
            Err(_) => (slot, false),
        }
    }

    fn word(&self, at: Avma, offset: u32) -> Result<u64, ReadError> {
        self.memory.u64(at.plus(offset.into()))
    }

    fn is_goroutine(&self, at: Avma) -> Result<bool, ReadError> {
        let g = &self.layout.g;
        let status = self.memory.u32(at.plus(g.atomicstatus.into()))?;
        let Some(status) = Status::from_raw(status) else { return Ok(false) };
        let points_to_itself = self.word(at, g.sched_g)? == at.0;
        if !status.is_alive() {
            // Its stack may have been given back, and it may never have run.
            return Ok(points_to_itself || self.word(at, g.sched_g)? == 0);
        }
        let (lo, hi) = (self.word(at, g.stack_lo)?, self.word(at, g.stack_hi)?);
        let stack = hi.saturating_sub(lo);
        let sp = self.word(at, g.sched_sp)?;
        let runs = matches!(status, Status::Running | Status::Syscall);
        Ok(points_to_itself
            && stack >= MIN_STACK
            && stack.is_power_of_two()
            && self.word(at, g.stackguard1)? == u64::MAX
            && self.word(at, g.goid)? != 0
            && (runs || (lo..=hi).contains(&sp)))
    }

    fn is_thread(&self, at: Avma) -> Result<bool, ReadError> {
        let (g, m) = (&self.layout.g, &self.layout.m);
        let g0 = Avma(self.word(at, m.g0)?);
        let curg = Avma(self.word(at, m.curg)?);
        let back = |from: Avma| Ok::<_, ReadError>(self.word(from, g.m)? == at.0);
        // A thread that is being made has no id yet, and one that was given up keeps nothing.
        Ok(self.word(at, m.procid)? <= MAX_TID && back(g0)? && (curg.is_null() || back(curg)?))
    }
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
