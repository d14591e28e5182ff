//! One function's record: what it is called, where it is, and its tables.
//!
//! Source: Go `src/runtime/runtime2.go` (`_func`), go1.19 (no start line, 40 bytes) and go1.20 to go1.27
//! (44 bytes); `src/runtime/symtab.go` (`funcname`, `funcline1`, `funcdata`, `pcdatavalue`).

use std::fmt;

use super::{Format, FuncId, PcRange, PcValues, Pclntab, TextOffset};
use crate::base::bytes;
use crate::go::facts::same::{FUNCDATA_INLINE_TREE, PCDATA_INLINE_INDEX};

/// The longest function or file name that is believed, in bytes. Instances of generics have names of some KB.
const MAX_NAME: usize = 64 << 10;
/// What is shown for a name that the table does not have, as in Go's own tracebacks.
const UNKNOWN: &str = "?";

/// A line of source code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceLine<'d> {
    /// The path of the file as the compiler recorded it.
    pub file: &'d str,
    /// The line, from 1 on.
    pub line: u32,
}

/// What a function's flag byte says (`abi.FuncFlag`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionFlags(u8);

impl FunctionFlags {
    /// Whether it is the outermost frame of its stack, where unwinding stops.
    pub(crate) const fn is_top_frame(self) -> bool {
        self.0 & 1 != 0
    }

    /// Whether it writes to the stack pointer in ways that its table does not describe.
    pub(crate) const fn writes_sp(self) -> bool {
        self.0 & 2 != 0
    }

    /// Whether it is written in assembly.
    pub(crate) const fn is_assembly(self) -> bool {
        self.0 & 4 != 0
    }
}

/// A function of a [`Pclntab`].
#[derive(Clone, Copy)]
pub struct Function<'d> {
    table: Pclntab<'d>,
    record: &'d [u8],
    entry: u32,
    end: u32,
}

impl fmt::Debug for Function<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}..{:?}", self.name(), self.entry(), self.end())
    }
}

impl PartialEq for Function<'_> {
    fn eq(&self, other: &Self) -> bool {
        (self.entry, self.end) == (other.entry, other.end) && std::ptr::eq(self.record, other.record)
    }
}

impl Eq for Function<'_> {}

impl<'d> Function<'d> {
    pub(super) const fn new(table: &Pclntab<'d>, record: &'d [u8], entry: u32, end: u32) -> Self {
        Self { table: *table, record, entry, end }
    }

    /// The `index`th 32-bit word of the record's fixed part.
    fn word(&self, index: usize) -> Option<u32> {
        bytes::u32_at(self.record, index * 4)
    }

    /// Where the last word of the fixed part begins.
    const fn tail(&self) -> usize {
        self.table.format.tail()
    }

