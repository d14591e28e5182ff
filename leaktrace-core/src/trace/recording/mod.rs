//! Recordings of a live trace: the probes' raw records and snapshots of memory, in blocks.
//!
//! A recording is a magic number, a version, a header of the caller's choice in plain text, and blocks, each of
//! which has checksums of its own and is written in one piece. Whatever happens to the writer, all blocks that
//! were written can be read; what follows the last whole one is [reported](Ending), not read. A recording never
//! grows beyond its bound: what does not fit any more is counted, and the counts are in the last block.
//! `docs/dump.md` has the details.
//!
//! The container is [`Writer`] and [`RecordingReader`]; what a live trace puts into it are [`Header`], [`Records`], [`walk`]s,
//! [`names`], [`Meter`]s and snapshot files. [`Replay`] makes of them what the live trace saw.

mod block;
mod header;
mod meter;
pub mod names;
mod reader;
mod records;
mod replay;
mod spacing;
pub mod walk;
mod writer;

use thiserror::Error;

pub use block::{Block, Content, Totals};
pub use header::Header;
pub use meter::Meter;
pub use reader::{Ending, RecordingReader};
pub use records::Records;
pub use replay::{Replay, ReplayError};
pub use spacing::Spacing;
pub use writer::{Bounds, Writer};

/// What every recording begins with.
pub const MAGIC: [u8; 8] = *b"\x93LTC\r\n\x1a\n";
/// The version of the format that is written, and the newest that is read.
pub const VERSION: u16 = 1;
/// The longest header, in bytes.
pub(crate) const MAX_HEADER: usize = 1 << 20;
/// The longest record, in bytes.
pub const MAX_RECORD: usize = 64 << 10;
/// The longest block, unpacked, in bytes.
pub(crate) const MAX_BLOCK: usize = 512 << 20;

/// Why a recording cannot be opened, or read further.
#[derive(Debug, Error)]
pub enum RecordingError {
    /// It does not begin as recordings do.
    #[error("this is not a leaktrace recording")]
    Foreign,
    /// A later leaktrace wrote it.
    #[error("this recording has format version {version}, and this leaktrace reads versions up to {VERSION}")]
    Future {
        /// Its version.
        version: u16,
    },
    /// It ends within its header.
    #[error("this recording is truncated: it ends within its header")]
    Truncated,
    /// The checksum of its header is wrong.
    #[error("this recording is corrupt: the checksum of its header is wrong")]
    Corrupt,
    /// Its header does not say what was recorded.
    #[error("this recording is corrupt: its header does not say what was recorded")]
    NoHeader,
    /// Its header is longer than any is written.
    #[error("this recording is corrupt: its header is {len} bytes long, and {MAX_HEADER} is the limit")]
    TooLong {
        /// How long it says it is.
        len: u64,
    },
    /// It could not be read.
    #[error("the recording cannot be read")]
    Io(#[from] std::io::Error),
}

/// Whether a file that begins with these bytes claims to be a recording.
pub fn is_recording(beginning: &[u8]) -> bool {
    beginning.starts_with(&MAGIC)
}
