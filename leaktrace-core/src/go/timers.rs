//! Which timers are never going to fire, unless somebody resets them: those that were stopped, and those that fired for the
//! last time.
//!
//! Since Go 1.23 a channel knows its timer, whose `when` is 0 if it is not going to fire. Before, nothing leads from a channel
//! to its timer; but each timer that is going to fire is in the heap of a processor and leads to its channel.
//!
//! Source: Go `src/runtime/time.go`, go1.19 to go1.27.

use crate::base::hash::KeyedSet;
use crate::base::memory::{Memory, ReadError};
use crate::base::num::Avma;
use crate::base::structs::read_structs;
use crate::go::layout::TimerFields;
use crate::go::program::Program;

/// `timerNoStatus`, `timerDeleted`, `timerRemoving` and `timerRemoved`, up to Go 1.22.
const NOT_ARMED: [u32; 4] = [0, 3, 4, 5];
/// More processors than Go allows, and more timers of one than are believed.
const MAX_PROCESSORS: u64 = 1 << 16;
const MAX_TIMERS: u64 = 1 << 24;
/// Where the value of an interface is.
const INTERFACE_DATA: u32 = 8;

/// Those of `timers` that are not going to fire. One that cannot be read is.
pub(crate) fn not_armed(memory: &dyn Memory, fields: &TimerFields, timers: &[Avma]) -> KeyedSet<Avma> {
    let addresses: Vec<Avma> = timers.iter().map(|timer| timer.plus(fields.when.into())).collect();
    let mut found = KeyedSet::default();
    let read = read_structs(memory, &addresses, 8, |index, words| {
        if words.u64(0) == Some(0) {
            found.insert(timers[index]);
        }
    });
    if read.is_err() { KeyedSet::default() } else { found }
}

/// Those of `channels` that no timer is going to send on, in a release whose channels do not know their timers; none where
/// that cannot be found out.
pub(crate) fn without_timer(program: &Program<'_>, memory: &dyn Memory, channels: &[Avma]) -> KeyedSet<Avma> {
    let mut without: KeyedSet<Avma> = channels.iter().copied().collect();
    // A timer that changes its place in a heap may be missed, but not time and again.
    for _ in 0..2 {
        if without.is_empty() {
            break;
        }
        match armed_channels(program, memory) {
            Some(armed) => without.retain(|channel| !armed.contains(channel)),
            None => return KeyedSet::default(),
        }
    }
    without
}

/// Everything that the timers lead to which are going to fire, channels among it.
fn armed_channels(program: &Program<'_>, memory: &dyn Memory) -> Option<KeyedSet<Avma>> {
    let layout = &program.layout;
    let heap = layout.collector.as_ref()?.p_timers;
    let (processors, timer) = (program.globals.allp?, layout.timer.as_ref()?);
    let status = timer.status?;
    read_armed(memory, processors, heap, (timer, status)).ok()
}

fn read_armed(
    memory: &dyn Memory,
    processors: Avma,
    heap: u32,
    (fields, status): (&TimerFields, u32),
) -> Result<KeyedSet<Avma>, ReadError> {
    let mut timers = Vec::new();
    for p in pointers(memory, processors, MAX_PROCESSORS)? {
        if !p.is_null() {
            timers.extend(pointers(memory, p.plus(heap.into()), MAX_TIMERS)?);
        }
    }
    timers.retain(|timer| !timer.is_null());
    timers.sort_unstable();
    let mut armed = KeyedSet::default();
    read_structs(memory, &timers, fields.size as usize, |_, words| {
        let is_armed = words.u32(status).is_some_and(|status| !NOT_ARMED.contains(&status));
        armed.extend(words.pointer(fields.arg + INTERFACE_DATA).filter(|_| is_armed));
    })?;
    Ok(armed)
}

/// The slice of pointers at `at`.
fn pointers(memory: &dyn Memory, at: Avma, most: u64) -> Result<Vec<Avma>, ReadError> {
    let (base, count) = (memory.pointer(at)?, memory.u64(at.plus(8))?.min(most));
    let mut found = Vec::new();
    let addresses: Vec<Avma> = (0..count).map(|index| base.plus(index * 8)).collect();
    read_structs(memory, &addresses, 8, |_, words| found.extend(words.pointer(0)))?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::memory::Pieces;

    const FIELDS: TimerFields = TimerFields { size: 72, when: 8, period: 16, arg: 32, status: Some(64) };

    fn bytes(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn a_timer_that_was_stopped_has_no_time() {
        let memory = Pieces::new().with(Avma(0x1000), bytes(&[0, 7])).with(Avma(0x2000), bytes(&[1, 0]));
        let found = not_armed(&memory, &FIELDS, &[Avma(0x1000), Avma(0x2000), Avma(0x3000)]);
        assert_eq!(found, [Avma(0x2000)].into_iter().collect());
    }

    #[test]
    fn timers_lead_to_the_channels_that_they_are_going_to_send_on() {
        let timer = |channel, status| bytes(&[0, 0, 0, 0, 0x7e, channel, 0, 0, status]);
        // Two processors, one of which is not there yet; the first has three timers.
        let memory = Pieces::new()
            .with(Avma(0x100), bytes(&[0x200, 2, 2]))
            .with(Avma(0x200), bytes(&[0x300, 0]))
            .with(Avma(0x310), bytes(&[0x400, 3, 4]))
            .with(Avma(0x400), bytes(&[0x1000, 0x2000, 0x3000]))
            .with(Avma(0x1000), timer(0xc1, 1))
            .with(Avma(0x2000), timer(0xc2, 3))
            .with(Avma(0x3000), timer(0xc3, 8));
        let armed = read_armed(&memory, Avma(0x100), 0x10, (&FIELDS, 64)).unwrap();
        assert_eq!(armed, [Avma(0xc1), Avma(0xc3)].into_iter().collect());
        assert!(
            read_armed(&memory, Avma(0x900), 0x10, (&FIELDS, 64)).is_err(),
            "what cannot be read is no proof"
        );
    }
}
