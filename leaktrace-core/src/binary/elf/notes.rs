//! Build ids, from the notes that are loaded with the program.
//!
//! Go's own linker leaves its GNU note out of the segment of notes (`src/cmd/link/internal/ld/elf.go`, go1.24 to
//! go1.27), so that only its section leads there.

use object::elf;

use super::Elf;
use crate::base::bytes;

/// The type of a GNU build id note, whose owner is `GNU`.
const NT_GNU_BUILD_ID: u32 = 3;
/// The type of a Go build id note, whose owner is `Go` (Go `src/cmd/link/internal/ld/elf.go`, `ELF_NOTE_GOBUILDID_TAG`).
const NT_GO_BUILD_ID: u32 = 4;
/// The longest build id that is shown, in bytes. Go's have about 83, GNU ones 20.
const MAX_ID: usize = 256;

/// See [`Elf::build_id`].
pub(super) fn build_id(elf: &Elf<'_>) -> Option<String> {
    let section = || elf.section(".note.gnu.build-id").map(|section| section.data);
    let find = |owner: &[u8], kind| {
        elf.program_headers(elf::PT_NOTE).chain(section()).find_map(|notes| {
            Notes { rest: notes }.find(|note| note.owner == owner && note.kind == kind).map(|note| note.value)
        })
    };
    if let Some(id) = find(b"GNU\0", NT_GNU_BUILD_ID) {
        return Some(id.iter().take(MAX_ID).fold(String::new(), |text, byte| text + &format!("{byte:02x}")));
    }
    let id = find(b"Go\0\0", NT_GO_BUILD_ID)?;
    Some(String::from_utf8_lossy(id.get(..MAX_ID).unwrap_or(id)).into_owned())
}

/// One entry of a note segment.
pub(super) struct Note<'d> {
    pub(super) owner: &'d [u8],
    pub(super) kind: u32,
    pub(super) value: &'d [u8],
}

/// The entries of a note segment, each padded to four bytes.
pub(super) struct Notes<'d> {
    pub(super) rest: &'d [u8],
}

impl<'d> Iterator for Notes<'d> {
    type Item = Note<'d>;

    fn next(&mut self) -> Option<Note<'d>> {
        let owner_len = u64::from(bytes::u32_at(self.rest, 0)?);
        let value_len = u64::from(bytes::u32_at(self.rest, 4)?);
        let kind = bytes::u32_at(self.rest, 8)?;
        let value_at = 12 + owner_len.next_multiple_of(4);
        let note = Note {
            owner: bytes::range(self.rest, 12, owner_len)?,
            kind,
            value: bytes::range(self.rest, value_at, value_len)?,
        };
        self.rest = bytes::tail(self.rest, value_at + value_len.next_multiple_of(4)).unwrap_or_default();
        Some(note)
    }
}
