//! Core files: what the kernel, or gdb's `gcore`, wrote of a process's memory.
//!
//! Pages that were only ever read from files are usually not in a core; [`CoreMemory`] takes those of the program from
//! its executable. Whatever else is missing cannot be read, and is never taken for zeroes.

mod headers;
mod memory;
mod notes;
#[cfg(test)]
mod tests;

use thiserror::Error;

use self::headers::Headers;
pub use self::memory::CoreMemory;
pub use self::notes::FileMapping;
use self::notes::Notes;
use super::{Elf, ElfError, Segment};
use crate::base::bytes;
use crate::base::file::{MissingBytes, ReadAt};
use crate::base::memory::Memory as _;
use crate::base::num::{Avma, Bias, Svma};

/// How many bytes of the beginnings of the program's parts are compared with its file: the page that the kernel keeps of
/// each ELF file. In a Go program it has the build id, while the headers alone can be those of any other.
const COMPARED: usize = 4096;

/// What programs are loaded at a multiple of.
const PAGE: u64 = 4096;

/// How long before the program's name on the stack its environment may begin, in bytes (`ARG_MAX`'s usual value).
const MAX_ENVIRON: u64 = 128 << 10;

/// Why a core file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CoreError {
    /// It is no ELF file that could be one.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// It became shorter while it was read, or cannot be read.
    #[error(transparent)]
    Missing(#[from] MissingBytes),
    /// It is an ELF file, and no core.
    #[error("an ELF file of type {kind}, not a core file (4)")]
    NotCore {
        /// The type number.
        kind: u16,
    },
    /// It ends before its memory does.
    #[error("the core file is truncated: it has {len} bytes of at least {needed}")]
    Truncated {
        /// How long it is.
        len: u64,
        /// How long it should be.
        needed: u64,
    },
    /// It does not say where the program was loaded.
    #[error(
        "the core file does not say where the program was loaded: its auxiliary vector has no entry address"
    )]
    NoEntry,
    /// The program is for another machine.
    #[error("the core file comes from an {core} machine, but the executable is for {exe}")]
    OtherMachine {
        /// The core's.
        core: super::Arch,
        /// The executable's.
        exe: super::Arch,
    },
    /// The program's memory has not what its file has.
    #[error("this executable did not produce the core file: they differ at {at}")]
    OtherProgram {
        /// Where the difference is.
        at: Avma,
    },
}

/// A part of the process's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    start: u64,
    /// How many bytes of it are in the core.
    in_file: u64,
    /// How many bytes it had.
    size: u64,
    offset: u64,
    executable: bool,
}

/// A core file.
#[derive(Clone)]
pub struct CoreFile<'d> {
    file: &'d (dyn ReadAt + Sync),
    arch: super::Arch,
    /// Ascending by address, without overlaps.
    parts: Vec<Part>,
    notes: Notes,
}

impl std::fmt::Debug for CoreFile<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CoreFile").field("parts", &self.parts).finish_non_exhaustive()
    }
}

impl<'d> CoreFile<'d> {
    /// Reads the headers and the notes of the core `file`. Its memory is read when it is wanted.
    pub fn parse(file: &'d (dyn ReadAt + Sync)) -> Result<Self, CoreError> {
        let Headers { arch, parts, notes } = Headers::read(file)?;
        whole(&parts, file.size())?;
        Ok(Self { file, arch, parts, notes: Notes::read(notes.iter().map(Vec::as_slice)) })
    }

    /// The process's id.
    pub const fn pid(&self) -> Option<u32> {
        self.notes.pid
    }

