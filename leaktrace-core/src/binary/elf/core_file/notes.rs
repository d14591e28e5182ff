//! What a core's notes say of the process (Linux `fs/binfmt_elf.c`; gdb's `gcore` writes the same).

use super::super::notes;
use crate::base::bytes;
use crate::base::num::{Avma, FileOffset};

/// The owner of the notes that both the kernel and gdb write.
const OWNER: &[u8] = b"CORE\0";

const NT_PRSTATUS: u32 = 1;
const NT_PRPSINFO: u32 = 3;
const NT_AUXV: u32 = 6;
const NT_FILE: u32 = 0x4649_4c45;

const AT_ENTRY: u64 = 9;
const AT_EXECFN: u64 = 31;

/// Where `pr_pid` is in `struct elf_prpsinfo`, and in `struct elf_prstatus` where it is that of a thread.
const PSINFO_PID: usize = 24;
const STATUS_PID: usize = 32;

/// The most notes that are looked at: a thread has some ten, and Go programs have thousands of threads at most.
const MAX_NOTES: usize = 1 << 20;
/// The most pairs of the auxiliary vector. Kernels write about twenty.
const MAX_AUXV: usize = 256;
/// The most mapped files: the kernel's default bound for mappings.
const MAX_FILES: u64 = 65_530;

/// A part of a file that was mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMapping<'d> {
    /// The first address.
    pub start: Avma,
    /// The address after the last.
    pub end: Avma,
    /// Where in the file it begins.
    pub offset: FileOffset,
    /// The path of the file.
    pub path: &'d [u8],
    /// Whether it could be executed.
    pub executable: bool,
}

/// What the notes say.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes {
    pub(super) pid: Option<u32>,
    /// Where the program begins to run.
    pub(super) entry: Option<Avma>,
    /// Where the path is that the program was started by.
    pub(super) exec_name: Option<Avma>,
    files: Vec<u8>,
}

impl Notes {
    /// Reads the notes of some segments.
    pub(super) fn read<'d>(segments: impl Iterator<Item = &'d [u8]>) -> Self {
        let mut found = Self::default();
        let all = segments.flat_map(|segment| notes::Notes { rest: segment });
        for note in all.take(MAX_NOTES).filter(|note| note.owner == OWNER) {
            match note.kind {
                NT_PRPSINFO => found.pid = bytes::u32_at(note.value, PSINFO_PID),
                NT_PRSTATUS => found.pid = found.pid.or_else(|| bytes::u32_at(note.value, STATUS_PID)),
                NT_AUXV => found.auxiliary_vector(note.value),
                NT_FILE => found.files = note.value.to_vec(),
                _ => {}
            }
        }
        found
    }

    fn auxiliary_vector(&mut self, bytes: &[u8]) {
        let (words, _) = bytes.as_chunks::<8>();
        for [key, value] in words.as_chunks::<2>().0.iter().take(MAX_AUXV) {
            let value = Some(Avma(u64::from_le_bytes(*value)));
            match u64::from_le_bytes(*key) {
                AT_ENTRY => self.entry = value,
                AT_EXECFN => self.exec_name = value,
                _ => {}
            }
        }
    }

    /// `NT_FILE`: a count, the size of pages, a start, end and offset in pages for each, and then the names.
    pub(super) fn mappings(&self) -> impl Iterator<Item = FileMapping<'_>> {
        let files = self.files.as_slice();
        let count = bytes::u64_at(files, 0).unwrap_or(0).min(MAX_FILES);
        let page = bytes::u64_at(files, 8).unwrap_or(1);
        let names = 16 + count.saturating_mul(24);
        let mut names = bytes::tail(files, names).unwrap_or_default().split(|byte| *byte == 0);
        (0..count).map_while(move |index| {
            let at = usize::try_from(16 + index * 24).ok()?;
            Some(FileMapping {
                start: Avma(bytes::u64_at(files, at)?),
                end: Avma(bytes::u64_at(files, at + 8)?),
                offset: FileOffset(bytes::u64_at(files, at + 16)?.wrapping_mul(page)),
                path: names.next()?,
                executable: false,
            })
        })
    }
}
