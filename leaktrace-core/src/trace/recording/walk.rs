//! A walk through memory as bytes: what the registry and a report ask of it, without names.
//!
//! Where the goroutines' own memory is (`g`, labels, what they wait on) is left out: nothing can be read there any
//! more.

use crate::base::num::{Avma, GPtr, Goid, Ktime, Pc, ReturnPc};
use crate::go::goroutines::{
    Goroutine, GoroutineKind, Snapshot, Stack, StackBounds, StackEnd, StackId, StackTable, Want,
};
use crate::go::names::Status;
use crate::goroutines::snapshot::SnapshotError;
use crate::goroutines::snapshot::wire::{PartReader, Writer};

/// The most goroutines, stacks, and addresses of one stack: more than any walk has.
const MAX_ENTRIES: u64 = 4 << 20;

const LOCKED: u8 = 1;
const MOVED: u8 = 2;
const RUNTIME: u8 = 4;

/// The content of a block.
pub fn encode(snapshot: &Snapshot) -> Vec<u8> {
    let mut out = Writer::default();
    let Snapshot { started, finished, unreadable, moved, dead, beyond_limit, .. } = *snapshot;
    for number in [started.0, finished.since(started), unreadable, moved, dead, beyond_limit] {
        out.number(number);
    }
    out.count(snapshot.stacks.len());
    snapshot.stacks.iter().for_each(|(_, stack)| write_stack(stack, &mut out));
    out.count(snapshot.goroutines.len());
    snapshot.goroutines.iter().for_each(|goroutine| write_goroutine(goroutine, &mut out));
    out.into_bytes()
}

/// The walk that a block's content describes.
pub fn decode(bytes: &[u8]) -> Result<Snapshot, SnapshotError> {
    let mut input = PartReader::new(bytes, "a walk", MAX_ENTRIES);
    let started = Ktime(input.number()?);
    let finished = started.plus(input.number()?);
    let (unreadable, moved) = (input.number()?, input.number()?);
    let (dead, beyond_limit) = (input.number()?, input.number()?);
    let (stacks, ids) = read_stacks(&mut input)?;
    let count = input.count()?;
    let goroutines = (0..count).map(|_| read_goroutine(&mut input, &ids)).collect::<Result<_, _>>()?;
    input.finish()?;
    let want = Want::Stacks;
    Ok(Snapshot { goroutines, stacks, started, finished, want, unreadable, moved, dead, beyond_limit })
}

fn write_stack(stack: Stack<'_>, out: &mut Writer) {
    let (end, at) = match stack.end {
        StackEnd::Outermost => (0, None),
        StackEnd::Boundary => (1, None),
        StackEnd::Cut(at) => (2, Some(at)),
        StackEnd::Broken(at) => (3, Some(at)),
    };
    out.byte(end);
    if let Some(at) = at {
        out.number(at.0);
    }
    out.count(stack.pcs.len());
    let mut last = 0;
    for pc in stack.pcs {
        // Neighbours on a stack are mostly neighbours in the code.
        out.signed(pc.0.wrapping_sub(last).cast_signed());
        last = pc.0;
    }
}

/// The stacks, and the number of each in the order of the bytes.
fn read_stacks(input: &mut PartReader<'_>) -> Result<(StackTable, Vec<StackId>), SnapshotError> {
    let (mut table, mut ids, mut pcs) = (StackTable::new(), Vec::new(), Vec::new());
    for _ in 0..input.count()? {
        let end = read_stack_end(input)?;
        pcs.clear();
        let mut last = 0_u64;
        for _ in 0..input.count()? {
            last = last.wrapping_add(input.signed()?.cast_unsigned());
            pcs.push(ReturnPc(last));
        }
        ids.push(table.intern(&pcs, end).ok_or(input.corrupt("more stacks than there can be"))?);
    }
    Ok((table, ids))
}

fn read_stack_end(input: &mut PartReader<'_>) -> Result<StackEnd, SnapshotError> {
    match input.byte()? {
        0 => Ok(StackEnd::Outermost),
        1 => Ok(StackEnd::Boundary),
        2 => Ok(StackEnd::Cut(Pc(input.number()?))),
        3 => Ok(StackEnd::Broken(Pc(input.number()?))),
        _ => Err(input.corrupt("an unknown end of a stack")),
    }
}

fn write_goroutine(goroutine: &Goroutine, out: &mut Writer) {
    out.number(goroutine.goid.0);
    out.optional(goroutine.parent_goid.map(|goid| goid.0));
    out.number(goroutine.gopc.0);
    out.number(goroutine.startpc.0);
    out.number(goroutine.stack.size());
    out.optional(goroutine.wait_since.map(|since| since.0));
    out.optional(goroutine.stack_id.map(|id| id.index() as u64));
    out.number(u64::from(goroutine.stack_used));
    out.byte(goroutine.status as u8);
    out.byte(goroutine.wait_reason);
    let runtime = goroutine.kind == GoroutineKind::Runtime;
    let flags = [(goroutine.locked, LOCKED), (goroutine.moved, MOVED), (runtime, RUNTIME)];
    out.byte(flags.into_iter().filter(|(set, _)| *set).fold(0, |all, (_, flag)| all | flag));
}

fn read_goroutine(input: &mut PartReader<'_>, ids: &[StackId]) -> Result<Goroutine, SnapshotError> {
    let goid = Goid(input.number()?);
    let parent_goid = input.optional()?.map(Goid);
    let (gopc, startpc) = (ReturnPc(input.number()?), Pc(input.number()?));
    let stack = StackBounds { lo: Avma(0), hi: Avma(input.number()?) };
    let wait_since = input.optional()?.map(Ktime);
    let stack_id = match input.optional()? {
        None => None,
        Some(index) => {
            let id = usize::try_from(index).ok().and_then(|index| ids.get(index));
            Some(*id.ok_or(input.corrupt("a stack that is not there"))?)
        }
    };
    let stack_used = input.small()?;
    let status = Status::from_raw(u32::from(input.byte()?)).ok_or(input.corrupt("an unknown state"))?;
    let (wait_reason, flags) = (input.byte()?, input.byte()?);
    let kind = if flags & RUNTIME == 0 { GoroutineKind::User } else { GoroutineKind::Runtime };
    Ok(Goroutine {
        goid,
        g: GPtr(0),
        parent_goid,
        gopc,
        startpc,
        stack,
        wait_since,
        labels: Avma(0),
        waiting: Avma(0),
        stack_id,
        stack_used,
        status,
        wait_reason,
        tracking_seq: None,
        locked: flags & LOCKED != 0,
        moved: flags & MOVED != 0,
        kind,
    })
}
