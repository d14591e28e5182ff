//! From stated addresses to functions, files and lines, with inlined calls, by DWARF alone.

use super::{DebugInfo, DwarfError, Entry, Slice, Unit, Units};
use crate::base::hash::KeyedMap;
use crate::base::num::Svma;

/// The most pieces of one entry, and the most pieces, scopes and lines of a file, that are kept.
const MAX_RANGES: usize = 4096;
const MAX_KEPT: usize = 16 << 20;

/// One call, physical or inlined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DwarfFrame<'a> {
    /// The function's name.
    pub function: &'a str,
    /// The path of the source file, empty if it is unknown.
    pub file: String,
    /// The line in it, 0 if it is unknown.
    pub line: u32,
    /// Whether the call was inlined into the frame that follows.
    pub inlined: bool,
}

/// A range of addresses with what it belongs to.
#[derive(Clone, Copy, Debug)]
struct Piece<T> {
    start: u64,
    end: u64,
    of: T,
}

impl<T> Piece<T> {
    const fn contains(&self, at: u64) -> bool {
        self.start <= at && at < self.end
    }
}

/// A function, or a call inlined into one.
#[derive(Clone, Copy, Debug)]
struct Scope<'a> {
    depth: isize,
    name: &'a str,
    /// Where it is called, for an inlined call: an index of the unit's files, and a line.
    call: Option<(u64, u32)>,
}

/// A function, and which of the unit's scopes were inlined into it.
#[derive(Clone, Debug)]
struct FunctionScope<'a> {
    scope: Scope<'a>,
    inlined: std::ops::Range<usize>,
}

/// What one unit says.
#[derive(Debug, Default)]
struct UnitTables<'a> {
    /// Ascending by address.
    functions: Vec<Piece<FunctionScope<'a>>>,
    /// The inlined calls, those of each function together.
    inlined: Vec<Piece<Scope<'a>>>,
    /// Ascending by address; a file of `None` ends a sequence.
    rows: Vec<(u64, Option<u64>, u32)>,
    files: Vec<String>,
}

/// Looks addresses up. Reads a unit when the first address in it is asked for, and keeps what it read.
pub struct DwarfLines<'a> {
    units: Units<'a>,
    /// Which unit each address belongs to, ascending.
    pieces: Vec<Piece<usize>>,
    tables: KeyedMap<usize, UnitTables<'a>>,
    kept: usize,
}

impl std::fmt::Debug for DwarfLines<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DwarfLines").field("units", &self.units.headers.len()).finish_non_exhaustive()
    }
}

impl<'a> DwarfLines<'a> {
    /// Reads which unit covers what.
    pub fn new(info: &'a DebugInfo<'_>) -> Result<Self, DwarfError> {
        let units = Units::new(info)?;
        let mut pieces = Vec::new();
        for (index, header) in units.headers.iter().enumerate() {
            let unit = units.dwarf.unit(*header)?;
            let mut entries = unit.entries();
            if let Some(root) = entries.next_dfs()? {
                let room = MAX_KEPT.saturating_sub(pieces.len());
                pieces.extend(ranges(&units, &unit, root)?.map(|piece| piece.with(index)).take(room));
            }
        }
        pieces.sort_by_key(|piece| piece.start);
        Ok(Self { units, pieces, tables: KeyedMap::default(), kept: 0 })
    }

