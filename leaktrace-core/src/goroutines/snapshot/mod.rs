//! Snapshot files, `.ltr`: a dump in one file that needs nothing else.
//!
//! A file is a magic number, a version, a JSON header that says in plain text what is in it, and sections: a
//! tag, two lengths, a checksum and deflated bytes each, the last one empty and called `end `. A reader skips
//! sections that it does not know; whatever it must know to read the file right raises the version.
//! `docs/dump.md` has the details.
//!
//! Files may come from anybody. Reading one costs time and memory in proportion to its [limits](Limits), and
//! ends in a dump whose numbers all refer to something, or in an error that says what is wrong with the file.

mod decode;
mod encode;
mod fuzz;
mod rows;
mod values;
pub(crate) mod wire;

use std::io;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use decode::{decode, decode_within};
pub use encode::encode;
#[doc(hidden)]
pub use fuzz::fuzz;

use super::model::{Completeness, Mapping, ProcessInfo, UnixTime};

/// What every snapshot file begins with. The odd bytes tell files that were taken for text on their way.
pub const MAGIC: [u8; 8] = *b"\x93LTR\r\n\x1a\n";
/// The version of the format that is written, and the newest that is read.
pub const VERSION: u16 = 2;
/// The last version that had the values of arguments as text.
const VALUES_AS_TEXT: u16 = 1;

/// How large a file may be when it is unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The bytes of all sections together.
    pub bytes: u64,
    /// The entries of each table, goroutines among them.
    pub entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 512 << 20, entries: 8 << 20 }
    }
}

/// Why a file cannot be read.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// It does not begin as snapshots do.
    #[error("this is not a leaktrace snapshot")]
    Foreign,
    /// It begins as snapshots do, but for bytes that change when a file is taken for text.
    #[error("this snapshot was damaged in transfer: its line endings were converted as if it were text")]
    ConvertedAsText,
    /// A later leaktrace wrote it.
    #[error("this snapshot has format version {version}, and this leaktrace reads versions up to {VERSION}")]
    Future {
        /// Its version.
        version: u16,
    },
    /// It ends too early.
    #[error("this snapshot is truncated: it ends within {part}")]
    Truncated {
        /// Where it ends.
        part: &'static str,
    },
    /// Its bytes are not those that were written.
    #[error("this snapshot is corrupt: the checksum of {part} is wrong")]
    Checksum {
        /// Where.
        part: &'static str,
    },
    /// Its checksums are right, but what it says makes no sense.
    #[error("this snapshot is corrupt: {what} in {part}")]
    Corrupt {
        /// Where.
        part: &'static str,
        /// What makes no sense.
        what: &'static str,
    },
    /// It is larger than the limits allow.
    #[error("this snapshot is too large: {len} for {part}, where {bound} is the limit")]
    TooLarge {
        /// Which part.
        part: &'static str,
        /// How large that is.
        len: u64,
        /// How large it may be.
        bound: u64,
    },
}

/// What the header says: who it is of, and how many of everything there are.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Header {
    format: String,
    taken_at: String,
    taken_at_unix_ns: UnixTime,
    goroutines: u64,
    target: ProcessInfo,
    completeness: Completeness,
    mappings: Vec<Mapping>,
}

/// A part of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Section {
    Strings,
    Functions,
    Locations,
    Stacks,
    Labels,
    Channels,
    Blocked,
    Arguments,
    Goroutines,
    Values,
    End,
}

impl Section {
    /// Every section, in the order in which they are written: each refers to earlier ones only.
    const ALL: [Self; 11] = [
        Self::Strings,
        Self::Functions,
        Self::Locations,
        Self::Stacks,
        Self::Labels,
        Self::Channels,
        Self::Blocked,
        Self::Arguments,
        Self::Goroutines,
        Self::Values,
        Self::End,
    ];

    /// Those of a file with this version.
    fn of_version(version: u16) -> Vec<Self> {
        let has_values = version > VALUES_AS_TEXT;
        Self::ALL.into_iter().filter(|section| has_values || *section != Self::Values).collect()
    }

    const fn tag(self) -> [u8; 4] {
        match self {
            Self::Strings => *b"strs",
            Self::Functions => *b"func",
            Self::Locations => *b"locs",
            Self::Stacks => *b"stks",
            Self::Labels => *b"labl",
            Self::Channels => *b"chan",
            Self::Blocked => *b"blkd",
            Self::Arguments => *b"args",
            Self::Goroutines => *b"gors",
            Self::Values => *b"vals",
            Self::End => *b"end ",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Strings => "the strings",
            Self::Functions => "the functions",
            Self::Locations => "the code locations",
            Self::Stacks => "the stacks",
            Self::Labels => "the labels",
            Self::Channels => "the channels",
            Self::Blocked => "what goroutines are blocked on",
            Self::Arguments => "how arguments are printed",
            Self::Goroutines => "the goroutines",
            Self::Values => "the argument values",
            Self::End => "the end mark",
        }
    }

    fn from_tag(tag: [u8; 4]) -> Option<Self> {
        Self::ALL.into_iter().find(|section| section.tag() == tag)
    }
}

/// Whether a file that begins with these bytes claims to be a snapshot.
pub fn is_snapshot(beginning: &[u8]) -> bool {
    beginning.starts_with(&MAGIC)
}

impl From<SnapshotError> for io::Error {
    fn from(error: SnapshotError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}
