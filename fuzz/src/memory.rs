//! Memory that lies.

use std::cell::Cell;

use leaktrace_core::binary::elf::{Elf, FileMemory, Segment};
use leaktrace_core::base::memory::{Memory, ReadError};
use leaktrace_core::base::num::{Avma, Bias};

/// A file's memory, some reads of which are changed: each piece of the input is two bytes for how many reads to let
/// through, one for where in what was read, and eight that are put there.
pub(crate) struct Changed<'d> {
    file: FileMemory<'d>,
    changes: Vec<(u64, usize, [u8; 8])>,
    reads: Cell<u64>,
}

impl<'d> Changed<'d> {
    pub(crate) fn new(file: FileMemory<'d>, data: &[u8]) -> Self {
        let mut next = 0;
        let pieces = data.as_chunks::<11>().0.iter();
        let changes = pieces.map(|[low, high, offset, bytes @ ..]| {
            next += u64::from(u16::from_le_bytes([*low, *high]));
            (next, usize::from(*offset), *bytes)
        });
        Self { file, changes: changes.collect(), reads: Cell::new(0) }
    }
}

impl Memory for Changed<'_> {
    fn read(&self, at: Avma, buf: &mut [u8]) -> Result<(), ReadError> {
        let number = self.reads.get();
        self.reads.set(number + 1);
        self.file.read(at, buf)?;
        for (_, offset, bytes) in self.changes.iter().filter(|(at, ..)| *at == number) {
            let offset = offset % buf.len().max(1);
            buf.iter_mut().skip(offset).zip(bytes).for_each(|(byte, new)| *byte = *new);
        }
        Ok(())
    }
}

/// Where a program that lies has its heap and its stacks.
const ARENA: u64 = 0xc0_0000_0000;
const ARENA_SIZE: u64 = 16 << 10;

/// A program's memory with its own code and constants; all else are the words of the input over and over again.
pub(crate) struct Hostile<'d> {
    file: FileMemory<'d>,
    segments: Vec<Segment>,
    words: Vec<u64>,
}

impl<'d> Hostile<'d> {
    pub(crate) fn new(elf: &Elf<'d>, data: &[u8]) -> Self {
        let file = FileMemory::new(elf, Bias::ZERO);
        let segments = elf.segments().to_vec();
        let words = data.as_chunks().0.iter().map(|word| meant(u64::from_le_bytes(*word), &segments));
        let words: Vec<u64> = words.collect();
        Self { file, segments, words: if words.is_empty() { vec![0] } else { words } }
    }

    /// Whether the program can write to what is at `at`; `None` where nothing is.
    fn is_writable(&self, at: u64, len: u64) -> Option<bool> {
        if at >= ARENA && at.checked_add(len)? <= ARENA + ARENA_SIZE {
            return Some(true);
        }
        let holds = |segment: &&Segment| {
            at.checked_sub(segment.svma.0)
                .and_then(|offset| offset.checked_add(len))
                .is_some_and(|end| end <= segment.mem_size)
        };
        self.segments.iter().find(holds).map(|segment| segment.writable)
    }
}

impl Memory for Hostile<'_> {
    fn read(&self, at: Avma, buf: &mut [u8]) -> Result<(), ReadError> {
        match self.is_writable(at.0, buf.len() as u64) {
            Some(false) => return self.file.read(at, buf),
            None => return Err(ReadError::Unmapped { at, len: buf.len() }),
            Some(true) => {}
        }
        // Words, of which a read may begin and end within one.
        let words =
            (at.0 / 8..).map(|index| self.words[usize::try_from(index).unwrap_or(0) % self.words.len()]);
        let bytes = words.flat_map(u64::to_le_bytes).skip((at.0 % 8) as usize);
        buf.iter_mut().zip(bytes).for_each(|(byte, new)| *byte = new);
        Ok(())
    }
}

/// Chance seldom makes a pointer: the highest byte says what the others are.
fn meant(word: u64, segments: &[Segment]) -> u64 {
    let low = word & 0xff_ffff;
    let code = segments.iter().find(|segment| !segment.writable && segment.svma.0 > 0);
    match (word >> 56, code) {
        (0..0x40, _) => ARENA + low % ARENA_SIZE,
        (0x40..0x80, Some(code)) => code.svma.0 + low % code.mem_size.max(1),
        (0x80..0xc0, _) => low & 0xff,
        _ => word,
    }
}
