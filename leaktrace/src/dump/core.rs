//! `leaktrace dump --core`: a dump of a process that is no more.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use leaktrace_core::base::memory::{MAX_READ, Memory as _};
use leaktrace_core::base::num::{Avma, FileOffset, Ktime, Tgid};
use leaktrace_core::binary::elf::Elf;
use leaktrace_core::binary::elf::core_file::{CoreFile, CoreMemory};
use leaktrace_core::go::goroutines::Want;
use leaktrace_core::go::program::Program;
use leaktrace_core::goroutines::model::{MAX_VALUES, Mapping, Target, UnixTime};
use leaktrace_core::goroutines::{Dump, Facts, from_snapshot};
use memmap2::Mmap;

use super::file::FileError;
use super::{facts, walk};
use crate::process::exe::map;

/// A page.
const HEAD: u64 = 4096;

/// A file that is mapped.
struct Mapped {
    bytes: Mmap,
    changed_at: UnixTime,
}

impl Mapped {
    fn open(path: &Path) -> Result<Self, FileError> {
        let failed = |source| FileError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(FileError::NotRegular { path: path.to_owned() });
        }
        let seconds = metadata.mtime().max(0).cast_unsigned();
        let nanoseconds = metadata.mtime_nsec().max(0).cast_unsigned();
        let changed_at = UnixTime(seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds));
        Ok(Self { bytes: map(&file).map_err(failed)?, changed_at })
    }
}

/// Takes the dump of the core `core` of a process that ran `exe`, with the values of arguments if they are wanted.
pub(super) fn dump(core: &Path, exe: &Path, with_arguments: bool) -> anyhow::Result<Dump> {
    let (core_file, exe_file) = (Mapped::open(core)?, Mapped::open(exe)?);
    let unreadable = |path: &Path| CannotRead { path: path.to_owned() };
    let parsed = CoreFile::parse(&core_file.bytes).with_context(|| unreadable(core))?;
    let elf = Elf::parse(&exe_file.bytes).with_context(|| unreadable(exe))?;
    let bias = parsed.bias(&elf).with_context(|| unreadable(core))?;
    let memory = parsed.memory(&elf, bias);
    let program = Program::inspect(&elf, bias, &memory).with_context(|| unreadable(core))?;
    let facts = facts_of(&parsed, &memory, &elf, exe);
    let facts = Facts { taken_at: core_file.changed_at, ..facts };
    take(&program, &memory, facts, with_arguments)
}

/// A core does not say what the time was. It was no earlier than what its goroutines last waited since.
fn take(
    program: &Program<'_>,
    memory: &CoreMemory<'_>,
    facts: Facts,
    with_arguments: bool,
) -> anyhow::Result<Dump> {
    let mut walker = walk::walker(program, with_arguments.then_some(MAX_VALUES));
    let mut snapshot = walker.snapshot(memory, Want::Stacks, &|| Ktime(0))?;
    let latest = snapshot.goroutines.iter().filter_map(|goroutine| goroutine.wait_since).max();
    snapshot.started = latest.unwrap_or_default();
    snapshot.finished = snapshot.started;
    let facts = Facts { arguments: walker.kept(), ..facts };
    let mut dump = from_snapshot(&snapshot, program, memory, facts);
    dump.completeness.took_ns = None;
    let note = "from a core file, which does not record the time: waiting times are lower bounds";
    dump.completeness.notes.push(note.to_owned());
    Ok(dump)
}

fn facts_of(core: &CoreFile<'_>, memory: &CoreMemory<'_>, elf: &Elf<'_>, exe: &Path) -> Facts {
    let environ = core.environ(memory);
    Facts {
        target: Target {
            pid: Tgid(core.pid().unwrap_or_default()),
            exe: exe.to_string_lossy().into_owned(),
            build_id: elf.build_id(),
            ..Target::default()
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
