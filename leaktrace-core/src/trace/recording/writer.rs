//! Writes recordings.

use std::io::{self, Write};

use flate2::{Compression, write::ZlibEncoder};

use super::block::{BlockHeader, BlockKind, Totals, crc};
use super::{MAGIC, MAX_BLOCK, MAX_HEADER, Records, VERSION};
use crate::base::num::Ktime;

/// How large a recording may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The whole file, in bytes.
    pub total: u64,
    /// What blocks of records may take of it, so that snapshots go on when the records are too many.
    pub records: u64,
}

impl Bounds {
    /// A file of `total` bytes, three quarters of which records may fill.
    pub const fn of_total(total: u64) -> Self {
        Self { total, records: total / 4 * 3 }
    }
}

/// Writes a recording block by block.
///
/// Each block is one call of the underlying writer: give it a file and no buffer, and whoever kills this process
/// loses no block that was written.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    bounds: Bounds,
    written: u64,
    record_bytes: u64,
    sequence: u64,
    totals: Totals,
}

impl<W: Write> Writer<W> {
    /// Begins a recording. `header` is for the reader; anything in plain text that says what was recorded.
    pub fn begin(mut out: W, header: &str, bounds: Bounds) -> io::Result<Self> {
        let len = u32::try_from(header.len()).ok().filter(|&len| len as usize <= MAX_HEADER);
        let len = len.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the header is too long"))?;
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend([0, 0]);
        bytes.extend(len.to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(crc(&bytes).to_le_bytes());
        out.write_all(&bytes)?;
        Ok(Self {
            out,
            bounds,
            written: bytes.len() as u64,
            record_bytes: 0,
            sequence: 0,
            totals: Totals::default(),
        })
    }

    /// Writes records, unless they do not fit any more.
    pub fn records(&mut self, records: &Records, now: Ktime) -> io::Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let bound = self.bounds.records.saturating_sub(self.record_bytes);
        let written = self.block(BlockKind::Records, records.as_bytes(), now, bound)?;
        self.record_bytes += written.unwrap_or(0);
        match written {
            Some(_) => self.totals.records += records.len(),
            None => self.leave_out(records.len()),
        }
        Ok(())
    }

    /// Counts records that were left out before they came here.
    pub const fn leave_out(&mut self, records: u64) {
        self.totals.records_left_out += records;
    }

    /// Writes a snapshot file; how many bytes it takes, or `None` if it does not fit any more.
    pub fn snapshot(&mut self, bytes: &[u8], now: Ktime) -> io::Result<Option<u64>> {
        let written = self.block(BlockKind::Snapshot, bytes, now, u64::MAX)?;
        match written {
            Some(_) => self.totals.snapshots += 1,
            None => self.leave_out_snapshot(),
        }
        Ok(written)
    }

    /// Counts a snapshot that was left out before it came here.
    pub const fn leave_out_snapshot(&mut self) {
        self.totals.snapshots_left_out += 1;
    }

    /// Writes a [walk](super::walk), unless it does not fit any more.
    pub fn walk(&mut self, bytes: &[u8], now: Ktime) -> io::Result<Option<u64>> {
        self.block(BlockKind::Walk, bytes, now, u64::MAX)
    }

    /// Writes [names](super::names), unless they do not fit any more.
    pub fn names(&mut self, bytes: &[u8], now: Ktime) -> io::Result<Option<u64>> {
        self.block(BlockKind::Names, bytes, now, u64::MAX)
    }

    /// Writes a [`Meter`](super::Meter), unless it does not fit any more.
    pub fn meter(&mut self, bytes: &[u8], now: Ktime) -> io::Result<Option<u64>> {
        self.block(BlockKind::Meter, bytes, now, u64::MAX)
    }

    /// Says that a walk begins after this, unless there is no room to say it.
    pub fn asked(&mut self, now: Ktime) -> io::Result<Option<u64>> {
        self.block(BlockKind::Asked, &[], now, u64::MAX)
    }

    /// Says that what happened after `at` counts for nothing, unless there is no room to say it.
    pub fn last(&mut self, at: Ktime) -> io::Result<Option<u64>> {
        self.block(BlockKind::Last, &[], at, u64::MAX)
    }

    /// How many bytes records may still take.
    pub const fn room_for_records(&self) -> u64 {
        self.bounds.records.saturating_sub(self.record_bytes)
    }

    /// How many bytes it may still grow by.
    pub const fn room(&self) -> u64 {
        self.bounds.total.saturating_sub(self.written)
    }

    /// What has been written and left out so far.
    pub const fn totals(&self) -> Totals {
        self.totals
    }

    /// Writes the last block.
    pub fn finish(mut self, now: Ktime) -> io::Result<W> {
        let totals = self.totals.to_bytes();
        let block = self.header(BlockKind::End, false, &totals, totals.len(), now);
        self.write(&[&block, &totals])?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// Writes a block if it is no longer than `bound` and fits. Returns how long it is in the file.
    fn block(&mut self, kind: BlockKind, raw: &[u8], now: Ktime, bound: u64) -> io::Result<Option<u64>> {
        if raw.len() > MAX_BLOCK {
            return Ok(None);
        }
        let deflated = deflate(raw)?;
        let smaller = deflated.len() < raw.len();
        let stored = if smaller { &deflated[..] } else { raw };
        let len = (BlockHeader::LEN + stored.len()) as u64;
        let end = (BlockHeader::LEN + Totals::default().to_bytes().len()) as u64;
        if len > bound || self.written + len + end > self.bounds.total {
            return Ok(None);
        }
        let header = self.header(kind, smaller, stored, raw.len(), now);
        self.write(&[&header, stored])?;
        Ok(Some(len))
    }

    fn header(
        &self,
        kind: BlockKind,
        deflated: bool,
        stored: &[u8],
        raw: usize,
        at: Ktime,
    ) -> [u8; BlockHeader::LEN] {
        let header = BlockHeader {
            kind: kind as u16,
            deflated,
            // Neither is longer than `MAX_BLOCK`.
            stored_len: u32::try_from(stored.len()).unwrap_or(u32::MAX),
            raw_len: u32::try_from(raw).unwrap_or(u32::MAX),
            sequence: self.sequence,
            at,
            checksum: crc(stored),
        };
        header.to_bytes()
    }

    /// Writes a whole block in one piece.
    fn write(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        let bytes = parts.concat();
        self.out.write_all(&bytes)?;
        self.written += bytes.len() as u64;
        self.sequence += 1;
        Ok(())
    }
}

fn deflate(raw: &[u8]) -> io::Result<Vec<u8>> {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(raw)?;
    zlib.finish()
}
