//! The entries of each table, written and read next to each other so that the two agree.

mod blocked;

use super::SnapshotError;
use super::wire::{PartReader, Writer};
use crate::base::num::{Avma, Goid};
use crate::go::names::Status;
use crate::goroutines::model::{
    Arguments, ArgumentsId, BlockedId, Channel, ChannelId, DumpGoroutine, Function, FunctionId, FunctionKind,
    LabelsId, Location, LocationId, StackId, StrId, Tables, ValuesId,
};

/// What is written with [`write`](Row::write) is read with [`read`](Row::read).
pub(super) trait TableEntry: Sized {
    /// Appends the entry. `before` is the one before it, whose values it is likely to be near to.
    fn write(&self, before: Option<&Self>, out: &mut Writer);

    /// Reads an entry and checks that it refers only to what is in `tables`.
    fn read(
        input: &mut PartReader<'_>,
        before: Option<&Self>,
        tables: &Tables,
    ) -> Result<Self, SnapshotError>;
}

/// An id of a table, checked when it is read.
trait Id: Copy {
    fn number(self) -> u64;
    fn checked(index: usize, tables: &Tables) -> Option<Self>;
}

macro_rules! id {
    ($name:ident, $($table:ident).+) => {
        impl Id for $name {
            fn number(self) -> u64 {
                self.index() as u64
            }

            fn checked(index: usize, tables: &Tables) -> Option<Self> {
                Self::from_index(index).filter(|_| index < tables.$($table).+.len())
            }
        }
    };
}

id!(StrId, strings);
id!(FunctionId, functions);
id!(LocationId, locations);
id!(StackId, stacks);
id!(LabelsId, labels);
id!(ChannelId, channels);
id!(BlockedId, blocked);
id!(ArgumentsId, arguments);

fn write_id<I: Id>(id: I, out: &mut Writer) {
    out.number(id.number());
}

fn read_id<I: Id>(input: &mut PartReader<'_>, tables: &Tables) -> Result<I, SnapshotError> {
    let number = input.number()?;
    let id = usize::try_from(number).ok().and_then(|index| I::checked(index, tables));
    id.ok_or(input.corrupt("a dangling reference"))
}

fn write_optional_id<I: Id>(id: Option<I>, out: &mut Writer) {
    out.optional(id.map(Id::number));
}

fn read_optional_id<I: Id>(input: &mut PartReader<'_>, tables: &Tables) -> Result<Option<I>, SnapshotError> {
    let Some(number) = input.optional()? else { return Ok(None) };
    let id = usize::try_from(number).ok().and_then(|index| I::checked(index, tables));
    id.map(Some).ok_or(input.corrupt("a dangling reference"))
}

/// Packs facts into the bits of a number, the first one lowest.
fn write_flags<const N: usize>(flags: [bool; N], out: &mut Writer) {
    out.number(flags.iter().rev().fold(0, |bits, &flag| bits << 1 | u64::from(flag)));
}

fn read_flags<const N: usize>(input: &mut PartReader<'_>) -> Result<[bool; N], SnapshotError> {
    let bits = input.number()?;
    if bits >> N != 0 {
        return Err(input.corrupt("an unknown flag"));
    }
    Ok(std::array::from_fn(|index| bits >> index & 1 == 1))
}

/// Writes how far `value` is from the same one of the entry before.
fn write_near(value: u64, before: Option<u64>, out: &mut Writer) {
    out.signed(value.wrapping_sub(before.unwrap_or(0)).cast_signed());
}

fn read_near(input: &mut PartReader<'_>, before: Option<u64>) -> Result<u64, SnapshotError> {
    Ok(before.unwrap_or(0).wrapping_add(input.signed()?.cast_unsigned()))
}

impl TableEntry for Function {
    fn write(&self, _: Option<&Self>, out: &mut Writer) {
        let Self { name, start_line, kind } = *self;
        write_id(name, out);
        out.optional(start_line.map(u64::from));
        write_one_of(&FunctionKind::ALL, &kind, out);
    }

