//! Opens the files that leaktrace writes, by what they begin with.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use leaktrace_core::dump::Dump;
use leaktrace_core::dump::snapshot::{self, SnapshotError};
use leaktrace_core::recording;
use thiserror::Error;

/// The longest file that is read, in bytes: as long as a snapshot may be when it is unpacked.
const MAX_FILE: u64 = 512 << 20;
/// How many bytes every file of ours begins with.
const MAGIC_LEN: usize = 8;
/// How many of them name the kind of file.
const NAME_LEN: usize = 4;

/// Why a file cannot be opened.
#[derive(Debug, Error)]
pub enum FileError {
    /// The system does not let us.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It begins as none of our files does.
    #[error("{} is neither a leaktrace snapshot nor a recording", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// It is larger than any file of ours.
    #[error("{} is longer than {MAX_FILE} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
}

/// What a file claims to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Snapshot,
    Recording,
}

/// Opens a snapshot.
pub fn open(path: &Path) -> anyhow::Result<Dump> {
    let (kind, bytes) = read(path)?;
    match kind {
        Kind::Snapshot => decode(path, &bytes),
        Kind::Recording => Err(FileError::Foreign { path: path.to_owned() }.into()),
    }
}

fn decode(path: &Path, bytes: &[u8]) -> anyhow::Result<Dump> {
    snapshot::decode(bytes).with_context(|| format!("cannot open {}", path.display()))
}

/// The whole file, if it is one of ours. Of one that is not, only the beginning is read.
fn read(path: &Path) -> Result<(Kind, Vec<u8>), FileError> {
    let failed = |source| FileError::Io { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.by_ref().take(MAGIC_LEN as u64).read_to_end(&mut bytes).map_err(failed)?;
    let kind = kind(&bytes).ok_or_else(|| FileError::Foreign { path: path.to_owned() })?;
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(FileError::TooLong { path: path.to_owned() });
    }
    Ok((kind, bytes))
}

/// What a file claims to be that begins with these bytes.
fn kind(beginning: &[u8]) -> Option<Kind> {
    if recording::is_recording(beginning) {
        return Some(Kind::Recording);
    }
    // What follows the name tells whether it was damaged as text, which is the decoder's to say.
    beginning.starts_with(&snapshot::MAGIC[..NAME_LEN]).then_some(Kind::Snapshot)
}

/// What can be done about a snapshot that cannot be read.
pub fn remedy(error: &SnapshotError) -> &'static str {
    match error {
        SnapshotError::Foreign => "open what `leaktrace dump -o FILE.ltr` has written",
        SnapshotError::Future { .. } => "open it with the leaktrace that wrote it, or a newer one",
        SnapshotError::ConvertedAsText => "copy it again, as a binary file",
        SnapshotError::Truncated { .. } | SnapshotError::Checksum { .. } | SnapshotError::Corrupt { .. } => {
            "copy it again, or take another"
        }
        SnapshotError::TooLarge { .. } => "take one of fewer goroutines, with --match or --older",
    }
}

#[cfg(test)]
mod tests {
    use leaktrace_core::dump::snapshot::encode;

    use super::*;

    fn opening(bytes: &[u8]) -> anyhow::Result<Dump> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        open(&path)
    }

    fn snapshot() -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(&Dump::default(), &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_snapshot_opens() {
        assert_eq!(opening(&snapshot()).unwrap(), Dump::default());
    }

    #[test]
    fn what_is_not_ours_is_named() {
        for bytes in [&b""[..], b"goroutine 1 [running]:\n", b"\x1f\x8b\x08\0"] {
            assert!(
                opening(bytes)
                    .unwrap_err()
                    .to_string()
                    .ends_with("is neither a leaktrace snapshot nor a recording")
            );
        }
    }

    #[test]
    fn what_is_damaged_is_told_with_what_was_found() {
        let whole = snapshot();
        let cause = |bytes: &[u8]| opening(bytes).unwrap_err().root_cause().to_string();
        assert!(
            cause(&whole[..whole.len() - 3]).contains("truncated"),
            "{}",
            cause(&whole[..whole.len() - 3])
        );
        let as_text: Vec<u8> = whole.iter().copied().filter(|byte| *byte != b'\r').collect();
        assert!(cause(&as_text).contains("as if it were text"));
    }
}
