//! Where the first module's data is: by symbol, by section, or by what it points to.

use crate::base::bytes;
use crate::base::memory::{Memory, ReadError};
use crate::base::num::{Avma, Bias};
use crate::binary::elf::{Elf, Segment};
use crate::go::pclntab::TableOffsets;

/// The program's own module data.
const SYMBOL: &str = "runtime.firstmoduledata";
/// The section that holds nothing else, since Go 1.26.
const SECTION: &str = ".go.module";
/// The most places that are given back. Every program tried had exactly one.
const MAX_CANDIDATES: usize = 8;
/// How much memory is read at a time.
const CHUNK: usize = 1 << 20;

/// The places that may be module data of the function table at `pclntab` with tables at `offsets`.
pub(super) fn candidates(
    elf: &Elf<'_>,
    bias: Bias,
    memory: &dyn Memory,
    pclntab: Avma,
    offsets: TableOffsets,
) -> Result<Vec<Avma>, ReadError> {
    let shape = Shape { header: pclntab, offsets };
    let named = [elf.symbol(SYMBOL), elf.section(SECTION).map(|section| section.addr)];
    for at in named.into_iter().flatten().map(|svma| bias.to_avma(svma)) {
        if shape.fits(at, memory)? {
            return Ok(vec![at]);
        }
    }
    let mut found = Vec::new();
    for segment in elf.segments().iter().filter(|segment| segment.writable) {
        shape.scan(segment, bias, memory, &mut found)?;
    }
    Ok(found)
}

/// What the beginning of module data looks like.
struct Shape {
    header: Avma,
    offsets: TableOffsets,
}

impl Shape {
    /// Adds the places in a segment that look like it to `found`.
    fn scan(
        &self,
        segment: &Segment,
        bias: Bias,
        memory: &dyn Memory,
        found: &mut Vec<Avma>,
    ) -> Result<(), ReadError> {
        let start = bias.to_avma(segment.svma).0.next_multiple_of(8);
        let end = bias.to_avma(segment.svma).0.saturating_add(segment.file_size);
        let mut buf = vec![0; CHUNK.min(usize::try_from(end.saturating_sub(start)).unwrap_or(CHUNK))];
        for at in (start..end).step_by(CHUNK) {
            let len = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
            let Some(buf) = buf.get_mut(..len) else { break };
            if readable(memory.read(Avma(at), buf))? {
                self.scan_chunk(Avma(at), buf, memory, found)?;
            }
        }
        Ok(())
    }

    fn scan_chunk(
        &self,
        start: Avma,
        chunk: &[u8],
        memory: &dyn Memory,
        found: &mut Vec<Avma>,
    ) -> Result<(), ReadError> {
        let pointer = self.header.0.to_le_bytes();
        let places = chunk.chunks_exact(8).enumerate().filter(|(_, word)| *word == pointer);
        for at in places.map(|(index, _)| start.plus(index as u64 * 8)) {
            if found.len() < MAX_CANDIDATES && self.fits(at, memory)? {
                found.push(at);
            }
        }
        Ok(())
    }

    /// Whether the pointers to the header and to the five tables in it are at `at`.
    fn fits(&self, at: Avma, memory: &dyn Memory) -> Result<bool, ReadError> {
        // go-runtime: runtime.moduledata.{pcHeader,funcnametab,cutab,filetab,pctab,pclntable} (go1.18..)
        let TableOffsets { names, units, files, values, functions } = self.offsets;
        let wanted = [(0, 0), (8, names), (32, units), (56, files), (80, values), (104, functions)];
        let mut raw = [0; 112];
        Ok(readable(memory.read(at, &mut raw))?
            && wanted
                .iter()
                .all(|&(field, table)| bytes::u64_at(&raw, field) == Some(self.header.plus(table).0)))
    }
}

/// Whether a read succeeded; an error only if all further ones will fail.
fn readable(result: Result<(), ReadError>) -> Result<bool, ReadError> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.is_final() => Err(error),
        Err(_) => Ok(false),
    }
}