    fn read(input: &mut PartReader<'_>, _: Option<&Self>, tables: &Tables) -> Result<Self, SnapshotError> {
        let name = read_id(input, tables)?;
        let start_line = input.optional()?.map(u32::try_from).transpose();
        let start_line = start_line.map_err(|_| input.corrupt("a line that is too large"))?;
        Ok(Self { name, start_line, kind: read_one_of(&FunctionKind::ALL, input)? })
    }
}

/// Writes which one of `all` it is.
fn write_one_of<T: PartialEq>(all: &[T], value: &T, out: &mut Writer) {
    out.count(all.iter().position(|one| one == value).unwrap_or(all.len()));
}

fn read_one_of<T: Copy>(all: &[T], input: &mut PartReader<'_>) -> Result<T, SnapshotError> {
    let number = input.number()?;
    let one = usize::try_from(number).ok().and_then(|index| all.get(index));
    one.copied().ok_or(input.corrupt("an unknown kind"))
}

impl TableEntry for Location {
    fn write(&self, before: Option<&Self>, out: &mut Writer) {
        let Self { pc, offset, function, file, line, inlined, exact } = *self;
        write_near(pc, before.map(|before| before.pc), out);
        out.number(offset);
        write_optional_id(function, out);
        write_id(file, out);
        out.number(u64::from(line));
        write_flags([inlined, exact], out);
    }

    fn read(
        input: &mut PartReader<'_>,
        before: Option<&Self>,
        tables: &Tables,
    ) -> Result<Self, SnapshotError> {
        let pc = read_near(input, before.map(|before| before.pc))?;
        let offset = input.number()?;
        let function = read_optional_id(input, tables)?;
        let file = read_id(input, tables)?;
        let line = input.small()?;
        let [inlined, exact] = read_flags(input)?;
        Ok(Self { pc, offset, function, file, line, inlined, exact })
    }
}

impl TableEntry for Box<[(StrId, StrId)]> {
    fn write(&self, _: Option<&Self>, out: &mut Writer) {
        out.count(self.len());
        for &(key, value) in self {
            write_id(key, out);
            write_id(value, out);
        }
    }

    fn read(input: &mut PartReader<'_>, _: Option<&Self>, tables: &Tables) -> Result<Self, SnapshotError> {
        let count = input.count()?;
        (0..count).map(|_| Ok((read_id(input, tables)?, read_id(input, tables)?))).collect()
    }
}

impl TableEntry for Box<[Option<StrId>]> {
    fn write(&self, _: Option<&Self>, out: &mut Writer) {
        out.count(self.len());
        for &argument in self {
            write_optional_id(argument, out);
        }
    }

    fn read(input: &mut PartReader<'_>, _: Option<&Self>, tables: &Tables) -> Result<Self, SnapshotError> {
        let count = input.count()?;
        (0..count).map(|_| read_optional_id(input, tables)).collect()
    }
}

impl TableEntry for Channel {
    fn write(&self, before: Option<&Self>, out: &mut Writer) {
        let Self { address, element, length, capacity, closed, timer, stopped, receivers, senders } = *self;
        write_near(address.0, before.map(|before| before.address.0), out);
        write_optional_id(element, out);
        out.number(length);
        out.number(capacity);
        write_flags([closed, timer, stopped], out);
        out.number(u64::from(receivers));
        out.number(u64::from(senders));
    }

    fn read(
        input: &mut PartReader<'_>,
        before: Option<&Self>,
        tables: &Tables,
    ) -> Result<Self, SnapshotError> {
        let address = Avma(read_near(input, before.map(|before| before.address.0))?);
        let element = read_optional_id(input, tables)?;
        let (length, capacity) = (input.number()?, input.number()?);
        let [closed, timer, stopped] = read_flags(input)?;
        let (receivers, senders) = (input.small()?, input.small()?);
        Ok(Self { address, element, length, capacity, closed, timer, stopped, receivers, senders })
    }
}

