//! The values of arguments, written and read next to each other so that the two agree.
//!
//! Those of a goroutine are compared with those of the goroutine before it that stands at the same place: a byte tells
//! which of eight values differ, and by how much is told of these only.

use super::wire::{PartReader, Writer};
use super::{Limits, SnapshotError};
use crate::goroutines::Dump;
use crate::goroutines::model::{Arguments, DumpGoroutine, StackId, Values, ValuesId};

/// How many values a byte tells of.
const GROUP: usize = 8;

/// For each stack, the first and the latest values.
struct Met {
    stacks: Vec<Option<(ValuesId, ValuesId)>>,
}

impl Met {
    fn new(dump: &Dump) -> Self {
        Self { stacks: vec![None; dump.tables.stacks.len()] }
    }

    /// What was met at `stack` before `values`, which are the latest from now on.
    fn meet(&mut self, stack: StackId, values: ValuesId) -> Option<(ValuesId, ValuesId)> {
        let met = self.stacks.get_mut(stack.index())?;
        let first = met.map_or(values, |(first, _)| first);
        met.replace((first, values))
    }
}

/// The goroutines that have arguments: where they stand, and their values.
fn with_arguments(goroutines: &[DumpGoroutine]) -> impl Iterator<Item = (StackId, ValuesId)> {
    goroutines.iter().filter_map(|goroutine| Some((goroutine.stack, goroutine.arguments?.values)))
}

/// Writes the values of all goroutines that have any, in their order.
pub(super) fn write_values(dump: &Dump, out: &mut Writer) {
    let (mut met, table) = (Met::new(dump), &dump.tables.values);
    let (mut values, mut before) = (Vec::new(), Vec::new());
    for (stack, id) in with_arguments(&dump.goroutines) {
        before.clear();
        if let Some((_, latest)) = met.meet(stack, id) {
            table.read(latest, &mut before);
        }
        table.read(id, &mut values);
        write_one(&values, &before, out);
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
pub(super) fn read_values(
    input: &mut PartReader<'_>,
    limits: Limits,
    dump: &mut Dump,
) -> Result<(), SnapshotError> {
    let bound = limits.bytes / size_of::<u64>() as u64;
    let (mut met, mut table) = (Met::new(dump), Values::default());
    let (mut values, mut before) = (Vec::new(), Vec::new());
    for (stack, id) in with_arguments(&dump.goroutines) {
        before.clear();
        let met = met.meet(stack, id);
        if let Some((_, latest)) = met {
            table.read(latest, &mut before);
        }
        read_one(input, &before, bound, &mut values)?;
        table.push(&values, met.map(|(first, _)| first));
        if table.stored() as u64 > bound {
            return Err(input.too_large(table.stored() as u64, bound));
        }
    }
    dump.tables.values = table;
    Ok(())
}

fn read_one(
    input: &mut PartReader<'_>,
    before: &[u64],
    bound: u64,
    values: &mut Vec<u64>,
) -> Result<(), SnapshotError> {
    let count = input.number()?;
    let len = usize::try_from(count).ok().filter(|_| count <= bound);
    let len = len.ok_or(input.too_large(count, bound))?;
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
    for Arguments { values: own, .. } in
        goroutines.iter_mut().filter_map(|goroutine| goroutine.arguments.as_mut())
    {
        *own = values.push(&[], None);
    }
}
