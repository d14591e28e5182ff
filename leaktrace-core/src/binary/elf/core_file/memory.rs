//! The memory of a process that is no more.

use super::super::{Elf, FileMemory, Segment};
use super::CoreFile;
use crate::base::file::MissingBytes;
use crate::base::memory::{Memory, ReadError};
use crate::base::num::{Avma, Bias};

/// A core's memory, and its program's file for what the core leaves out of it.
#[derive(Clone, Debug)]
pub struct CoreMemory<'d> {
    core: CoreFile<'d>,
    file: FileMemory<'d>,
    /// The segments that nobody wrote to, in the process's addresses.
    unchanged: Vec<(u64, Segment)>,
}

impl<'d> CoreMemory<'d> {
    pub(super) fn new(core: CoreFile<'d>, exe: &Elf<'d>, bias: Bias) -> Self {
        let unchanged = exe.segments().iter().filter(|segment| !segment.writable);
        let unchanged = unchanged.map(|segment| (bias.to_avma(segment.svma).0, *segment)).collect();
        Self { core, file: FileMemory::new(exe, bias), unchanged }
    }

    /// Fills the beginning of `buf` with what is at `at`, and says how much of it; `None` if it is not even a byte.
    fn read_some(&self, at: u64, buf: &mut [u8]) -> Result<Option<usize>, ReadError> {
        let missing = |MissingBytes { offset, .. }| ReadError::Missing { offset };
        match self.core.read_stored(at, buf).map_err(missing)? {
            Some(len) => Ok(Some(len)),
            None => Ok(self.read_unchanged(at, buf)),
        }
    }

    /// The same of what nobody wrote to, from the program's file.
    fn read_unchanged(&self, at: u64, buf: &mut [u8]) -> Option<usize> {
        let left = self.unchanged.iter().find_map(|(start, segment)| {
            segment.file_size.checked_sub(at.checked_sub(*start)?).filter(|left| *left > 0)
        })?;
        let len = left.min(self.core.gap(at)).min(buf.len() as u64);
        let part = buf.get_mut(..usize::try_from(len).ok()?)?;
        self.file.read(Avma(at), part).ok()?;
        Some(part.len())
    }
}

impl Memory for CoreMemory<'_> {
    fn read(&self, at: Avma, buf: &mut [u8]) -> Result<(), ReadError> {
        let unmapped = ReadError::Unmapped { at, len: buf.len() };
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let here = at.0.checked_add(done as u64).ok_or(unmapped.clone())?;
            done += self.read_some(here, rest)?.filter(|read| *read > 0).ok_or(unmapped.clone())?;
        }
        Ok(())
    }
}