impl TableEntry for DumpGoroutine {
    fn write(&self, before: Option<&Self>, out: &mut Writer) {
        let Self {
            goid,
            parent,
            waiting_ns,
            age_ns,
            bubble,
            stack_bytes,
            stack,
            created_by,
            creation_stack,
            wait_reason,
            labels,
            blocked_on,
            arguments,
            status,
            scanning,
            locked,
            age_is_lower_bound,
            moved,
            system,
            cut,
            start_only,
        } = *self;
        write_near(goid.0, before.map(|before| before.goid.0), out);
        out.byte(status as u8);
        write_flags([scanning, locked, age_is_lower_bound, moved, system, cut, start_only], out);
        out.optional(parent.map(|parent| parent.0));
        out.optional(waiting_ns);
        out.optional(age_ns);
        out.optional(bubble);
        out.number(stack_bytes);
        write_id(stack, out);
        write_optional_id(created_by, out);
        write_optional_id(creation_stack, out);
        write_optional_id(wait_reason, out);
        write_optional_id(labels, out);
        write_optional_id(blocked_on, out);
        write_optional_id(arguments.map(|arguments| arguments.texts), out);
    }

    fn read(
        input: &mut PartReader<'_>,
        before: Option<&Self>,
        tables: &Tables,
    ) -> Result<Self, SnapshotError> {
        let goid = Goid(read_near(input, before.map(|before| before.goid.0))?);
        let status = Status::from_raw(u32::from(input.byte()?)).ok_or(input.corrupt("an unknown state"))?;
        let [scanning, locked, age_is_lower_bound, moved, system, cut, start_only] = read_flags(input)?;
        Ok(Self {
            goid,
            status,
            scanning,
            locked,
            age_is_lower_bound,
            moved,
            system,
            cut,
            start_only,
            parent: input.optional()?.map(Goid),
            waiting_ns: input.optional()?,
            age_ns: input.optional()?,
            bubble: input.optional()?,
            stack_bytes: input.number()?,
            stack: read_id(input, tables)?,
            created_by: read_optional_id(input, tables)?,
            creation_stack: read_optional_id(input, tables)?,
            wait_reason: read_optional_id(input, tables)?,
            labels: read_optional_id(input, tables)?,
            blocked_on: read_optional_id(input, tables)?,
            arguments: read_arguments(input, tables)?,
        })
    }
}

/// The values are in a section of their own, behind the goroutines.
fn read_arguments(input: &mut PartReader<'_>, tables: &Tables) -> Result<Option<Arguments>, SnapshotError> {
    let texts = read_optional_id(input, tables)?;
    Ok(texts.map(|texts| Arguments { texts, values: ValuesId::next_of::<()>(&[]) }))
}

/// Writes all entries of a table, their number first.
pub(super) fn write_rows<R: TableEntry>(rows: &[R], out: &mut Writer) {
    out.count(rows.len());
    let before = std::iter::once(None).chain(rows.iter().map(Some));
    rows.iter().zip(before).for_each(|(row, before)| row.write(before, out));
}

/// Reads all entries of a table.
pub(super) fn read_rows<R: TableEntry>(
    input: &mut PartReader<'_>,
    tables: &Tables,
) -> Result<Vec<R>, SnapshotError> {
    let mut rows = Vec::with_capacity(input.count()?);
    for _ in 0..rows.capacity() {
        let row = R::read(input, rows.last(), tables)?;
        rows.push(row);
    }
    Ok(rows)
}

/// Writes all stacks.
pub(super) fn write_stacks(tables: &Tables, out: &mut Writer) {
    out.count(tables.stacks.len());
    for stack in tables.stacks.iter() {
        out.count(stack.len());
        for &location in stack {
            write_id(location, out);
        }
    }
}

/// Reads all stacks into `tables`.
pub(super) fn read_stacks(input: &mut PartReader<'_>, tables: &mut Tables) -> Result<(), SnapshotError> {
    for _ in 0..input.count()? {
        let count = input.count()?;
        let stack = (0..count).map(|_| read_id(input, tables)).collect::<Result<Vec<_>, _>>()?;
        tables.stacks.push(&stack);
    }
    Ok(())
}

/// Writes all strings.
pub(super) fn write_strings(tables: &Tables, out: &mut Writer) {
    out.count(tables.strings.len());
    tables.strings.iter().for_each(|string| out.text(string));
}

/// Reads all strings into `tables`.
pub(super) fn read_strings(input: &mut PartReader<'_>, tables: &mut Tables) -> Result<(), SnapshotError> {
    for _ in 0..input.count()? {
        let string = input.text()?;
        tables.strings.push(string);
    }
    Ok(())
}
