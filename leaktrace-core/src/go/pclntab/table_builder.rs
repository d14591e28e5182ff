//! Writes small function tables, as the linker would, for tests.

use std::iter;

/// A function to write. Pieces are `(length in quanta, value)`, from the function's entry on.
#[derive(Clone, Debug, Default)]
pub(crate) struct FunctionSpec {
    pub(crate) name: &'static str,
    pub(crate) entry: u32,
    pub(crate) raw_id: u8,
    pub(crate) flags: u8,
    pub(crate) start_line: u32,
    pub(crate) stack: Vec<(u32, i32)>,
    pub(crate) files: Vec<(u32, i32)>,
    pub(crate) lines: Vec<(u32, i32)>,
    pub(crate) pcdata: Vec<Vec<(u32, i32)>>,
    pub(crate) funcdata: Vec<u32>,
}

/// A table to write.
#[derive(Clone, Debug, Default)]
pub(crate) struct TableBuilder {
    pub(crate) old: bool,
    pub(crate) quantum: u8,
    pub(crate) functions: Vec<FunctionSpec>,
    pub(crate) end: u32,
    pub(crate) file_names: Vec<&'static str>,
    /// Names that only inline records use.
    pub(crate) more_names: Vec<&'static str>,
}

impl TableBuilder {
    /// The whole table from its header on.
    pub(crate) fn build(&self) -> Vec<u8> {
        let (names, _) = strings(&self.all_names());
        let (files, file_offsets) = strings(&self.file_names);
        let units = file_offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect();
        let (values, functions) = self.functions();
        let tables = [names, units, files, values, functions];
        let mut offset = if self.old { 96 } else { 72 };
        let mut out = Vec::from(if self.old { 0xffff_fff0_u32 } else { 0xffff_fff1 }.to_le_bytes());
        out.extend([0, 0, self.quantum.max(1), 8]);
        out.extend((self.functions.len() as u64).to_le_bytes());
        out.extend((self.file_names.len() as u64).to_le_bytes());
        out.extend(0_u64.to_le_bytes());
        for table in &tables {
            out.extend((offset as u64).to_le_bytes());
            offset += table.len();
        }
        out.resize(if self.old { 96 } else { 72 }, 0);
        out.extend(tables.concat());
        out
    }

    fn all_names(&self) -> Vec<&'static str> {
        self.functions.iter().map(|function| function.name).chain(self.more_names.iter().copied()).collect()
    }

    /// Where `name` is in the name table.
    pub(crate) fn name_offset(&self, name: &str) -> u32 {
        let names = self.all_names();
        let index = names.iter().position(|&candidate| candidate == name).unwrap();
        strings(&names).1[index]
    }

    /// The pc-value tables, and the function table with its records.
    fn functions(&self) -> (Vec<u8>, Vec<u8>) {
        let (mut values, mut records) = (vec![0], Vec::new());
        let table_size = self.functions.len() * 8 + 4;
        let mut entries = Vec::new();
        for function in &self.functions {
            entries.extend(function.entry.to_le_bytes());
            entries.extend(u32::try_from(table_size + records.len()).unwrap().to_le_bytes());
            records.extend(self.record(function, &mut values));
        }
        entries.extend(self.end.to_le_bytes());
        entries.extend(records);
        (values, entries)
    }

    fn record(&self, function: &FunctionSpec, values: &mut Vec<u8>) -> Vec<u8> {
        let mut words = vec![function.entry, self.name_offset(function.name), 0, 0];
        for pieces in [&function.stack, &function.files, &function.lines] {
            words.push(write_values(pieces, values));
        }
        words.extend([u32::try_from(function.pcdata.len()).unwrap(), 0]);
        if !self.old {
            words.push(function.start_line);
        }
        let count = u8::try_from(function.funcdata.len()).unwrap();
        words.push(u32::from_le_bytes([function.raw_id, function.flags, 0, count]));
        words.extend(function.pcdata.iter().map(|pieces| write_values(pieces, values)));
        words.extend(&function.funcdata);
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }
}

/// NUL-terminated strings after each other, with an empty one at offset 0, and where each begins.
fn strings(all: &[&str]) -> (Vec<u8>, Vec<u32>) {
    let mut bytes = vec![0];
    let offsets = all
        .iter()
        .map(|string| {
            let offset = u32::try_from(bytes.len()).unwrap();
            bytes.extend(string.bytes().chain(iter::once(0)));
            offset
        })
        .collect();
    (bytes, offsets)
}

/// Appends a pc-value table, and says where it is; 0 if there is none.
fn write_values(pieces: &[(u32, i32)], values: &mut Vec<u8>) -> u32 {
    if pieces.is_empty() {
        return 0;
    }
    let offset = u32::try_from(values.len()).unwrap();
    let mut last = -1;
    for &(len, value) in pieces {
        let delta: i32 = value - last;
        varint(((delta << 1) ^ (delta >> 31)).cast_unsigned(), values);
        varint(len, values);
        last = value;
    }
    values.push(0);
    offset
}

fn varint(mut value: u32, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}
