//! Opens the files that leaktrace writes, by what they begin with.

use std::fs::File;
use std::io::{self, Chain, Cursor, Read, Take};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use leaktrace_core::goroutines::Dump;
use leaktrace_core::goroutines::snapshot::{self, SnapshotError};
use leaktrace_core::trace::recording;
use rustix::fs::{OFlags, fcntl_setfl};
use thiserror::Error;

use super::recorded;
use super::subject::Subject;

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
    /// It is a folder, a pipe or a device.
    #[error("{} is not a regular file", path.display())]
    NotRegular {
        /// The file.
        path: PathBuf,
    },
    /// It is a pipe, and nobody writes to it.
    #[error("{} is a pipe that nobody writes to", path.display())]
    NoWriter {
        /// The pipe.
        path: PathBuf,
    },
    /// It is larger than any file of ours.
    #[error("{} is larger than {bound} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The bound.
        bound: u64,
    },
}

/// What a file claims to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Snapshot,
    Recording,
}

/// A file of ours from its beginning on.
pub(super) type Input = Chain<Cursor<Vec<u8>>, Take<File>>;

/// A file of ours.
#[derive(Debug)]
pub(super) enum Opened {
    /// One with a snapshot.
    Snapshot(Box<Dump>),
    /// One with a recording, which is read as far as it is needed.
    Recording(Input),
}

/// A snapshot file, or a recording, whose last snapshot is meant.
#[derive(Debug)]
pub struct Recorded<'s> {
    /// The file.
    pub path: &'s Path,
}

impl Subject for Recorded<'_> {
    /// The values of arguments are there if they were wanted when the file was written.
    fn dump(&self, _with_arguments: bool) -> anyhow::Result<Dump> {
        match open_any(self.path)? {
            Opened::Snapshot(dump) => Ok(*dump),
            Opened::Recording(input) => recorded::snapshot(self.path, input, None),
        }
    }
}

/// Opens a file, whichever of ours it is.
pub(super) fn open_any(path: &Path) -> anyhow::Result<Opened> {
    let (kind, input) = begin(path)?;
    match kind {
        Kind::Snapshot => {
            let dump = snapshot::decode(&all(path, input, MAX_FILE)?);
            dump.with_context(|| format!("cannot open {}", path.display()))
                .map(|dump| Opened::Snapshot(Box::new(dump)))
        }
        Kind::Recording => Ok(Opened::Recording(input)),
    }
}

/// A file that is one of ours. It is opened once, because a pipe can be read only once.
fn begin(path: &Path) -> Result<(Kind, Input), FileError> {
    let failed = |source| FileError::Io { path: path.to_owned(), source };
    let mut file = open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    if file.metadata().map_err(failed)?.file_type().is_fifo()
        && !is_written(&mut file, &mut bytes).map_err(failed)?
    {
        return Err(FileError::NoWriter { path: path.to_owned() });
    }
    file.by_ref().take((MAGIC_LEN - bytes.len()) as u64).read_to_end(&mut bytes).map_err(failed)?;
    let kind = kind(&bytes).ok_or_else(|| FileError::Foreign { path: path.to_owned() })?;
    let metadata = file.metadata().map_err(failed)?;
    // A recording may still be growing, and faster than it is read.
    let end = if metadata.is_file() { metadata.len() } else { u64::MAX };
    Ok((kind, Cursor::new(bytes).chain(file.take(end))))
}

/// Opens a file, and waits for nobody: a pipe without a writer would be waited for for ever.
pub(super) fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)
}

/// Whether somebody writes to a pipe; the first byte may be there already. From then on, reads of it wait.
fn is_written(pipe: &mut File, bytes: &mut Vec<u8>) -> io::Result<bool> {
    let mut first = [0];
    let is_written = match pipe.read(&mut first) {
        Ok(read) => {
            bytes.extend_from_slice(&first[..read]);
            read > 0
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => true,
        Err(error) => return Err(error),
    };
    fcntl_setfl(&*pipe, OFlags::empty())?;
    Ok(is_written)
}

/// All bytes of a file of at most so many.
pub(super) fn all(path: &Path, input: impl Read, bound: u64) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    let read = input.take(bound + 1).read_to_end(&mut bytes);
    read.map_err(|source| FileError::Io { path: path.to_owned(), source })?;
    if bytes.len() as u64 > bound {
        return Err(FileError::TooLong { path: path.to_owned(), bound });
    }
    Ok(bytes)
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
        SnapshotError::Foreign => "give a file that `leaktrace dump -o FILE.ltr` wrote",
        SnapshotError::Future { .. } => "open it with the version of leaktrace that wrote it, or a newer one",
        SnapshotError::ConvertedAsText => "copy the file again, in binary mode",
        SnapshotError::Truncated { .. } | SnapshotError::Checksum { .. } | SnapshotError::Corrupt { .. } => {
            "copy the file again, or take a new snapshot"
        }
        SnapshotError::TooLarge { .. } => "take a snapshot of fewer goroutines, with --match or --older",
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use leaktrace_core::goroutines::snapshot::encode;

    use super::*;

    fn opening(bytes: &[u8]) -> anyhow::Result<Dump> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        Recorded { path: &path }.dump(false)
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
    fn a_pipe_is_read_and_one_without_a_writer_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let error = Recorded { path: &path }.dump(false).unwrap_err();
        assert!(error.to_string().ends_with("is a pipe that nobody writes to"), "{error}");

        // Open at both ends, so that it is there before and after what is written.
        let mut pipe = File::options().read(true).write(true).open(&path).unwrap();
        let writer = std::thread::spawn({
            let path = path.clone();
            move || Recorded { path: &path }.dump(false)
        });
        pipe.write_all(&snapshot()).unwrap();
        let unread = || rustix::io::ioctl_fionread(&pipe).unwrap();
        while unread() > 0 {
            std::thread::yield_now();
        }
        drop(pipe);
        assert_eq!(writer.join().unwrap().unwrap(), Dump::default());
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
