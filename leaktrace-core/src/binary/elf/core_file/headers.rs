//! The headers of a core, of which only they and the notes are read as a whole.

use object::LittleEndian as Le;
use object::elf::{self, FileHeader64, ProgramHeader64, SectionHeader64};
use object::pod::{from_bytes, slice_from_bytes};
use object::read::elf::{FileHeader as _, ProgramHeader as _};

use super::super::{Arch, ElfError, arch_of, check_ident};
use super::{CoreError, Part, parts};
use crate::base::file::ReadAt;

/// The most segments of a core: one for each mapping, of which the kernel allows 65,530 unless it is told otherwise.
const MAX_SEGMENTS: usize = 1 << 20;
/// The most bytes of notes: a thread has some kilobytes.
const MAX_NOTES: u64 = 256 << 20;

/// What the headers say.
pub(super) struct Headers {
    pub(super) arch: Arch,
    /// Ascending by address, without overlaps.
    pub(super) parts: Vec<Part>,
    /// The bytes of each segment of notes.
    pub(super) notes: Vec<Vec<u8>>,
}

impl Headers {
    pub(super) fn read(file: &dyn ReadAt) -> Result<Self, CoreError> {
        let mut begins =
            vec![0; size_of::<FileHeader64<Le>>().min(usize::try_from(file.size()).unwrap_or(usize::MAX))];
        file.read_at(0, &mut begins)?;
        check_ident(&begins)?;
        let (header, _) = from_bytes::<FileHeader64<Le>>(&begins).map_err(|()| too_short(file))?;
        let arch = arch_of(header)?;
        if header.e_type(Le) != elf::ET_CORE {
            return Err(CoreError::NotCore { kind: header.e_type(Le).0 });
        }
        let bytes = program_headers(header, file)?;
        let count = bytes.len() / size_of::<ProgramHeader64<Le>>();
        let (headers, _) =
            slice_from_bytes::<ProgramHeader64<Le>>(&bytes, count).map_err(|()| too_short(file))?;
        let loaded = headers.iter().filter(|header| header.p_type(Le) == elf::PT_LOAD);
        let parts = parts(loaded.map(|header| Part {
            start: header.p_vaddr(Le),
            in_file: header.p_filesz(Le),
            size: header.p_memsz(Le).max(header.p_filesz(Le)),
            offset: header.p_offset(Le),
            executable: header.p_flags(Le).contains(elf::PF_X),
        }));
        let notes = headers.iter().filter(|header| header.p_type(Le) == elf::PT_NOTE);
        let mut left = MAX_NOTES;
        let notes = notes.filter_map(|header| {
            let len = header.p_filesz(Le);
            left = left.checked_sub(len)?;
            piece(file, header.p_offset(Le), len)
        });
        Ok(Self { arch, parts, notes: notes.collect() })
    }
}

/// The bytes of all program headers. Where there are too many for the header's own count, the first section header has it
/// (`PN_XNUM`, elf(5)).
fn program_headers(header: &FileHeader64<Le>, file: &dyn ReadAt) -> Result<Vec<u8>, CoreError> {
    let mut count = usize::from(header.e_phnum(Le));
    if header.e_phnum(Le) == elf::PN_XNUM {
        let first = piece(file, header.e_shoff(Le), size_of::<SectionHeader64<Le>>() as u64);
        let first = first.ok_or_else(|| too_short(file))?;
        let (section, _) = from_bytes::<SectionHeader64<Le>>(&first).map_err(|()| too_short(file))?;
        count = usize::try_from(section.sh_info.get(Le)).unwrap_or(usize::MAX);
    }
    if count > MAX_SEGMENTS {
        return Err(ElfError::TooManySegments { count }.into());
    }
    let len = count * size_of::<ProgramHeader64<Le>>();
    piece(file, header.e_phoff(Le), len as u64).ok_or_else(|| too_short(file))
}

/// Part of a file, if it has it.
fn piece(file: &dyn ReadAt, offset: u64, len: u64) -> Option<Vec<u8>> {
    // Before so much is allocated.
    offset.checked_add(len).filter(|end| *end <= file.size())?;
    let mut bytes = vec![0; usize::try_from(len).ok()?];
    file.read_at(offset, &mut bytes).ok().map(|()| bytes)
}

fn too_short(file: &dyn ReadAt) -> CoreError {
    ElfError::Truncated { len: usize::try_from(file.size()).unwrap_or(usize::MAX) }.into()
}
