//! What goroutines are blocked on, as entries of a table.

use super::{TableEntry, read_id, read_one_of, read_optional_id, write_id, write_one_of, write_optional_id};
use crate::base::num::Avma;
use crate::goroutines::model::{BlockedOn, ChannelOperation, LockKind, SelectCase, Tables};
use crate::goroutines::snapshot::SnapshotError;
use crate::goroutines::snapshot::wire::{PartReader, Writer};

const OPERATIONS: [ChannelOperation; 2] = [ChannelOperation::Receive, ChannelOperation::Send];

impl TableEntry for SelectCase {
    fn write(&self, _: Option<&Self>, out: &mut Writer) {
        write_one_of(&OPERATIONS, &self.operation, out);
        write_id(self.channel, out);
    }

    fn read(input: &mut PartReader<'_>, _: Option<&Self>, tables: &Tables) -> Result<Self, SnapshotError> {
        Ok(Self { operation: read_one_of(&OPERATIONS, input)?, channel: read_id(input, tables)? })
    }
}

impl TableEntry for BlockedOn {
    fn write(&self, _: Option<&Self>, out: &mut Writer) {
        match self {
            Self::Channel { operation, channel } => {
                out.byte(0);
                SelectCase { operation: *operation, channel: *channel }.write(None, out);
            }
            Self::NilChannel { operation } => {
                out.byte(1);
                write_one_of(&OPERATIONS, operation, out);
            }
            Self::Select { cases } => {
                out.byte(2);
                out.count(cases.len());
                cases.iter().for_each(|case| case.write(None, out));
            }
            Self::NoCases => out.byte(3),
            Self::Lock { kind, address, waiters } => {
                out.byte(4);
                write_one_of(&LockKind::ALL, kind, out);
                out.number(address.0);
                out.optional(waiters.map(u64::from));
            }
            Self::Sleep { remaining_ns: Some(remaining_ns) } => {
                out.byte(5);
                out.signed(*remaining_ns);
            }
            Self::Sleep { remaining_ns: None } => out.byte(7),
            Self::Io { fd, description } => {
                out.byte(6);
                out.signed(i64::from(*fd));
                write_optional_id(*description, out);
            }
        }
    }

    fn read(input: &mut PartReader<'_>, _: Option<&Self>, tables: &Tables) -> Result<Self, SnapshotError> {
        match input.byte()? {
            0 => {
                let SelectCase { operation, channel } = SelectCase::read(input, None, tables)?;
                Ok(Self::Channel { operation, channel })
            }
            1 => Ok(Self::NilChannel { operation: read_one_of(&OPERATIONS, input)? }),
            2 => {
                let count = input.count()?;
                let cases = (0..count).map(|_| SelectCase::read(input, None, tables));
                Ok(Self::Select { cases: cases.collect::<Result<_, _>>()? })
            }
            3 => Ok(Self::NoCases),
            4 => read_lock(input),
            5 => Ok(Self::Sleep { remaining_ns: Some(input.signed()?) }),
            7 => Ok(Self::Sleep { remaining_ns: None }),
            6 => {
                let fd = i32::try_from(input.signed()?);
                let fd = fd.map_err(|_| input.corrupt("an invalid file descriptor"))?;
                Ok(Self::Io { fd, description: read_optional_id(input, tables)? })
            }
            _ => Err(input.corrupt("an unknown kind")),
        }
    }
}

fn read_lock(input: &mut PartReader<'_>) -> Result<BlockedOn, SnapshotError> {
    let kind = read_one_of(&LockKind::ALL, input)?;
    let address = Avma(input.number()?);
    let waiters = input.optional()?.map(u32::try_from).transpose();
    let waiters = waiters.map_err(|_| input.corrupt("a count that is too large"))?;
    Ok(BlockedOn::Lock { kind, address, waiters })
}
