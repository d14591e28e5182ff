//! The target's binary: opened through `/proc/PID/exe`, so that other mount namespaces, deleted files and files
//! replaced on disk make no difference, and mapped instead of copied.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::fstatfs;

use super::mapped::MappedFile;
use super::workers::{Reading, Under};
use super::{Pid, ProcessError, Procfs, failed};
use crate::privilege::toward;

/// What `/proc` appends to the name of a file that no folder has any more.
const DELETED: &str = " (deleted)";

/// The binary that a process runs.
#[derive(Debug)]
pub struct Exe {
    bytes: Bytes,
    link: PathBuf,
    proc_path: PathBuf,
    file: FileId,
}

/// Which file, wherever it is mounted. Of its own an inode says nothing: overlays and deletion reuse them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileId {
    /// The device, as `stat` numbers it.
    pub device: u64,
    /// The inode on it.
    pub inode: u64,
}

impl FileId {
    fn of(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// The path that `/proc/PID/exe` had before its file was deleted or replaced.
pub(crate) fn without_mark(link: &Path) -> PathBuf {
    link.to_string_lossy().strip_suffix(DELETED).map_or_else(|| link.to_owned(), PathBuf::from)
}

impl Exe {
    /// Opens the binary of a process.
    pub fn open(procfs: &Procfs, pid: Pid) -> Result<Self, ProcessError> {
        let proc_path = procfs.path(pid, "exe");
        let link = procfs.link(pid, "exe")?;
        // Its file system may be one whose server is gone.
        let _reading = Reading::begin(&Under::File(&proc_path));
        let opened = toward(pid.0, || File::open(&proc_path)).and_then(|file| {
            let metadata = file.metadata()?;
            Ok((Bytes::of(&file, metadata.len())?, FileId::of(&metadata)))
        });
        match opened {
            Ok((bytes, file)) => Ok(Self { bytes, link, proc_path, file }),
            Err(error) => Err(failed(pid, proc_path, error)),
        }
    }

    /// Opens the file once more, unless the process runs another one by now.
    pub fn reopen(&self, pid: Pid) -> Result<File, ProcessError> {
        let _reading = Reading::begin(&Under::File(&self.proc_path));
        let opened = toward(pid.0, || File::open(&self.proc_path));
        let opened = opened.and_then(|file| Ok((FileId::of(&file.metadata()?), file)));
        match opened {
            Ok((id, file)) if id == self.file => Ok(file),
            Ok(_) => Err(ProcessError::Execed { pid }),
            Err(error) => Err(failed(pid, self.proc_path.clone(), error)),
        }
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Mapped(map) => map,
            Bytes::Read(bytes) => bytes,
        }
    }

    /// Gives the memory back that the part of it takes which was read. For whoever keeps very many.
    pub(crate) fn forget_pages(&self) {
        if let Bytes::Mapped(map) = &self.bytes {
            map.forget_pages();
        }
    }

    /// Whether a part of it could not be read, and was read as zeros: somebody has cut it short.
    pub(crate) fn is_torn(&self) -> bool {
        matches!(&self.bytes, Bytes::Mapped(map) if map.is_torn())
    }

    /// The text of `/proc/PID/exe`, with ` (deleted)` after it if that is so.
    pub fn link(&self) -> &Path {
        &self.link
    }

    /// The path that the target's user knows.
    pub fn name(&self) -> PathBuf {
        without_mark(&self.link)
    }

    /// Whether the path that the target was started by has another file by now, or none.
    pub(crate) fn is_deleted(&self) -> bool {
        self.link.to_string_lossy().ends_with(DELETED)
    }

    /// The path that leads to this very file for as long as the target runs it.
    pub fn proc_path(&self) -> &Path {
        &self.proc_path
    }

    /// Which file it is.
    pub const fn file(&self) -> FileId {
        self.file
    }
}

/// The bytes of a binary.
#[derive(Debug)]
enum Bytes {
    /// Where this kernel sees to it that nobody takes them away while it is executed.
    Mapped(MappedFile),
    /// Where a server can.
    Read(Vec<u8>),
}

impl Bytes {
    fn of(file: &File, len: u64) -> io::Result<Self> {
        let is_remote = REMOTE.contains(&fstatfs(file)?.f_type);
        let mapped = if is_remote { None } else { MappedFile::of(file)? };
        if let Some(mapped) = mapped {
            return Ok(Self::Mapped(mapped));
        }
        if len > MAX_READ {
            let why = if is_remote { "on a network file system" } else { "too many others are open" };
            let what = format!("larger than 1 GiB, and {why}");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
        }
        read_whole(file, len).map(Self::Read)
    }
}

/// The largest binary that is read into memory, in bytes.
const MAX_READ: u64 = 1 << 30;

/// The file systems whose server can truncate a file that is being executed here, and may not answer when a page of it is
/// touched (`include/uapi/linux/magic.h`): FUSE, NFS, SMB, CIFS, SMB2, 9P, Ceph, AFS.
const REMOTE: [i64; 8] =
    [0x6573_5546, 0x6969, 0x517b, 0xff53_4d42, 0xfe53_4d42, 0x0102_1997, 0x00c3_6400, 0x5346_414f];

/// Reads a file that was `len` bytes long when it was opened, and no more of it.
pub(crate) fn read_whole(file: &File, len: u64) -> io::Result<Vec<u8>> {
    let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_binary_is_the_file_that_we_run() {
        let exe = Exe::open(&Procfs::system(), Pid::own()).unwrap();
        assert!(exe.bytes().starts_with(b"\x7fELF"));
        assert_eq!(exe.name(), std::env::current_exe().unwrap());
        assert!(!exe.is_deleted());
    }

    #[test]
    fn a_deleted_binary_is_told_by_its_link() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("5");
        std::fs::create_dir(&folder).unwrap();
        let file = root.path().join("app (deleted)");
        std::fs::write(&file, b"x").unwrap();
        std::os::unix::fs::symlink(&file, folder.join("exe")).unwrap();
        let exe = Exe::open(&Procfs::at(root.path()), Pid(5)).unwrap();
        assert!(exe.is_deleted());
        assert_eq!(exe.name(), root.path().join("app"));
    }

    #[test]
    fn no_such_process_is_not_the_same_as_no_binary() {
        let root = tempfile::tempdir().unwrap();
        let procfs = Procfs::at(root.path());
        assert!(matches!(Exe::open(&procfs, Pid(5)), Err(ProcessError::NoSuchProcess { pid: Pid(5) })));
        std::fs::create_dir(root.path().join("5")).unwrap();
        assert!(matches!(Exe::open(&procfs, Pid(5)), Err(ProcessError::Io { .. })));
    }
}
