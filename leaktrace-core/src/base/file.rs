//! A file of which pieces are read when they are wanted, as it may be larger than our memory and change meanwhile.

use thiserror::Error;

use crate::base::bytes;

/// That a file has not the bytes that were wanted, though it had them or claims to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the file has no {len} bytes at byte {offset} that can be read")]
pub struct MissingBytes {
    /// The offset of the first of them.
    pub offset: u64,
    /// How many were wanted.
    pub len: usize,
}

/// A file that is read piece by piece.
pub trait ReadAt {
    /// How long it was when it was opened, in bytes.
    fn size(&self) -> u64;

    /// Fills `buf` with the bytes at `offset`, all of them or none.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), MissingBytes>;
}

impl ReadAt for &[u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), MissingBytes> {
        let len = buf.len();
        let found = bytes::range(self, offset, len as u64).ok_or(MissingBytes { offset, len })?;
        buf.copy_from_slice(found);
        Ok(())
    }
}