    /// Its name as the linker recorded it. For people, see [`display_name`](crate::go::symbolize::display_name).
    pub fn name(&self) -> &'d str {
        self.word(1).map_or(UNKNOWN, |offset| self.table.name(offset))
    }

    /// Whether its name is `name`; much cheaper than comparing with [`Self::name`].
    pub(crate) fn is_named(&self, name: &str) -> bool {
        self.table.name_of(self.record).is_some_and(|found| bytes::is_c_str(found, name))
    }

    /// Its first instruction.
    pub const fn entry(&self) -> TextOffset {
        TextOffset(self.entry as u64)
    }

    /// Where the next function begins; there may be padding before it.
    pub const fn end(&self) -> TextOffset {
        TextOffset(self.end as u64)
    }

    /// Whether the instruction at `at` is this function's.
    pub fn contains(&self, at: TextOffset) -> bool {
        self.entry() <= at && at < self.end()
    }

    /// Whether it is special to the runtime, and how.
    pub fn id(&self) -> FuncId {
        self.table.ids.get(self.raw_id())
    }

    /// The special number as this release counts it.
    fn raw_id(&self) -> u8 {
        bytes::u8_at(self.record, self.tail()).unwrap_or(0)
    }

    /// Its flags.
    pub fn flags(&self) -> FunctionFlags {
        FunctionFlags(bytes::u8_at(self.record, self.tail() + 1).unwrap_or(0))
    }

    /// The size of its arguments and results on the stack, if it is known and fixed.
    pub fn argument_size(&self) -> Option<u32> {
        // `abi.ArgsSizeUnknown`: assembly and C functions with a variable number.
        self.word(2).filter(|&size| size < 1 << 31)
    }

    /// The instruction after its call of `runtime.deferreturn`, if it has deferred calls.
    pub fn deferreturn(&self) -> Option<TextOffset> {
        let offset = self.word(3).filter(|&offset| offset != 0)?;
        Some(self.entry().plus(offset.into()))
    }

    /// The line where it begins. Not known before Go 1.20.
    pub fn start_line(&self) -> Option<u32> {
        match self.table.format {
            Format::Go118 => None,
            Format::Go120 => self.word(9),
        }
    }

    /// The pieces of the pc-value table at `offset`; none where there is no table.
    fn values(&self, offset: u32) -> Option<PcValues<'d>> {
        // Nothing is at offset 0, so that 0 can say "no table".
        let table = Some(offset).filter(|&offset| offset != 0)?;
        let bytes = bytes::tail(self.table.values, table.into())?;
        Some(PcValues::new(bytes, self.table.quantum, self.entry(), self.end()))
    }

    /// By how much the stack pointer at `at` is below where it was at entry.
    pub fn stack_delta(&self, at: TextOffset) -> Option<i64> {
        self.values(self.word(4)?)?.value_at(at).map(i64::from)
    }

    /// The stack deltas of all its instructions.
    pub fn stack_deltas(&self) -> impl Iterator<Item = PcRange> + use<'d> {
        self.word(4).and_then(|offset| self.values(offset)).into_iter().flatten()
    }

    /// The file and line of the instruction at `at`, inside an inlined call that call's.
    pub fn line(&self, at: TextOffset) -> Option<SourceLine<'d>> {
        let file = self.values(self.word(5)?)?.value_at(at)?;
        let line = self.values(self.word(6)?)?.value_at(at)?;
        let file = self.table.file(self.word(8)?, u32::try_from(file).ok()?);
        Some(SourceLine { file, line: u32::try_from(line).ok()? })
    }

    /// The value of pc-data table `index` at `at`: -1 where the function has no such table, `None` where `at`
    /// is not in the function or the table is corrupt.
    pub fn pcdata(&self, index: u32, at: TextOffset) -> Option<i32> {
        if !self.contains(at) {
            return None;
        }
        match self.pcdata_table(index) {
            None | Some(0) => Some(-1),
            Some(offset) => self.values(offset)?.value_at(at),
        }
    }

    /// Where pc-data table `index` is, if the function has one.
    fn pcdata_table(&self, index: u32) -> Option<u32> {
        if index >= self.word(7)? {
            return None;
        }
        self.variable_word(index)
    }

    /// The `index`th word after the fixed part: the pc-data offsets, then the function data's.
    fn variable_word(&self, index: u32) -> Option<u32> {
        let skipped = usize::try_from(index).ok()?.checked_mul(4)?;
        bytes::u32_at(self.record, (self.tail() + 4).checked_add(skipped)?)
    }

    /// The offset from `gofunc` of function data `index`, if the function has it.
    pub fn funcdata(&self, index: u8) -> Option<u32> {
        if index >= bytes::u8_at(self.record, self.tail() + 3)? {
            return None;
        }
        let word = self.word(7)?.checked_add(index.into())?;
        self.variable_word(word).filter(|&offset| offset != u32::MAX)
    }

    /// The offset from `gofunc` of the inline tree, if anything was inlined into the function.
    pub fn inline_tree(&self) -> Option<u32> {
        self.funcdata(FUNCDATA_INLINE_TREE)
    }

    /// For all its instructions the record of the inline tree that they belong to, -1 for none.
    pub(crate) fn inline_indices(&self) -> impl Iterator<Item = PcRange> + use<'d> {
        self.pcdata_table(PCDATA_INLINE_INDEX).and_then(|offset| self.values(offset)).into_iter().flatten()
    }

    /// Which record of the inline tree the instruction at `at` belongs to, if it was inlined.
    pub fn inline_index(&self, at: TextOffset) -> Option<u32> {
        u32::try_from(self.pcdata(PCDATA_INLINE_INDEX, at)?).ok()
    }
}

impl Format {
    /// Where the last word of a record's fixed part begins: function id, flags, a pad, number of function data.
    const fn tail(self) -> usize {
        match self {
            Self::Go118 => 36,
            Self::Go120 => 40,
        }
    }
}

impl<'d> Pclntab<'d> {
    /// The special number of the `index`th function, as this release counts it.
    pub(super) fn raw_id(&self, index: usize) -> u8 {
        let number = self.record(index).and_then(|record| bytes::u8_at(record, self.format.tail()));
        number.unwrap_or(0)
    }

    /// All names from that of the function with this record on.
    pub(super) fn name_of(&self, record: &[u8]) -> Option<&'d [u8]> {
        bytes::tail(self.names, bytes::u32_at(record, 4)?.into())
    }

    /// The name at `offset` of the name table.
    pub(super) fn name(&self, offset: u32) -> &'d str {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        bytes::c_str_at(self.names, offset, MAX_NAME).unwrap_or(UNKNOWN)
    }

    /// The `index`th file of the compilation unit whose indices begin at `unit`.
    fn file(&self, unit: u32, index: u32) -> &'d str {
        let slot = u64::from(unit) + u64::from(index);
        let offset = bytes::range(self.units, slot * 4, 4).and_then(|word| bytes::u32_at(word, 0));
        offset
            .and_then(|offset| usize::try_from(offset).ok())
            .and_then(|offset| bytes::c_str_at(self.files, offset, MAX_NAME))
            .unwrap_or(UNKNOWN)
    }
}
