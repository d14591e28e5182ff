//! `leaktrace dump --core`: a dump of a process that is no more.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::Context as _;
use leaktrace_core::base::file::{MissingBytes, ReadAt};
use leaktrace_core::base::memory::{MAX_READ, Memory as _};
use leaktrace_core::base::num::{Avma, FileOffset, Tgid};
use leaktrace_core::binary::elf::Elf;
use leaktrace_core::binary::elf::core_file::{CoreError, CoreFile, CoreMemory};
use leaktrace_core::go::program::Program;
use leaktrace_core::goroutines::model::{Mapping, ProcessInfo, UnixTime};
use leaktrace_core::goroutines::{Dump, Facts};

use super::facts;
use super::file::{self, FileError};
use super::subject::{Clock, Image, Subject};
use crate::process::exe::read_whole;

/// A page.
const HEAD: u64 = 4096;

/// The largest executable that is read, in bytes.
const MAX_EXE: u64 = 4 << 30;

/// Opens a regular file, and says how long it is and when it was changed.
fn open(path: &Path) -> Result<(File, u64, UnixTime), FileError> {
    let failed = |source| FileError::Io { path: path.to_owned(), source };
    let file = file::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(FileError::NotRegular { path: path.to_owned() });
    }
    let seconds = metadata.mtime().max(0).cast_unsigned();
    let nanoseconds = metadata.mtime_nsec().max(0).cast_unsigned();
    let changed_at = UnixTime(seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds));
    Ok((file, metadata.len(), changed_at))
}

/// Reads an executable. It is not mapped: whoever truncates a file takes it away from under those who have it mapped.
fn read_exe(path: &Path) -> Result<Vec<u8>, FileError> {
    let (file, len, _) = open(path)?;
    if len > MAX_EXE {
        return Err(FileError::TooLong { path: path.to_owned(), bound: MAX_EXE });
    }
    read_whole(&file, len).map_err(|source| FileError::Io { path: path.to_owned(), source })
}

/// A core, of which pieces are read when they are wanted.
struct OnDisk {
    file: File,
    size: u64,
    /// What could not be read, if anything: a dump without that would be a wrong one.
    missing: OnceLock<MissingBytes>,
}

impl ReadAt for OnDisk {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), MissingBytes> {
        self.file.read_exact_at(buf, offset).map_err(|_| {
            let missing = MissingBytes { offset, len: buf.len() };
            *self.missing.get_or_init(|| missing)
        })
    }
}

/// A process that is no more, of which a core file was kept.
#[derive(Debug)]
pub struct Core<'s> {
    /// The core file.
    pub core: &'s Path,
    /// The executable that it ran.
    pub exe: &'s Path,
}

impl Subject for Core<'_> {
    fn dump(&self, with_arguments: bool) -> anyhow::Result<Dump> {
        let (file, size, taken_at) = open(self.core)?;
        let on_disk = OnDisk { file, size, missing: OnceLock::new() };
        let dump = self.read(&on_disk, taken_at, with_arguments);
        match on_disk.missing.get() {
            Some(missing) => Err(CoreError::from(*missing)).with_context(|| unreadable(self.core)),
            None => dump,
        }
    }
}

impl Core<'_> {
    fn read(&self, on_disk: &OnDisk, taken_at: UnixTime, with_arguments: bool) -> anyhow::Result<Dump> {
        let exe = read_exe(self.exe)?;
        let core = CoreFile::parse(on_disk).with_context(|| unreadable(self.core))?;
        let elf = Elf::parse(&exe).with_context(|| unreadable(self.exe))?;
        let bias = core.bias(&elf).with_context(|| unreadable(self.core))?;
        let memory = core.memory(&elf, bias);
        let program = Program::inspect(&elf, bias, &memory).with_context(|| unreadable(self.core))?;
        let facts = Facts { taken_at, ..facts_of(&core, &memory, &elf, self.exe) };
        let clock = Clock::Unknown { note: NO_TIME };
        Image { program: &program, memory: &memory, facts, clock }.dump(with_arguments)
    }
}

/// What is said of the times in a dump of a core file.
const NO_TIME: &str = "from a core file, which does not record the time: waiting times are lower bounds";

fn unreadable(path: &Path) -> CannotRead {
    CannotRead { path: path.to_owned() }
}

fn facts_of(core: &CoreFile<'_>, memory: &CoreMemory<'_>, elf: &Elf<'_>, exe: &Path) -> Facts {
    let environ = core.environ(memory);
    Facts {
        target: ProcessInfo {
            pid: Tgid(core.pid().unwrap_or_default()),
            exe: exe.to_string_lossy().into_owned(),
            build_id: elf.build_id(),
            ..ProcessInfo::default()
        },
        mappings: mappings(core, memory, elf),
        godebug: environ.as_deref().and_then(facts::godebug),
        ..Facts::default()
    }
}

/// The executable parts of files.
fn mappings(core: &CoreFile<'_>, memory: &CoreMemory<'_>, elf: &Elf<'_>) -> Vec<Mapping> {
    let all: Vec<_> = core.mappings().collect();
    let mut build_ids = HashMap::new();
    for first in all.iter().filter(|mapping| mapping.offset == FileOffset(0)) {
        build_ids.entry(first.path).or_insert_with(|| build_id(first.start, memory, elf));
    }
    let executable = all.iter().filter(|mapping| mapping.executable);
    executable
        .map(|mapping| Mapping {
            start: mapping.start,
            end: mapping.end,
            offset: mapping.offset,
            file: String::from_utf8_lossy(mapping.path).into_owned(),
            build_id: build_ids.get(mapping.path).cloned().flatten(),
        })
        .collect()
}

/// The build id of the file that was mapped at `start`: its first page is in every core. Not all ids are in that page, but
/// of the executable there is the whole file.
fn build_id(start: Avma, memory: &CoreMemory<'_>, exe: &Elf<'_>) -> Option<String> {
    let head = memory.bytes(start, HEAD, MAX_READ).ok()?;
    if exe.data().starts_with(&head) {
        return exe.build_id();
    }
    Elf::parse(&head).ok()?.build_id()
}

/// That a file is not what it should be. Says to [`crate::diagnose`] that the user named it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CannotRead {
    /// The file.
    pub path: PathBuf,
}

impl std::fmt::Display for CannotRead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot read {}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_truncated_while_it_is_read_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("core");
        std::fs::write(&path, vec![7; 8192]).unwrap();
        let (file, size, _) = open(&path).unwrap();
        let on_disk = OnDisk { file, size, missing: OnceLock::new() };
        let mut buf = [0; 8];
        assert_eq!((on_disk.read_at(8184, &mut buf), buf), (Ok(()), [7; 8]));

        File::options().write(true).open(&path).unwrap().set_len(4096).unwrap();
        let missing = MissingBytes { offset: 8184, len: 8 };
        assert_eq!(on_disk.read_at(8184, &mut buf), Err(missing));
        assert_eq!(on_disk.read_at(0, &mut buf), Ok(()), "the rest is there");
        assert_eq!(on_disk.missing.get(), Some(&missing), "but not all was");
        assert!(read_whole(&on_disk.file, on_disk.size).is_err());
        assert_eq!(read_exe(&path).unwrap().len(), 4096);
    }
}
