//! The table of functions, lines and inline trees that every Go program carries: `pclntab`, of Go 1.18 on.
//!
//! Everything is read in place. Nothing is copied or indexed, because a pclntab of 144 MB exists: a look-up is
//! a binary search over the sorted function table and a walk over one function's few bytes of varints. Every
//! offset is checked where it is used, so a corrupt table gives `None` and never a panic or a long loop.
//!
//! Addresses here are [`TextOffset`]s: where the text begins is the business of
//! [`moduledata`](crate::go::moduledata), since the header does not say so from Go 1.26 on.
//!
//! Sources: Go `src/cmd/link/internal/ld/pcln.go` (`writePCHeader`, `generateFunctab`) and
//! `src/runtime/symtab.go` (`pcHeader`, `findfunc`, `pcvalue`), releases 1.18 to 1.27.

mod find;
mod func_id;
mod function;
mod inline;
#[cfg(test)]
pub(crate) mod table_builder;
#[cfg(test)]
mod tests;
mod values;

use std::fmt;

use thiserror::Error;

pub use self::func_id::FuncId;
use self::func_id::FuncIds;
pub use self::function::{Function, FunctionFlags, SourceLine};
pub use self::inline::InlinedCall;
pub use self::values::{PcRange, PcValues};
use crate::base::bytes;

/// The magic of Go 1.18 and 1.19 (`abi.Go118PCLnTabMagic`).
const MAGIC_1_18: u32 = 0xffff_fff0;
/// The magic of Go 1.20 and later (`abi.Go120PCLnTabMagic`).
const MAGIC_1_20: u32 = 0xffff_fff1;
/// The magics of Go 1.2 to 1.15 and of 1.16 to 1.17.
const OLD_MAGICS: [u32; 2] = [0xffff_fffb, 0xffff_fffa];
/// The part of the header that every supported release has. Go 1.26 dropped what followed.
const HEADER_SIZE: usize = 72;
/// The size of a function table entry: offset of the code, offset of the record.
const ENTRY_SIZE: usize = 8;

/// Why there is no function table that can be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PclntabError {
    /// Nothing in the file looks like a function table.
    #[error("the file has no Go function table")]
    NotFound,
    /// The header does not fit.
    #[error("a function table header of {HEADER_SIZE} bytes does not fit into {len}")]
    Truncated {
        /// How many bytes there are.
        len: usize,
    },
    /// The table is of a release before Go 1.18.
    #[error("the function table with magic {magic:#x} was written by a Go release older than 1.18")]
    TooOld {
        /// The magic.
        magic: u32,
    },
    /// The table has a magic that no known release writes. Obfuscators do that.
    #[error(
        "the function table has the unknown magic number {magic:#x}: it is obfuscated, or of an unknown Go release"
    )]
    UnknownMagic {
        /// The magic.
        magic: u32,
    },
    /// The header's instruction size or pointer size is not one of a supported architecture.
    #[error("the function table is for instructions of {quantum} and pointers of {pointer} bytes")]
    WrongShape {
        /// The smallest instruction.
        quantum: u8,
        /// The size of a pointer.
        pointer: u8,
    },
    /// One of the tables that the header names begins before the one ahead of it, or after the end.
    #[error("the function table's {table} table at {offset:#x} lies outside its {len:#x} bytes")]
    Misplaced {
        /// Which.
        table: &'static str,
        /// Where it would begin.
        offset: u64,
        /// How many bytes there are.
        len: usize,
    },
    /// The function table is cut off.
    #[error("{count} functions do not fit into the {len} bytes of their table")]
    TooManyFunctions {
        /// How many functions the header states.
        count: u64,
        /// How many bytes there are for them.
        len: usize,
    },
}

/// The distance in bytes of an instruction from the start of the module's text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TextOffset(pub u64);

impl TextOffset {
    /// The offset `bytes` further on; wraps as the machine does.
    #[must_use]
    pub const fn plus(self, bytes: u64) -> Self {
        Self(self.0.wrapping_add(bytes))
    }
}

impl fmt::Debug for TextOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TextOffset({:#x})", self.0)
    }
}