    /// The frames of the instruction at `at`, the innermost first; empty if no function is known to be there.
    pub fn frames(&mut self, at: Svma) -> Result<Vec<DwarfFrame<'a>>, DwarfError> {
        let after = self.pieces.partition_point(|piece| piece.start <= at.0);
        let nearest = after.checked_sub(1).and_then(|index| self.pieces.get(index));
        let Some(unit) = nearest.filter(|piece| piece.contains(at.0)).map(|piece| piece.of) else {
            return Ok(Vec::new());
        };
        if !self.tables.contains_key(&unit) {
            let tables = self.read(unit)?;
            self.kept += tables.functions.len() + tables.inlined.len() + tables.rows.len();
            self.tables.insert(unit, tables);
        }
        Ok(self.tables.get(&unit).map(|tables| tables.frames(at.0)).unwrap_or_default())
    }

    /// Reads the functions and lines of a unit.
    fn read(&self, index: usize) -> Result<UnitTables<'a>, DwarfError> {
        let Some(header) = self.units.headers.get(index) else { return Ok(UnitTables::default()) };
        let unit = self.units.dwarf.unit(*header)?;
        let mut tables = UnitTables::default();
        let room = MAX_KEPT.saturating_sub(self.kept);
        self.read_scopes(&unit, &mut tables, room)?;
        self.read_lines(&unit, &mut tables, room)?;
        Ok(tables)
    }

    fn read_scopes(
        &self,
        unit: &Unit<'a>,
        tables: &mut UnitTables<'a>,
        room: usize,
    ) -> Result<(), DwarfError> {
        let mut entries = unit.entries();
        while let Some(entry) = entries.next_dfs()? {
            let is_inlined = entry.tag() == gimli::DW_TAG_inlined_subroutine;
            if is_inlined || entry.tag() == gimli::DW_TAG_subprogram {
                let room = room.saturating_sub(tables.inlined.len() + tables.functions.len());
                let pieces = ranges(&self.units, unit, entry)?.take(room);
                tables.add(pieces, self.scope(unit, entry, is_inlined));
            }
        }
        tables.functions.sort_by_key(|piece| piece.start);
        Ok(())
    }

    fn scope(&self, unit: &Unit<'a>, entry: &Entry<'a>, is_inlined: bool) -> Scope<'a> {
        let line = entry.attr_value(gimli::DW_AT_call_line).and_then(|value| value.udata_value());
        let line = line.and_then(|line| u32::try_from(line).ok());
        let file = entry.attr_value(gimli::DW_AT_call_file).and_then(file_index);
        Scope {
            depth: entry.depth(),
            name: self.units.name(unit, entry).unwrap_or("?"),
            call: is_inlined.then_some((file.unwrap_or(0), line.unwrap_or(0))),
        }
    }

    fn read_lines(
        &self,
        unit: &Unit<'a>,
        tables: &mut UnitTables<'a>,
        room: usize,
    ) -> Result<(), DwarfError> {
        let Some(program) = unit.line_program.clone() else { return Ok(()) };
        tables.files = self.files(unit, program.header());
        let mut rows = program.rows();
        while let Some((_, row)) = rows.next_row()? {
            if tables.rows.len() >= room {
                break;
            }
            let file = (!row.end_sequence()).then_some(row.file_index());
            let line = row.line().and_then(|line| u32::try_from(line.get()).ok());
            tables.rows.push((row.address(), file, line.unwrap_or(0)));
        }
        // Stable: of several rows for an address the last one is meant.
        tables.rows.sort_by_key(|&(address, ..)| address);
        Ok(())
    }

    /// The paths of a unit's files, in the order of their indices.
    fn files(&self, unit: &Unit<'a>, header: &gimli::LineProgramHeader<Slice<'a>>) -> Vec<String> {
        let first = u64::from(header.version() < 5);
        let count = header.file_names().len() as u64 + first;
        (0..count).map(|index| self.file(unit, header, index).unwrap_or_default()).collect()
    }

    fn file(
        &self,
        unit: &Unit<'a>,
        header: &gimli::LineProgramHeader<Slice<'a>>,
        index: u64,
    ) -> Option<String> {
        let file = header.file(index)?;
        let name = self.units.text(unit, file.path_name())?;
        let directory = file.directory(header).and_then(|value| self.units.text(unit, value));
        // Go puts whole paths, and trimmed ones without a leading slash, into directory 0 or none.
        match directory.filter(|directory| file.directory_index() != 0 && !directory.is_empty()) {
            Some(directory) if !name.starts_with('/') => Some(format!("{directory}/{name}")),
            Some(_) | None => Some(name.to_owned()),
        }
    }
}

