//! Reads recordings, whole ones and others.

use std::io::{self, Read};

use flate2::read::ZlibDecoder;

use super::block::{Block, BlockHeader, BlockKind, Content, Totals, crc};
use super::{MAGIC, MAX_BLOCK, MAX_HEADER, RecordingError, Records, VERSION};

/// How a recording ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It has not ended yet, as far as it was read.
    Unread,
    /// On purpose.
    Complete(Totals),
    /// After a whole block, but not on purpose: its writer was stopped, or is still writing.
    Stopped,
    /// Within a block, which is lost.
    CutShort,
    /// With bytes that are no block, so that nothing behind them can be found.
    Damaged,
}

/// Reads a recording block by block.
///
/// What is wrong with a recording after its header is no error: the blocks before it are read, and
/// [`ending`](Self::ending) and [`lost_blocks`](Self::lost_blocks) say that there was more.
#[derive(Debug)]
pub struct RecordingReader<R> {
    input: R,
    header: String,
    next_sequence: u64,
    lost_blocks: u64,
    ending: Ending,
}

impl<R: Read> RecordingReader<R> {
    /// Opens a recording.
    pub fn open(mut input: R) -> Result<Self, RecordingError> {
        let mut front = [0; 16];
        let read = read_up_to(&mut input, &mut front)?;
        if !front[..read].starts_with(&MAGIC[..read.min(MAGIC.len())]) || read == 0 {
            return Err(RecordingError::Foreign);
        }
        if read < front.len() {
            return Err(RecordingError::Truncated);
        }
        let version = u16::from_le_bytes([front[8], front[9]]);
        if version > VERSION {
            return Err(RecordingError::Future { version });
        }
        let len = u32::from_le_bytes([front[12], front[13], front[14], front[15]]);
        let header = read_header(&mut input, &front, len)?;
        Ok(Self { input, header, next_sequence: 0, lost_blocks: 0, ending: Ending::Unread })
    }

    /// What the writer said of the recording.
    pub fn header(&self) -> &str {
        &self.header
    }

    /// How it ends; known when [`next_block`](Self::next_block) has returned `None`.
    pub const fn ending(&self) -> Ending {
        self.ending
    }

    /// How many whole blocks were passed over, because their bytes were not those that were written or because a
    /// later leaktrace wrote them.
    pub const fn lost_blocks(&self) -> u64 {
        self.lost_blocks
    }

    /// The next block, or `None` at the end.
    pub fn next_block(&mut self) -> Result<Option<Block>, RecordingError> {
        while self.ending == Ending::Unread {
            let Some((header, stored)) = self.read_block()? else { return Ok(None) };
            // A block that was never written has no number either.
            self.lost_blocks += header.sequence.saturating_sub(self.next_sequence);
            self.next_sequence = header.sequence.saturating_add(1);
            let block = block(&header, &stored);
            if let Some(Block { content: Content::End(totals), .. }) = &block {
                self.ending = Ending::Complete(*totals);
            }
            match block {
                Some(block) => return Ok(Some(block)),
                None => self.lost_blocks += 1,
            }
        }
        Ok(None)
    }

    fn read_block(&mut self) -> Result<Option<(BlockHeader, Vec<u8>)>, RecordingError> {
        let mut bytes = [0; BlockHeader::LEN];
        let read = read_up_to(&mut self.input, &mut bytes)?;
        if read < bytes.len() {
            self.ending = if read == 0 { Ending::Stopped } else { Ending::CutShort };
            return Ok(None);
        }
        let header = BlockHeader::from_bytes(&bytes).filter(|header| header.stored_len as usize <= MAX_BLOCK);
        let Some(header) = header else {
            self.ending = Ending::Damaged;
            return Ok(None);
        };
        let mut stored = Vec::new();
        let len = u64::from(header.stored_len);
        if self.input.by_ref().take(len).read_to_end(&mut stored)? as u64 != len {
            self.ending = Ending::CutShort;
            return Ok(None);
        }
        Ok(Some((header, stored)))
    }
}

fn read_header<R: Read>(input: &mut R, front: &[u8; 16], len: u32) -> Result<String, RecordingError> {
    if len as usize > MAX_HEADER {
        return Err(RecordingError::TooLong { len: u64::from(len) });
    }
    let mut bytes = front.to_vec();
    bytes.resize(front.len() + len as usize + 4, 0);
    if read_up_to(input, &mut bytes[front.len()..])? < len as usize + 4 {
        return Err(RecordingError::Truncated);
    }
    let (covered, checksum) = bytes.split_last_chunk::<4>().ok_or(RecordingError::Truncated)?;
    if crc(covered) != u32::from_le_bytes(*checksum) {
        return Err(RecordingError::Corrupt);
    }
    String::from_utf8(covered[front.len()..].to_vec()).map_err(|_| RecordingError::Corrupt)
}

/// Fills `buf` as far as the input reaches.
fn read_up_to<R: Read>(input: &mut R, buf: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buf.len() {
        match input.read(&mut buf[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The block, unless its bytes are not those that were written, or not of a kind that is known.
fn block(header: &BlockHeader, stored: &[u8]) -> Option<Block> {
    let kind = BlockKind::from_wire(header.kind)?;
    if crc(stored) != header.checksum {
        return None;
    }
    let bytes = unpack(header, stored)?;
    let content = match kind {
        BlockKind::Records => Content::Records(Records::from_bytes(bytes)?),
        BlockKind::Snapshot => Content::Snapshot(bytes),
        BlockKind::Walk => Content::Walk(bytes),
        BlockKind::Names => Content::Names(bytes),
        BlockKind::Meter => Content::Meter(bytes),
        BlockKind::Asked => Content::Asked,
        BlockKind::Last => Content::Last,
        BlockKind::End => Content::End(Totals::from_bytes(&bytes)?),
    };
    Some(Block { at: header.at, content })
}

fn unpack(header: &BlockHeader, stored: &[u8]) -> Option<Vec<u8>> {
    let len = header.raw_len as usize;
    if !header.deflated {
        return (stored.len() == len).then(|| stored.to_vec());
    }
    if len > MAX_BLOCK {
        return None;
    }
    let mut raw = Vec::new();
    let read = ZlibDecoder::new(stored).take(u64::from(header.raw_len) + 1).read_to_end(&mut raw).ok()?;
    (read == len).then_some(raw)
}