impl fmt::Display for TextOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "text+{:#x}", self.0)
    }
}

/// How the records of a table are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// Go 1.18 and 1.19: no start lines, inline records of 20 bytes.
    Go118,
    /// Go 1.20 and later: start lines, inline records of 16 bytes.
    Go120,
}

/// The offsets that the header holds: where each table begins, measured from the header.
///
/// A copy of them is in the module data, as slices, which is how that is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableOffsets {
    /// The function names.
    pub names: u64,
    /// The file indices of each compilation unit.
    pub units: u64,
    /// The file names.
    pub files: u64,
    /// The pc-value tables.
    pub values: u64,
    /// The function table and records.
    pub functions: u64,
}

impl TableOffsets {
    fn read(header: &[u8]) -> Option<Self> {
        Some(Self {
            names: bytes::u64_at(header, 32)?,
            units: bytes::u64_at(header, 40)?,
            files: bytes::u64_at(header, 48)?,
            values: bytes::u64_at(header, 56)?,
            functions: bytes::u64_at(header, 64)?,
        })
    }

    /// Each with its name, in the order in which they lie in memory.
    const fn named(&self) -> [(&'static str, u64); 5] {
        [
            ("name", self.names),
            ("unit", self.units),
            ("file", self.files),
            ("pc-value", self.values),
            ("function", self.functions),
        ]
    }
}

/// A module's function table. Small, borrowed from the file, and copied freely.
#[derive(Clone, Copy)]
pub struct Pclntab<'d> {
    format: Format,
    quantum: u8,
    ids: FuncIds,
    offsets: TableOffsets,
    names: &'d [u8],
    units: &'d [u8],
    files: &'d [u8],
    values: &'d [u8],
    /// The sorted entries, and the records behind them.
    functions: &'d [u8],
    count: usize,
}

impl fmt::Debug for Pclntab<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pclntab")
            .field("format", &self.format)
            .field("functions", &self.count)
            .field("offsets", &self.offsets)
            .finish_non_exhaustive()
    }
}

impl<'d> Pclntab<'d> {
    /// Reads the table whose header `data` begins with. What follows the table may be anything.
    pub fn parse(data: &'d [u8]) -> Result<Self, PclntabError> {
        let mut table = Self::parse_header(data)?;
        table.ids = FuncIds::learn(&table);
        Ok(table)
    }

    /// Reads the header only: everything but the numbering of the special functions.
    fn parse_header(data: &'d [u8]) -> Result<Self, PclntabError> {
        let len = data.len();
        let truncated = PclntabError::Truncated { len };
        let header = data.get(..HEADER_SIZE).ok_or(truncated.clone())?;
        let format = format_of(bytes::u32_at(header, 0).ok_or(truncated.clone())?)?;
        let quantum = check_shape(header)?;
        let count = bytes::u64_at(header, 8).ok_or(truncated.clone())?;
        let offsets = TableOffsets::read(header).ok_or(truncated)?;
        let [names, units, files, values, functions] = split(data, &offsets)?;
        let too_many = PclntabError::TooManyFunctions { count, len: functions.len() };
        let count = usize::try_from(count).map_err(|_| too_many.clone())?;
        // The table ends with an entry for the end of the last function, without a record.
        let needed = count.checked_mul(ENTRY_SIZE).and_then(|size| size.checked_add(4));
        if needed.is_none_or(|needed| needed > functions.len()) {
            return Err(too_many);
        }
        let ids = FuncIds::default();
        Ok(Self { format, quantum, ids, offsets, names, units, files, values, functions, count })
    }

    /// How many functions there are.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no function at all.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Where the tables begin, measured from the header.
    pub const fn offsets(&self) -> TableOffsets {
        self.offsets
    }

    /// The smallest distance between two instructions.
    pub(crate) const fn quantum(&self) -> u8 {
        self.quantum
    }

    /// The size of a record of an inline tree.
    const fn inline_record_size(&self) -> usize {
        match self.format {
            Format::Go118 => 20,
            Format::Go120 => 16,
        }
    }