impl<'a> UnitTables<'a> {
    /// Takes in a function, or a call that was inlined into the last one.
    fn add(&mut self, pieces: impl Iterator<Item = Piece<()>>, scope: Scope<'a>) {
        let next = self.inlined.len();
        if scope.call.is_none() {
            let function = FunctionScope { scope, inlined: next..next };
            self.functions.extend(pieces.map(|piece| piece.with(function.clone())));
            return;
        }
        self.inlined.extend(pieces.map(|piece| piece.with(scope)));
        let next = self.inlined.len();
        // A function in several pieces is there several times, each with the same calls.
        let Some(last) = self.functions.last().map(|piece| piece.of.inlined.start) else { return };
        for piece in self.functions.iter_mut().rev().take_while(|piece| piece.of.inlined.start == last) {
            piece.of.inlined.end = next;
        }
    }

    fn frames(&self, at: u64) -> Vec<DwarfFrame<'a>> {
        let after = self.functions.partition_point(|piece| piece.start <= at);
        let nearest = after.checked_sub(1).and_then(|index| self.functions.get(index));
        let Some(function) = nearest.filter(|piece| piece.contains(at)).map(|piece| &piece.of) else {
            return Vec::new();
        };
        let inlined = self.inlined.get(function.inlined.clone()).unwrap_or_default();
        let mut scopes: Vec<_> =
            inlined.iter().filter(|piece| piece.contains(at)).map(|piece| piece.of).collect();
        scopes.sort_by_key(|scope| std::cmp::Reverse(scope.depth));
        scopes.push(function.scope);
        let mut place = self.row(at).unwrap_or_default();
        let frame = |scope: Scope<'a>| {
            let (file, line) = std::mem::replace(&mut place, scope.call.unwrap_or_default());
            let file = usize::try_from(file).ok().and_then(|file| self.files.get(file));
            let inlined = scope.call.is_some();
            DwarfFrame { function: scope.name, file: file.cloned().unwrap_or_default(), line, inlined }
        };
        scopes.into_iter().map(frame).collect()
    }

    /// The file and line of the last row at or before `at`.
    fn row(&self, at: u64) -> Option<(u64, u32)> {
        let after = self.rows.partition_point(|&(address, ..)| address <= at);
        let (_, file, line) = *self.rows.get(after.checked_sub(1)?)?;
        Some((file?, line))
    }
}

impl Piece<()> {
    fn with<T>(self, of: T) -> Piece<T> {
        Piece { start: self.start, end: self.end, of }
    }
}

const fn file_index(value: gimli::AttributeValue<Slice<'_>>) -> Option<u64> {
    match value {
        gimli::AttributeValue::FileIndex(index) | gimli::AttributeValue::Udata(index) => Some(index),
        _ => None,
    }
}

/// The address ranges of an entry. Not gimli's own, whose sum of an address and a size may overflow.
fn ranges<'a>(
    units: &Units<'a>,
    unit: &Unit<'a>,
    entry: &Entry<'a>,
) -> Result<impl Iterator<Item = Piece<()>>, DwarfError> {
    let mut out = Vec::new();
    if let Some(value) = entry.attr_value(gimli::DW_AT_ranges) {
        let mut list = units.dwarf.attr_ranges(unit, value)?;
        while let Some(range) = list.as_mut().map(gimli::RngListIter::next).transpose()?.flatten() {
            if out.len() >= MAX_RANGES {
                break;
            }
            out.push(Piece { start: range.begin, end: range.end, of: () });
        }
    } else {
        out.extend(low_and_high(units, unit, entry)?);
    }
    Ok(out.into_iter().filter(|piece| piece.start < piece.end))
}

fn low_and_high<'a>(
    units: &Units<'a>,
    unit: &Unit<'a>,
    entry: &Entry<'a>,
) -> Result<Option<Piece<()>>, DwarfError> {
    let address = |value| units.dwarf.attr_address(unit, value);
    let low = entry.attr_value(gimli::DW_AT_low_pc).map(address).transpose()?.flatten();
    let (Some(start), Some(high)) = (low, entry.attr_value(gimli::DW_AT_high_pc)) else { return Ok(None) };
    let end = match high.udata_value() {
        Some(size) => start.checked_add(size),
        None => address(high)?,
    };
    Ok(end.map(|end| Piece { start, end, of: () }))
}
