//! The program's variables: every word of those segments that have pointers.

use crate::base::memory::Memory;
use crate::go::moduledata::{AvmaRange, Modules};

use super::Refusal;
use super::heap::Heap;

/// How much is read at a time.
const CHUNK: u64 = 1 << 20;

/// How many bytes of variables with pointers there are.
pub(super) fn size(modules: &Modules<'_>) -> u64 {
    segments(modules).map(|range| range.end.offset_from(range.start).unwrap_or(0)).sum()
}

/// Reaches what the variables refer to, but for the `hidden` ones.
pub(super) fn mark(
    modules: &Modules<'_>,
    hidden: &[AvmaRange],
    heap: &mut Heap,
    memory: &dyn Memory,
) -> Result<(), Refusal> {
    for range in segments(modules) {
        let len = range.end.offset_from(range.start).unwrap_or(0);
        for from in (0..len).step_by(usize::try_from(CHUNK).unwrap_or(usize::MAX)) {
            let start = range.start.plus(from);
            let mut bytes = memory.bytes(start, CHUNK.min(len - from), usize::MAX)?;
            for range in hidden {
                blank(&mut bytes, start.0, *range);
            }
            heap.mark_bytes(&bytes);
        }
    }
    Ok(())
}

fn segments<'a>(modules: &'a Modules<'_>) -> impl Iterator<Item = AvmaRange> + 'a {
    modules.iter().flat_map(|module| [module.data, module.bss])
}

/// Overwrites the part of `bytes`, which begin at `start`, that is in `range`.
fn blank(bytes: &mut [u8], start: u64, range: AvmaRange) {
    let index = |at: u64| usize::try_from(at.saturating_sub(start)).unwrap_or(usize::MAX).min(bytes.len());
    let (from, to) = (index(range.start.0), index(range.end.0));
    if let Some(part) = bytes.get_mut(from..to) {
        part.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::num::Avma;

    #[test]
    fn only_what_is_hidden_is_blanked() {
        let blanked = |from, to| {
            let mut bytes = [1; 4];
            blank(&mut bytes, 100, AvmaRange { start: Avma(from), end: Avma(to) });
            bytes
        };
        assert_eq!(blanked(101, 103), [1, 0, 0, 1]);
        assert_eq!(blanked(50, 102), [0, 0, 1, 1]);
        assert_eq!([blanked(50, 100), blanked(104, 200), blanked(103, 101)], [[1; 4]; 3]);
    }
}
