//! An ELF file seen as the memory of a process that has just been started from it.

use super::{Arch, Elf, Segment};
use crate::base::bytes;
use crate::base::memory::{Memory, ReadError};
use crate::base::num::{Avma, Bias, Svma};

/// The most relocations that are applied. Each takes 16 bytes here; a very large Go program has about a million.
const MAX_RELOCATIONS: usize = 8 << 20;

/// The size of an `Elf64_Rela`: offset, info, addend.
const RELA_SIZE: usize = 24;
/// The size of an `Elf64_Sym`, and where its value is.
const SYM_SIZE: u64 = 24;
const SYM_VALUE: usize = 8;

/// The memory of a process right after its program was loaded: the file's segments, zeroes after them, and
/// every relocation that needs no other file applied.
///
/// Lets everything that reads a live process run on a file, without one.
#[derive(Clone, Debug)]
pub struct FileMemory<'d> {
    elf: Elf<'d>,
    bias: Bias,
    /// Relocated words, ascending by address.
    relocations: Vec<(u64, u64)>,
}

impl<'d> FileMemory<'d> {
    /// The memory of `elf` loaded at `bias`.
    pub fn new(elf: &Elf<'d>, bias: Bias) -> Self {
        let mut relocations = Relocations::new(elf).collect(elf);
        relocations.sort_unstable_by_key(|&(at, _)| at);
        for (_, value) in &mut relocations {
            *value = bias.to_avma(Svma(*value)).0;
        }
        Self { elf: elf.clone(), bias, relocations }
    }

    /// The segment that holds all `len` bytes at `at`, and how far `at` lies into it.
    fn segment(&self, at: Svma, len: usize) -> Option<(&Segment, u64)> {
        self.elf.segments.iter().find_map(|segment| {
            let offset = at.offset_from(segment.svma)?;
            let end = offset.checked_add(len as u64)?;
            (end <= segment.mem_size).then_some((segment, offset))
        })
    }

    /// Copies the file's part of a range and fills the rest with zeroes.
    fn copy(&self, segment: &Segment, offset: u64, buf: &mut [u8]) {
        let source = bytes::range(self.elf.data, segment.file_offset.0, segment.file_size)
            .and_then(|part| bytes::tail(part, offset))
            .unwrap_or_default();
        let (filled, zeroes) = buf.split_at_mut(source.len().min(buf.len()));
        filled.copy_from_slice(source.get(..filled.len()).unwrap_or_default());
        zeroes.fill(0);
    }

    /// Puts every relocated word that overlaps `buf`, which was read at `at`, into it.
    fn relocate(&self, at: Svma, buf: &mut [u8]) {
        let first = self.relocations.partition_point(|&(place, _)| place.saturating_add(8) <= at.0);
        for &(place, value) in self.relocations.get(first..).unwrap_or_default() {
            if place >= at.0.saturating_add(buf.len() as u64) {
                return;
            }
            for (place, byte) in (place..).zip(value.to_le_bytes()) {
                let slot = place.checked_sub(at.0).and_then(|index| usize::try_from(index).ok());
                if let Some(slot) = slot.and_then(|index| buf.get_mut(index)) {
                    *slot = byte;
                }
            }
        }
    }
}

impl Memory for FileMemory<'_> {
    fn read(&self, at: Avma, buf: &mut [u8]) -> Result<(), ReadError> {
        let stated = self.bias.to_svma(at);
        let (segment, offset) =
            self.segment(stated, buf.len()).ok_or(ReadError::Unmapped { at, len: buf.len() })?;
        self.copy(segment, offset, buf);
        self.relocate(stated, buf);
        Ok(())
    }
}

/// Where the dynamic section says that the relocations are.
#[derive(Default)]
struct Relocations<'d> {
    rela: &'d [u8],
    relr: &'d [u8],
    symbols: &'d [u8],
}

impl<'d> Relocations<'d> {
    fn new(elf: &Elf<'d>) -> Self {
        let value = |wanted| elf.dynamic(wanted);
        let table = |at, size| -> Option<&'d [u8]> {
            let all = elf.bytes_from(Svma(value(at)?))?;
            Some(bytes::range(all, 0, value(size)?).unwrap_or(all))
        };
        Self {
            rela: table(7, 8).unwrap_or_default(),
            relr: table(36, 35).unwrap_or_default(),
            symbols: value(6).and_then(|at| elf.bytes_from(Svma(at))).unwrap_or_default(),
        }
    }

    /// Every relocated place with the stated address that it holds.
    fn collect(&self, elf: &Elf<'d>) -> Vec<(u64, u64)> {
        let mut out: Vec<_> = self
            .rela
            .chunks_exact(RELA_SIZE)
            .take(MAX_RELOCATIONS)
            .filter_map(|entry| self.rela_entry(elf.arch, entry))
            .collect();
        self.packed(elf, &mut out);
        out
    }

    /// A relocation with an addend: relative to where the file is loaded, or to a symbol that it defines.
    fn rela_entry(&self, arch: Arch, entry: &[u8]) -> Option<(u64, u64)> {
        let place = bytes::u64_at(entry, 0)?;
        let info = bytes::u64_at(entry, 8)?;
        let addend = bytes::u64_at(entry, 16)?;
        // R_X86_64_{RELATIVE, 64, GLOB_DAT} and R_AARCH64_{RELATIVE, ABS64, GLOB_DAT}.
        let (relative, of_symbol) = match arch {
            Arch::Amd64 => (8, [1, 6]),
            Arch::Arm64 => (1027, [257, 1025]),
        };
        let kind = info & 0xffff_ffff;
        if kind == relative {
            return Some((place, addend));
        }
        if !of_symbol.contains(&kind) {
            return None;
        }
        let symbol = bytes::range(self.symbols, (info >> 32).checked_mul(SYM_SIZE)?, SYM_SIZE)?;
        let value = bytes::u64_at(symbol, SYM_VALUE).filter(|&value| value != 0)?;
        Some((place, value.wrapping_add(addend)))
    }

    /// The packed relative relocations of `DT_RELR`: an even word is a place, an odd one a map of the 63
    /// words after the last place.
    fn packed(&self, elf: &Elf<'d>, out: &mut Vec<(u64, u64)>) {
        let mut next = 0_u64;
        for word in self.relr.chunks_exact(8).filter_map(|word| bytes::u64_at(word, 0)) {
            let (places, after) = if word & 1 == 0 {
                (vec![word], word.wrapping_add(8))
            } else {
                let set = (1..64).filter(|bit| word >> bit & 1 == 1);
                (set.map(|bit| next.wrapping_add(8 * (bit - 1))).collect(), next.wrapping_add(8 * 63))
            };
            next = after;
            for place in places {
                let value = elf.bytes_from(Svma(place)).and_then(|bytes| bytes::u64_at(bytes, 0));
                out.extend(value.map(|value| (place, value)));
            }
            if out.len() >= MAX_RELOCATIONS {
                return;
            }
        }
    }
}
