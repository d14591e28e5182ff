//! The words of goroutines' innermost frames that may point to something.

use super::words::read_structs;
use crate::base::memory::Memory;
use crate::base::num::Avma;
use crate::go::goroutines::Goroutine;
use crate::go::program::Program;

/// How much of a stack is looked through, in bytes: the frames from `gopark` to what called the runtime are within.
const WINDOW: u32 = 512;

/// For each goroutine, the words of its innermost frames that are plausible pointers, neither into its stack nor into
/// code.
pub(super) fn pointers(
    goroutines: &[&Goroutine],
    program: &Program<'_>,
    memory: &dyn Memory,
) -> Vec<Vec<Avma>> {
    let tops: Vec<_> = goroutines.iter().map(|one| top(one)).collect();
    let mut pointers = vec![Vec::new(); goroutines.len()];
    read_structs(memory, &tops, WINDOW as usize, |index, words| {
        let all = (0..WINDOW).step_by(8).filter_map(|offset| words.pointer(offset));
        pointers[index] = all.filter(|&at| may_be_pointer(at, goroutines[index], program)).collect();
    });
    pointers
}

/// Each of them once, ascending.
pub(super) fn distinct(pointers: &[Vec<Avma>]) -> Vec<Avma> {
    let mut distinct: Vec<_> = pointers.iter().flatten().copied().collect();
    distinct.sort_unstable();
    distinct.dedup();
    distinct
}

/// The beginning of the innermost frames.
fn top(goroutine: &Goroutine) -> Avma {
    let used = goroutine.stack_used.max(WINDOW);
    Avma(goroutine.stack.hi.0.saturating_sub(used.into()))
}

fn may_be_pointer(at: Avma, goroutine: &Goroutine, program: &Program<'_>) -> bool {
    const PAGE: u64 = 4_096;
    let on_stack = goroutine.stack.lo <= at && at < goroutine.stack.hi;
    let in_code = program.modules.iter().any(|module| module.text.contains(at));
    at.0 >= PAGE && at.0.is_multiple_of(8) && at.0 >> 48 == 0 && !on_stack && !in_code
}
