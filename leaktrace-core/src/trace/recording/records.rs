//! Raw records, one after the other in one piece of memory.

use super::MAX_RECORD;

/// Records are collected up to this many bytes, and then written as a block.
const BLOCK: usize = 256 << 10;

/// Raw records as the ring buffer had them, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// Each after four bytes of its length.
    bytes: Vec<u8>,
    count: u64,
}

impl Records {
    /// Adds a record; `false` for one that is longer than any may be, which is left out.
    pub fn push(&mut self, record: &[u8]) -> bool {
        let Some(len) = u32::try_from(record.len()).ok().filter(|_| record.len() <= MAX_RECORD) else {
            return false;
        };
        self.bytes.extend(len.to_le_bytes());
        self.bytes.extend(record);
        self.count += 1;
        true
    }

    /// Whether there are enough for a block.
    pub const fn is_full(&self) -> bool {
        self.bytes.len() >= BLOCK
    }

    /// How many there are.
    pub const fn len(&self) -> u64 {
        self.count
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many bytes they take.
    pub const fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The records.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let (record, after) = split(rest)?;
            rest = after;
            Some(record)
        })
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The records in a block's bytes, unless those are not records from the first to the last.
    pub(super) fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        let (mut rest, mut count) = (bytes.as_slice(), 0);
        while !rest.is_empty() {
            (_, rest) = split(rest)?;
            count += 1;
        }
        Some(Self { bytes, count })
    }
}

/// The first record, and what comes after it.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    let len = u32::from_le_bytes(*len) as usize;
    rest.split_at_checked(len).filter(|_| len <= MAX_RECORD)
}