    /// Where the `index`th function begins; the end of the text for the one after the last.
    fn entry(&self, index: usize) -> Option<u32> {
        bytes::u32_at(self.functions, index.checked_mul(ENTRY_SIZE)?)
    }

    /// The `index`th function in the order of addresses.
    pub(crate) fn function(&self, index: usize) -> Option<Function<'d>> {
        Some(Function::new(self, self.record(index)?, self.entry(index)?, self.entry(index + 1)?))
    }

    /// The record of the `index`th function, with all that follows it.
    fn record(&self, index: usize) -> Option<&'d [u8]> {
        if index >= self.count {
            return None;
        }
        let record = bytes::u32_at(self.functions, index.checked_mul(ENTRY_SIZE)? + 4)?;
        bytes::tail(self.functions, record.into())
    }

    /// All functions in the order of addresses.
    pub fn functions(&self) -> impl Iterator<Item = Function<'d>> + use<'d> {
        let table = *self;
        (0..table.count).filter_map(move |index| table.function(index))
    }

    /// Which functions have a name that `is_wanted`, in the order of addresses. It is handed all names from that of a
    /// function on: to compare at the place takes far less than to look for the end of each, of which there may be a
    /// million.
    pub(crate) fn named(&self, is_wanted: impl Fn(&[u8]) -> bool) -> impl Iterator<Item = usize> {
        (0..self.count).filter(move |&index| {
            let name = self.record(index).and_then(|record| self.name_of(record));
            name.is_some_and(&is_wanted)
        })
    }

    /// The function that holds the instruction at `at`.
    pub fn function_at(&self, at: TextOffset) -> Option<Function<'d>> {
        let wanted = u32::try_from(at.0).ok()?;
        let (mut below, mut above) = (0, self.count);
        while below < above {
            let middle = usize::midpoint(below, above);
            if self.entry(middle)? <= wanted { below = middle + 1 } else { above = middle }
        }
        // Entries before `below` begin at or before `wanted`, so the last of them is its function.
        let function = self.function(below.checked_sub(1)?)?;
        (at < function.end()).then_some(function)
    }

    /// The function called `name`: the real one, and a wrapper between calling conventions only if there is
    /// nothing else.
    pub fn function_named(&self, name: &str) -> Option<Function<'d>> {
        let mut wrapper = None;
        let named = self.named(|found| bytes::is_c_str(found, name));
        for function in named.filter_map(|index| self.function(index)) {
            if function.id() != FuncId::Wrapper {
                return Some(function);
            }
            wrapper = wrapper.or(Some(function));
        }
        wrapper
    }
}

fn format_of(magic: u32) -> Result<Format, PclntabError> {
    match magic {
        MAGIC_1_18 => Ok(Format::Go118),
        MAGIC_1_20 => Ok(Format::Go120),
        magic if OLD_MAGICS.contains(&magic) => Err(PclntabError::TooOld { magic }),
        magic => Err(PclntabError::UnknownMagic { magic }),
    }
}

/// Checks bytes 4 to 7 of the header, and gives the smallest instruction's size.
fn check_shape(header: &[u8]) -> Result<u8, PclntabError> {
    match bytes::array(header, 4).unwrap_or_default() {
        [0, 0, quantum @ (1 | 4), 8] => Ok(quantum),
        [_, _, quantum, pointer] => Err(PclntabError::WrongShape { quantum, pointer }),
    }
}

/// Cuts the data into its five tables: each ends where the next begins.
fn split<'d>(data: &'d [u8], offsets: &TableOffsets) -> Result<[&'d [u8]; 5], PclntabError> {
    let len = data.len();
    let named = offsets.named();
    let mut out = [&data[..0]; 5];
    for (index, (table, offset)) in named.into_iter().enumerate() {
        let end = named.get(index + 1).map_or(len as u64, |&(_, next)| next);
        let slice = end.checked_sub(offset).and_then(|size| bytes::range(data, offset, size));
        out[index] = slice.ok_or(PclntabError::Misplaced { table, offset, len })?;
    }
    Ok(out)
}
