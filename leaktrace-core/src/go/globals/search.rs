//! `allgs` by its shape, for a binary whose functions cannot be read: a slice of pointers to what can only be
//! goroutines.

use crate::base::memory::{Memory, ReadError};
use crate::base::num::Avma;
use crate::go::globals::GlobalsError;
use crate::go::layout::GFields;
use crate::go::moduledata::AvmaRange;

/// The most memory of a process's variables that is searched.
const MAX_SEARCHED: u64 = 256 << 20;
/// How much of it is read at a time.
const CHUNK: u64 = 1 << 20;
/// How many of its goroutines must look like one.
const EXAMINED: u64 = 4;
/// The most goroutines that are believed.
const MAX_GOROUTINES: u64 = 1 << 28;

/// The one place in `ranges` that looks like `allgs`.
pub(super) fn allgs(ranges: [AvmaRange; 2], g: &GFields, memory: &dyn Memory) -> Result<Avma, GlobalsError> {
    let mut found = Vec::new();
    for range in ranges {
        let len = range.end.offset_from(range.start).unwrap_or(0).min(MAX_SEARCHED);
        for start in (0..len).step_by(usize::try_from(CHUNK).unwrap_or(usize::MAX)) {
            // A slice may begin in one chunk and end in the next.
            let end = (start + CHUNK + 16).min(len);
            candidates(range.start.plus(start), end - start, g, memory, &mut found)?;
        }
    }
    found.dedup();
    match found.as_slice() {
        [one] => Ok(*one),
        others => Err(GlobalsError::NoAllgs { candidates: others.len() }),
    }
}

fn candidates(
    at: Avma,
    len: u64,
    g: &GFields,
    memory: &dyn Memory,
    found: &mut Vec<Avma>,
) -> Result<(), ReadError> {
    let bytes = memory.bytes(at, len, usize::MAX)?;
    let words: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
    for (index, slice) in words.windows(3).enumerate() {
        let &[base, len, capacity] = slice else { continue };
        let plausible =
            base != 0 && base % 8 == 0 && 0 < len && len <= capacity && capacity <= MAX_GOROUTINES;
        if plausible && points_to_goroutines(Avma(base), len, g, memory) {
            found.push(at.plus(index as u64 * 8));
        }
    }
    Ok(())
}

fn points_to_goroutines(base: Avma, len: u64, fields: &GFields, memory: &dyn Memory) -> bool {
    (0..len.min(EXAMINED)).all(|index| {
        let g = memory.pointer(base.plus(index * 8));
        g.is_ok_and(|g| is_goroutine(g, fields, memory))
    })
}

fn is_goroutine(g: Avma, fields: &GFields, memory: &dyn Memory) -> bool {
    let word = |offset: u32| memory.u64(g.plus(offset.into()));
    let (Ok(lo), Ok(hi)) = (word(fields.stack_lo), word(fields.stack_hi)) else { return false };
    // A goroutine that ended may have given its stack back.
    let stack =
        (lo == 0 && hi == 0) || hi.checked_sub(lo).is_some_and(|size| size >= 2048 && size.is_power_of_two());
    stack && word(fields.stackguard1) == Ok(u64::MAX) && word(fields.sched_g) == Ok(g.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::go::layout::sample::Process;

    #[test]
    fn the_list_of_goroutines_is_told_by_what_it_points_to() {
        let process = Process::with_goroutines(9);
        let ranges = [AvmaRange::default(), process.variables()];
        let found = allgs(ranges, &process.layout().g, &process.memory());
        assert_eq!(found, Ok(process.globals().allgs));
    }

    #[test]
    fn another_slice_of_pointers_is_not_taken_for_it() {
        let mut process = Process::with_goroutines(9);
        let stackguard1 = process.layout().g.stackguard1;
        process.put(Process::goroutine(0), stackguard1, 0x1000);
        let ranges = [AvmaRange::default(), process.variables()];
        let found = allgs(ranges, &process.layout().g, &process.memory());
        assert_eq!(found, Err(GlobalsError::NoAllgs { candidates: 0 }));
    }
}
