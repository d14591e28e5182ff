//! The values of arguments, written and read next to each other so that the two agree.
//!
//! Those of a goroutine are compared with those of the goroutine before it whose arguments are printed alike: a byte
//! tells which of eight values differ, and by how much is told of these only.

use super::SnapshotError;
use super::wire::{Reader, Writer};
use crate::dump::Dump;
use crate::dump::model::{Arguments, DumpGoroutine, MAX_VALUES, Values, ValuesId};

/// How many values a byte tells of.
const GROUP: usize = 8;

/// For each way to print arguments, the values that were met last.
struct Latest {
    values: Vec<Option<ValuesId>>,
}

impl Latest {
    fn new(dump: &Dump) -> Self {
        Self { values: vec![None; dump.tables.arguments.len()] }
    }

    /// Those to compare with, after which `arguments` are the latest.
    fn replace(&mut self, arguments: Arguments) -> Option<ValuesId> {
        self.values.get_mut(arguments.texts.index())?.replace(arguments.values)
    }
}

/// Writes the values of all goroutines that have any, in their order.
pub(super) fn write_values(dump: &Dump, out: &mut Writer) {
    let mut latest = Latest::new(dump);
    for arguments in dump.goroutines.iter().filter_map(|goroutine| goroutine.arguments) {
        let before = latest.replace(arguments);
        let before = before.map_or(&[][..], |before| dump.tables.values.get(before));
        write_one(dump.tables.values.get(arguments.values), before, out);
    }
}

fn write_one(values: &[u64], before: &[u64], out: &mut Writer) {
    out.count(values.len());
    for (index, group) in values.chunks(GROUP).enumerate() {
        let mut differences = [0; GROUP];
        for (place, value) in group.iter().enumerate() {
            let before = before.get(index * GROUP + place).copied().unwrap_or(0);
            differences[place] = value.wrapping_sub(before);
        }
        let flags = differences.iter().rev().fold(0, |flags, by| flags << 1 | u8::from(*by != 0));
        out.byte(flags);
        differences.iter().filter(|by| **by != 0).for_each(|by| out.signed(by.cast_signed()));
    }
}

/// Reads the values of all goroutines that have any.
pub(super) fn read_values(input: &mut Reader<'_>, dump: &mut Dump) -> Result<(), SnapshotError> {
    let (mut latest, mut values, mut own) = (Latest::new(dump), Values::default(), Vec::new());
    let mut room = MAX_VALUES;
    for arguments in dump.goroutines.iter().filter_map(|goroutine| goroutine.arguments) {
        let before = latest.replace(arguments).map_or(&[][..], |before| values.get(before));
        read_one(input, before, &mut room, &mut own)?;
        values.push(&own);
    }
    dump.tables.values = values;
    Ok(())
}

fn read_one(
    input: &mut Reader<'_>,
    before: &[u64],
    room: &mut usize,
    values: &mut Vec<u64>,
) -> Result<(), SnapshotError> {
    let count = input.number()?;
    let len = usize::try_from(count)
        .ok()
        .filter(|len| len <= room)
        .ok_or(input.too_large(count, MAX_VALUES as u64))?;
    *room -= len;
    values.clear();
    while values.len() < len {
        let flags = input.byte()?;
        for place in 0..GROUP.min(len - values.len()) {
            let before = before.get(values.len()).copied().unwrap_or(0);
            let by = if flags >> place & 1 == 1 { input.signed()?.cast_unsigned() } else { 0 };
            values.push(before.wrapping_add(by));
        }
    }
    Ok(())
}

/// Gives each goroutine that has arguments an entry of its own among the values, without values in it.
pub(super) fn number_values(goroutines: &mut [DumpGoroutine], values: &mut Values) {
    for arguments in goroutines.iter_mut().filter_map(|goroutine| goroutine.arguments.as_mut()) {
        arguments.values = values.push(&[]);
    }
}
