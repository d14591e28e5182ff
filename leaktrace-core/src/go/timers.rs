//! Which timers are never going to fire, unless somebody resets them: those that were stopped, and those that fired for the
//! last time.
//!
//! Since Go 1.23 a channel knows its timer, whose `when` is 0 if it is not going to fire. Before, nothing leads from a channel
//! to its timer; but each timer that is going to fire is in the heap of a processor and leads to its channel.
//!
//! Source: Go `src/runtime/time.go`, go1.19 to go1.27.

use crate::base::hash::KeyedSet;
use crate::base::memory::Memory;
use crate::base::num::Avma;
use crate::base::structs::{Words, read_structs};
use crate::go::layout::TimerFields;
use crate::go::program::Program;
use crate::go::validate::end_of;

/// `timerNoStatus`, `timerDeleted`, `timerRemoving` and `timerRemoved`, up to Go 1.22.
const NOT_ARMED: [u32; 4] = [0, 3, 4, 5];
/// More processors are not believed, and more timers of all together are not read.
const MAX_PROCESSORS: usize = 1 << 16;
const MAX_TIMERS: usize = 1 << 20;
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
        if leave_out_armed(program, memory, &mut without).is_none() {
            return KeyedSet::default();
        }
    }
    without
}

/// Takes those out of `without` that timers are going to send on, `None` if that cannot be found out.
fn leave_out_armed(program: &Program<'_>, memory: &dyn Memory, without: &mut KeyedSet<Avma>) -> Option<()> {
    let layout = &program.layout;
    let heap = layout.collector.as_ref()?.p_timers;
    let (processors, timer) = (program.globals.allp?, layout.timer.as_ref()?);
    read_armed(memory, (processors, heap), (timer.arg?, timer.status?), without)
}

fn read_armed(
    memory: &dyn Memory,
    (processors, heap): (Avma, u32),
    (arg, status): (u32, u32),
    without: &mut KeyedSet<Avma>,
) -> Option<()> {
    let data = arg.checked_add(INTERFACE_DATA)?;
    let mut most = MAX_TIMERS;
    for p in pointers(memory, processors, MAX_PROCESSORS)?.into_iter().filter(|p| !p.is_null()) {
        let mut timers = pointers(memory, p.plus(heap.into()), most)?;
        most -= timers.len();
        timers.retain(|timer| !timer.is_null());
        timers.sort_unstable();
        let mut read = 0;
        let each = |_, words: Words<'_>| {
            let (Some(status), Some(channel)) = (words.u32(status), words.pointer(data)) else { return };
            read += 1;
            if !NOT_ARMED.contains(&status) {
                without.remove(&channel);
            }
        };
        read_structs(memory, &timers, end_of(&[data, status]), each).ok()?;
        if read < timers.len() {
            return None;
        }
    }
    Some(())
}

/// The slice of pointers at `at`, in any order, unless there are more than `most` or some cannot be read.
fn pointers(memory: &dyn Memory, at: Avma, most: usize) -> Option<Vec<Avma>> {
    let (base, count) = (memory.pointer(at).ok()?, memory.u64(at.plus(8)).ok()?);
    let count = usize::try_from(count).ok().filter(|count| *count <= most)?;
    let addresses: Vec<Avma> = (0..count as u64).map(|index| base.plus(index * 8)).collect();
    let mut found = Vec::with_capacity(count);
    read_structs(memory, &addresses, 8, |_, words| found.extend(words.pointer(0))).ok()?;
    (found.len() == count).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::memory::Pieces;

    const FIELDS: TimerFields = TimerFields { when: 8, period: 16, arg: Some(32), status: Some(64) };

    fn bytes(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn a_timer_that_was_stopped_has_no_time() {
        let memory = Pieces::new().with(Avma(0x1000), bytes(&[0, 7])).with(Avma(0x2000), bytes(&[1, 0]));
        let found = not_armed(&memory, &FIELDS, &[Avma(0x1000), Avma(0x2000), Avma(0x3000)]);
        assert_eq!(found, [Avma(0x2000)].into_iter().collect());
    }

    fn timer(channel: u64, status: u64) -> Vec<u8> {
        bytes(&[0, 0, 0, 0, 0x7e, channel, 0, 0, status])
    }

    /// Those of `channels` that no timer is going to send on, by the processors at 0x100.
    fn without(memory: &Pieces<'_>, channels: &[u64]) -> Option<Vec<u64>> {
        let mut without = channels.iter().copied().map(Avma).collect();
        read_armed(memory, (Avma(0x100), 0x10), (32, 64), &mut without)?;
        let mut found: Vec<u64> = without.into_iter().map(|channel| channel.0).collect();
        found.sort_unstable();
        Some(found)
    }

    /// Two processors, one of which is not there yet; the other has three timers.
    fn processors() -> Pieces<'static> {
        Pieces::new()
            .with(Avma(0x100), bytes(&[0x200, 2, 2]))
            .with(Avma(0x200), bytes(&[0x300, 0]))
            .with(Avma(0x310), bytes(&[0x400, 3, 4]))
            .with(Avma(0x400), bytes(&[0x1000, 0x2000, 0x3000]))
            .with(Avma(0x1000), timer(0xc1, 1))
            .with(Avma(0x2000), timer(0xc2, 3))
            .with(Avma(0x3000), timer(0xc3, 8))
    }

    #[test]
    fn timers_lead_to_the_channels_that_they_are_going_to_send_on() {
        let channels = [0xc1, 0xc2, 0xc3, 0xc4];
        assert_eq!(without(&processors(), &channels), Some(vec![0xc2, 0xc4]));
        assert_eq!(without(&Pieces::new(), &channels), None, "what cannot be read is no proof");
    }

    #[test]
    fn what_was_read_in_part_is_no_proof() {
        assert_eq!(without(&processors(), &[0xc4]), Some(vec![0xc4]));
        // One of the timers, one of the pointers to them, and a heap.
        for part in [
            processors().with(Avma(0x400), bytes(&[0x1000, 0x2000, 0x9000])),
            processors().with(Avma(0x310), bytes(&[0x400, 4, 4])),
            processors().with(Avma(0x200), bytes(&[0x9000, 0])),
        ] {
            assert_eq!(without(&part, &[0xc4]), None);
        }
        let processors = processors().with(Avma(0x100), bytes(&[0x200, 3, 3]));
        assert_eq!(without(&processors, &[0xc4]), None, "nor all processors");
    }

    #[test]
    fn of_more_timers_than_are_read_nothing_is_known() {
        let half = MAX_TIMERS as u64 / 2;
        let with = |second: u64| {
            let heaps = Pieces::new()
                .with(Avma(0x100), bytes(&[0x200, 2, 2]))
                .with(Avma(0x200), bytes(&[0x300, 0x340]))
                .with(Avma(0x310), bytes(&[0x10_0000, half, half]))
                .with(Avma(0x350), bytes(&[0x10_0000, second, second]))
                .with(Avma(0x10_0000), vec![0; (half as usize + 1) * 8]);
            without(&heaps, &[0xc1])
        };
        assert_eq!(with(half), Some(vec![0xc1]));
        assert_eq!(with(half + 1), None, "together they are too many");
        assert_eq!(with(u64::MAX), None);
        let processors = processors().with(Avma(0x100), bytes(&[0x200, 1 << 60, 1 << 60]));
        assert_eq!(without(&processors, &[0xc1]), None, "nor so many processors");
    }
}