    /// The files that were mapped, with what of them could be executed.
    pub fn mappings(&self) -> impl Iterator<Item = FileMapping<'_>> {
        let executable =
            |mapping: &FileMapping<'_>| self.part(mapping.start.0).is_some_and(|part| part.executable);
        self.notes.mappings().map(move |mut mapping| {
            mapping.executable = executable(&mapping);
            mapping
        })
    }

    /// Where `exe`, the program that the core is of, was loaded. Compares the beginnings of the two, as far as the core
    /// has it.
    pub fn bias(&self, exe: &Elf<'_>) -> Result<Bias, CoreError> {
        if exe.arch() != self.arch {
            return Err(CoreError::OtherMachine { core: self.arch, exe: exe.arch() });
        }
        let entry = self.notes.entry.ok_or(CoreError::NoEntry)?;
        let bias = Bias::between(exe.entry(), entry);
        if !self.can_be_at(bias, exe) {
            return Err(CoreError::OtherProgram { at: entry });
        }
        for segment in exe.segments().iter().filter(|segment| !segment.writable) {
            let at = bias.to_avma(segment.svma);
            let file =
                bytes::range(exe.data(), segment.file_offset.0, segment.file_size.min(COMPARED as u64));
            let mut own = [0; COMPARED];
            let len = self.read_stored(at.0, &mut own)?.unwrap_or(0);
            let same = own.iter().take(len).zip(file.unwrap_or_default()).all(|(own, file)| own == file);
            if !same {
                return Err(CoreError::OtherProgram { at });
            }
        }
        Ok(bias)
    }

    /// Whether anything of `exe` was mapped with this `bias`, and the kernel could have chosen it.
    fn can_be_at(&self, bias: Bias, exe: &Elf<'_>) -> bool {
        let is_there = |segment: &Segment| self.part(bias.to_avma(segment.svma).0).is_some();
        bias.to_avma(Svma(0)).0.is_multiple_of(PAGE) && exe.segments().iter().any(is_there)
    }

    /// The memory of the process, in which `exe` was loaded at `bias`.
    pub fn memory(&self, exe: &Elf<'d>, bias: Bias) -> CoreMemory<'d> {
        CoreMemory::new(self.clone(), exe, bias)
    }

    /// Where the process's environment may be: some bytes before the name of its program, at the end of its stack.
    pub fn environ(&self, memory: &CoreMemory<'_>) -> Option<Vec<u8>> {
        let end = self.notes.exec_name?;
        let part = self.part(end.0)?;
        let len = (end.0 - part.start).min(MAX_ENVIRON);
        memory.bytes(Avma(end.0 - len), len, usize::MAX).ok()
    }

    /// The part that has the byte at `at`.
    fn part(&self, at: u64) -> Option<&Part> {
        let index = self.parts.partition_point(|part| part.start <= at).checked_sub(1)?;
        self.parts.get(index).filter(|part| at - part.start < part.size)
    }

    /// Fills the beginning of `buf` with what the core has at `at`, up to the end of its part, and says how much that is;
    /// `None` if it has not even a byte.
    fn read_stored(&self, at: u64, buf: &mut [u8]) -> Result<Option<usize>, MissingBytes> {
        let Some(part) = self.part(at) else { return Ok(None) };
        let skip = at - part.start;
        let left = part.in_file.checked_sub(skip).filter(|left| *left > 0);
        let (Some(left), Some(offset)) = (left, part.offset.checked_add(skip)) else { return Ok(None) };
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let piece = buf.get_mut(..len).unwrap_or_default();
        self.file.read_at(offset, piece).map(|()| Some(len))
    }

    /// How far it is from `at`, which the core does not have, to the next byte that it may have.
    fn gap(&self, at: u64) -> u64 {
        let next = self.parts.partition_point(|part| part.start <= at);
        self.parts.get(next).map_or(u64::MAX, |part| part.start - at)
    }
}

/// The parts in the order of their addresses; of two that overlap, the first is cut.
fn parts(all: impl Iterator<Item = Part>) -> Vec<Part> {
    let mut parts: Vec<Part> = all.filter(|part| part.start.checked_add(part.size).is_some()).collect();
    parts.sort_by_key(|part| part.start);
    let starts: Vec<u64> = parts.iter().skip(1).map(|part| part.start).collect();
    for (part, next) in parts.iter_mut().zip(starts) {
        part.size = part.size.min(next - part.start);
        part.in_file = part.in_file.min(part.size);
    }
    parts
}

fn whole(parts: &[Part], len: u64) -> Result<(), CoreError> {
    let stored = parts.iter().filter(|part| part.in_file > 0);
    let needed = stored.map(|part| part.offset.saturating_add(part.in_file)).max().unwrap_or(0);
    if needed > len { Err(CoreError::Truncated { len, needed }) } else { Ok(()) }
}
