//! Reads many small structs at once.

use crate::memory::{Memory, ReadError, Span};
use crate::num::Avma;

/// How many structs are asked for at a time, which is as many as the kernel takes.
const BATCH: usize = 1_024;

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
    let (mut bytes, mut readable) = (vec![0; size * BATCH.min(addresses.len())], Vec::new());
    for (batch, addresses) in addresses.chunks(BATCH).enumerate() {
        let spans: Vec<_> = addresses.iter().map(|&at| Span { at, len: size }).collect();
        let bytes = &mut bytes[..size * addresses.len()];
        memory.read_spans(&spans, bytes, &mut readable)?;
        let structs = bytes.chunks_exact(size.max(1)).zip(&readable).enumerate();
        for (index, (bytes, _)) in structs.filter(|(_, (_, readable))| **readable) {
            each(batch * BATCH + index, Words(bytes));
        }
    }
    Ok(())
}
