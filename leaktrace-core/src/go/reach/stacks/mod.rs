//! The pointers on the stacks of those goroutines that can run.
//!
//! A stack at rest is looked at frame by frame with the collector's own tables: without them dead variables would
//! keep leaked channels alive. Where they cannot be used, every word counts as a pointer.

mod maps;
mod scan;
#[cfg(test)]
mod tests;

pub(super) use self::scan::Scanner;

use self::scan::StackBytes;
use crate::base::memory::{Memory, Span as Range};
use crate::base::num::Avma;

use super::Refusal;
use super::goroutines::Seen;
use super::heap::Heap;

/// How much is read at a time, how many stacks, and how large one may be that is looked at frame by frame.
const BATCH: usize = 1 << 20;
const STACKS: usize = 1024;
const MAX_FRAMED: u64 = 16 << 20;

/// What was read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Read {
    pub(super) bytes: u64,
    pub(super) unreadable: u64,
}

/// Reaches all that the stacks of `goroutines` refer to.
pub(super) fn mark(
    goroutines: &[Seen],
    scanner: &mut Scanner<'_>,
    heap: &mut Heap,
    memory: &dyn Memory,
) -> Result<Read, Refusal> {
    let mut read = Read::default();
    let mut batch = Vec::new();
    let mut total = 0;
    for seen in goroutines {
        let Some((from, to)) = seen.used() else { continue };
        let len = to.0.saturating_sub(from.0);
        if len > MAX_FRAMED {
            mark_all(from, to, heap, memory, &mut read)?;
            continue;
        }
        let len = usize::try_from(len).unwrap_or(0);
        batch.push((*seen, Range { at: from, len }));
        total += len;
        if total >= BATCH || batch.len() >= STACKS {
            mark_batch(&batch, scanner, heap, memory, &mut read)?;
            batch.clear();
            total = 0;
        }
    }
    mark_batch(&batch, scanner, heap, memory, &mut read)?;
    Ok(read)
}

/// The pointers that are variables of the frames of `goroutines` and still needed, by the index of the goroutine. Of a
/// stack that is not known frame by frame, or larger than `most` bytes, there are none.
pub(super) fn variables(
    goroutines: &[Seen],
    most: u64,
    scanner: &mut Scanner<'_>,
    memory: &dyn Memory,
) -> Result<Vec<(usize, u64)>, Refusal> {
    let (mut found, mut words, mut read) = (Vec::new(), Vec::new(), Read::default());
    let used = goroutines.iter().enumerate().filter_map(|(index, seen)| {
        let (at, to) = seen.used()?;
        let len = to.offset_from(at).filter(|len| *len <= most)?;
        Some(((index, *seen), Range { at, len: usize::try_from(len).ok()? }))
    });
    let used: Vec<_> = used.collect();
    for batch in used.chunks(STACKS) {
        read_batch(batch, memory, &mut read, &mut |(index, seen), stack| {
            words.clear();
            scanner.variables(&seen, stack, memory, &mut words);
            found.extend(words.iter().map(|word| (index, *word)));
        })?;
    }
    Ok(found)
}

fn mark_batch(
    batch: &[(Seen, Range)],
    scanner: &mut Scanner<'_>,
    heap: &mut Heap,
    memory: &dyn Memory,
    read: &mut Read,
) -> Result<(), Refusal> {
    let mut words = Vec::new();
    read_batch(batch, memory, read, &mut |seen, stack| {
        words.clear();
        scanner.scan(&seen, stack, memory, &mut words);
        for word in &words {
            heap.mark(*word);
        }
    })
}

/// Reads many stacks at once.
fn read_batch<T: Copy>(
    batch: &[(T, Range)],
    memory: &dyn Memory,
    read: &mut Read,
    each: &mut dyn FnMut(T, StackBytes<'_>),
) -> Result<(), Refusal> {
    let ranges: Vec<Range> = batch.iter().map(|(_, range)| *range).collect();
    let mut bytes = vec![0; ranges.iter().map(|range| range.len).sum()];
    let mut readable = Vec::new();
    memory.read_spans(&ranges, &mut bytes, &mut readable)?;
    let mut rest = &bytes[..];
    for ((whose, range), readable) in batch.iter().zip(readable) {
        let (stack, tail) = rest.split_at(range.len);
        rest = tail;
        if readable {
            read.bytes += range.len as u64;
            each(*whose, StackBytes { from: range.at.0, bytes: stack });
        } else {
            read.unreadable += range.len as u64;
        }
    }
    Ok(())
}

/// Takes every word of a huge stack for a pointer.
fn mark_all(
    from: Avma,
    to: Avma,
    heap: &mut Heap,
    memory: &dyn Memory,
    read: &mut Read,
) -> Result<(), Refusal> {
    let mut bytes = vec![0; BATCH];
    for at in (from.0..to.0).step_by(BATCH) {
        let len = usize::try_from(to.0 - at).unwrap_or(BATCH).min(BATCH);
        match memory.read(Avma(at), &mut bytes[..len]) {
            Ok(()) => {
                read.bytes += len as u64;
                heap.mark_bytes(&bytes[..len]);
            }
            Err(error) if error.is_final() => return Err(error.into()),
            Err(_) => read.unreadable += len as u64,
        }
    }
    Ok(())
}
