//! Reads many small structs at once.

use std::ops::Range;

use crate::base::memory::{Memory, ReadError, Span};
use crate::base::num::Avma;

/// How many structs are asked for at a time.
const BATCH: usize = 4_096;
/// How many bytes may lie between two structs that are read together, unless something else is in between, and how
/// far the last may be from the first.
const MAX_GAP: u64 = 256;
const MAX_RUN: u64 = 32 << 10;

/// One struct's bytes.
#[derive(Clone, Copy)]
pub(crate) struct Words<'b>(&'b [u8]);

impl Words<'_> {
    /// The 64-bit word at `offset`, `None` beyond the struct's end.
    pub(crate) fn u64(self, offset: u32) -> Option<u64> {
        Some(u64::from_le_bytes(*self.0.get(offset as usize..)?.first_chunk()?))
    }

    /// The byte at `offset`.
    pub(crate) fn u8(self, offset: u32) -> Option<u8> {
        self.0.get(offset as usize).copied()
    }

    /// The 32-bit word at `offset`.
    pub(crate) fn u32(self, offset: u32) -> Option<u32> {
        Some(u32::from_le_bytes(*self.0.get(offset as usize..)?.first_chunk()?))
    }

    /// The pointer at `offset`.
    pub(crate) fn pointer(self, offset: u32) -> Option<Avma> {
        self.u64(offset).map(Avma)
    }
}

/// Reads the `size` bytes at each of `addresses` and hands on those that could be read, with their index. Only an
/// error that is final is returned.
pub(crate) fn read_structs(
    memory: &dyn Memory,
    addresses: &[Avma],
    size: usize,
    mut each: impl FnMut(usize, Words<'_>),
) -> Result<(), ReadError> {
    let mut reader = BatchReader { memory, addresses, size, bytes: Vec::new(), readable: Vec::new() };
    for first in (0..addresses.len()).step_by(BATCH) {
        let runs = runs(addresses, size, first..addresses.len().min(first + BATCH));
        let unread = reader.read(&runs, &mut each)?;
        // One that is not there must not hide its neighbours.
        let alone: Vec<_> = unread.into_iter().flatten().map(|index| index..index + 1).collect();
        reader.read(&alone, &mut each)?;
    }
    Ok(())
}

/// Cuts a batch into runs of structs that are read as one range, since what lies between them is little.
fn runs(addresses: &[Avma], size: usize, batch: Range<usize>) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for index in batch {
        match runs.last_mut() {
            Some(run) if is_near(addresses, size, run, index) => run.end = index + 1,
            _ => runs.push(index..index + 1),
        }
    }
    runs
}

fn is_near(addresses: &[Avma], size: usize, run: &Range<usize>, index: usize) -> bool {
    let (start, before, at) = (addresses[run.start].0, addresses[index - 1].0, addresses[index].0);
    let gap = at.checked_sub(before.wrapping_add(size as u64));
    gap.is_some_and(|gap| gap <= MAX_GAP) && at.wrapping_sub(start) <= MAX_RUN
}

struct BatchReader<'a> {
    memory: &'a dyn Memory,
    addresses: &'a [Avma],
    size: usize,
    bytes: Vec<u8>,
    readable: Vec<bool>,
}

impl BatchReader<'_> {
    /// Reads runs of structs and says which of them that are longer than one could not be read.
    fn read(
        &mut self,
        runs: &[Range<usize>],
        each: &mut impl FnMut(usize, Words<'_>),
    ) -> Result<Vec<Range<usize>>, ReadError> {
        let spans: Vec<_> = runs.iter().map(|run| self.span(run)).collect();
        self.bytes.resize(spans.iter().map(|span| span.len).sum(), 0);
        self.memory.read_spans(&spans, &mut self.bytes, &mut self.readable)?;
        let (mut rest, mut unread) = (&self.bytes[..], Vec::new());
        for ((run, span), &readable) in runs.iter().zip(&spans).zip(&self.readable) {
            let (bytes, tail) = rest.split_at(span.len);
            rest = tail;
            if readable {
                for index in run.clone() {
                    each(index, Words(&bytes[self.offset(run, index)..][..self.size]));
                }
            } else if run.len() > 1 {
                unread.push(run.clone());
            }
        }
        Ok(unread)
    }

    fn span(&self, run: &Range<usize>) -> Span {
        Span { at: self.addresses[run.start], len: self.offset(run, run.end - 1) + self.size }
    }

    /// How far a struct lies behind the first of its run, which is less than the longest run.
    fn offset(&self, run: &Range<usize>, index: usize) -> usize {
        let offset = self.addresses[index].0.wrapping_sub(self.addresses[run.start].0);
        usize::try_from(offset).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::memory::Pieces;

    #[test]
    fn every_struct_that_is_there_is_read_alone_or_with_its_neighbours() {
        let words = |range: Range<u64>| range.step_by(8).flat_map(u64::to_le_bytes).collect::<Vec<_>>();
        let memory = Pieces::new()
            .with(Avma(0x1000), words(0x1000..0x1100))
            .with(Avma(0x1108), words(0x1108..0x1200))
            .with(Avma(0x9000), words(0x9000..0x9010));
        // 0x1100 is not readable and lies among others, 0x9010 ends a run and 0x700 is alone.
        let there: Vec<u64> = (0x1000..0x1200).step_by(24).filter(|&at| at != 0x1100).collect();
        let all = [&there[..], &[0x9008, 0x9000]].concat();
        let wanted: Vec<_> = [&all[..], &[0x1108, 0x1100, 0x9008, 0x9010, 0x700]].concat();
        let wanted: Vec<_> = wanted.into_iter().map(Avma).collect();
        let all = [&all[..], &[0x1108, 0, 0x9008]].concat();
        let mut read = Vec::new();
        read_structs(&memory, &wanted, 8, |index, words| read.push((index, words.u64(0).unwrap()))).unwrap();
        read.sort_unstable();
        let expected: Vec<_> = (0..).zip(all).filter(|(_, at)| *at > 0).collect();
        assert_eq!(read, expected);
    }
}
