//! Takes the records of one target out of its ring buffer.

use std::os::fd::{AsFd, BorrowedFd};

use aya::maps::{MapData, RingBuf};

use super::hub::TargetId;

/// What came out of a ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// Records that were handed over.
    pub records: usize,
    /// Records that say to be another target's: they are handed to nobody, and make no sense.
    pub foreign: u64,
    /// Whether there may be more, because only so much was asked for.
    pub more: bool,
}

impl Drained {
    /// What came out of this ring and of another.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            records: self.records + other.records,
            foreign: self.foreign + other.foreign,
            more: self.more || other.more,
        }
    }
}

/// The reader's end of a ring buffer.
pub(super) struct Ring {
    buffer: RingBuf<MapData>,
}

impl Ring {
    pub(super) const fn new(buffer: RingBuf<MapData>) -> Self {
        Self { buffer }
    }

    /// Hands over at most `most` records, in the order of their beginning, so that a target that is faster than we are
    /// cannot hold us forever.
    pub(super) fn drain(&mut self, owner: TargetId, most: usize, mut each: impl FnMut(&[u8])) -> Drained {
        let mut drained = Drained::default();
        for _ in 0..most {
            let Some(record) = self.buffer.next() else { return drained };
            if target_of(&record) == Some(owner.number()) {
                each(&record);
                drained.records += 1;
            } else {
                drained.foreign += 1;
            }
        }
        drained.more = true;
        drained
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.buffer.as_fd()
    }
}

/// The second word of every record: see [`leaktrace_common::event::Header`].
fn target_of(record: &[u8]) -> Option<u32> {
    record.get(4..8).and_then(|word| word.first_chunk()).map(|word| u32::from_ne_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_the_second_word() {
        let record: Vec<u8> = [3_u32, 7, 0].iter().flat_map(|word| word.to_ne_bytes()).collect();
        assert_eq!(target_of(&record), Some(7));
        assert_eq!(target_of(&record[..7]), None);
    }
}
