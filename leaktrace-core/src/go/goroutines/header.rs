//! What a `runtime.g` says about its goroutine, read for many at once.

use crate::base::memory::{Memory, ReadError, Span};
use crate::base::num::{Avma, GPtr, Goid, Ktime, Pc, ReturnPc};
use crate::go::layout::GFields;
use crate::go::names::Status;
use crate::go::unwind::Standing;

use super::{StackBounds, to_usize};

/// The largest `runtime.g` that is believed, and the largest stack (`runtime.maxstacksize` is 1 GB by default,
/// and a program may raise it).
const MAX_G_SIZE: u32 = 4096;
const MAX_STACK: u64 = 1 << 40;
/// Neighbours closer than this are read in one piece: copying is cheaper than another range.
const MAX_GAP: u64 = 512;
/// The longest piece.
const MAX_PIECE: u64 = 64 << 10;

/// One `runtime.g` as it was when it was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) g: GPtr,
    /// Which entry of the list it is, for who knows the list.
    pub(super) entry: u32,
    pub(super) goid: Goid,
    pub(super) status: Status,
    pub(super) wait_reason: u8,
    pub(super) parent_goid: Option<Goid>,
    pub(super) gopc: ReturnPc,
    pub(super) startpc: Pc,
    pub(super) stack: StackBounds,
    pub(super) on_thread: bool,
    pub(super) locked: bool,
    pub(super) running_cleanups: Option<bool>,
    pub(super) wait_since: Option<Ktime>,
    pub(super) labels: Avma,
    pub(super) waiting: Avma,
    /// Where it goes on, were it not on a CPU.
    pub(super) standing: Standing,
    /// How often it left the CPU, modulo 256.
    pub(super) tracking_seq: Option<u8>,
}

impl Header {
    /// Whether nothing has moved from `self` to `later`, as far as a `runtime.g` can tell.
    pub(super) fn is_still(&self, later: &Self) -> bool {
        (self.goid, self.status, self.wait_reason) == (later.goid, later.status, later.wait_reason)
            && (self.standing, self.stack) == (later.standing, later.stack)
            && (self.tracking_seq, self.on_thread) == (later.tracking_seq, later.on_thread)
    }

    /// Whether it is off its CPU with its stack at rest, or in a system call.
    pub(super) const fn is_parked(&self) -> bool {
        match self.status {
            Status::Syscall => self.standing.in_syscall,
            // With a thread it is about to leave it, or the thread works for it on a stack of its own.
            Status::Runnable | Status::Waiting | Status::Preempted | Status::Leaked => !self.on_thread,
            Status::Idle | Status::Running | Status::Dead | Status::CopyStack | Status::DeadExtra => false,
        }
    }

    /// Whether it cannot run and come back to where it is without a change in its `runtime.g`: the scheduler
    /// counts, but not system calls and not switches between coroutines, whose reason is `coroutine`.
    pub(super) fn leaves_trace(&self, coroutine: Option<u8>) -> bool {
        let switches = self.status == Status::Waiting && Some(self.wait_reason) == coroutine;
        self.tracking_seq.is_some() && self.status != Status::Syscall && !switches
    }

    /// The part of the stack in use, if the stack pointer lies in the stack.
    pub(super) fn used(&self) -> Option<(Avma, Avma)> {
        let StackBounds { lo, hi } = self.stack;
        let sp = Avma(self.standing.sp);
        (lo <= sp && sp <= hi && self.stack.size() <= MAX_STACK).then_some((sp, hi))
    }
}

/// Reads headers in batches.
#[derive(Debug)]
pub(super) struct HeaderReader {
    fields: GFields,
    /// The fields lie in `[0, len)` of the struct.
    len: u64,
    /// The batch in order of address, with each one's place in the batch.
    order: Vec<(GPtr, u32)>,
    /// Those whose piece could not be read, to be tried alone.
    again: Vec<(GPtr, u32)>,
    pieces: Vec<Span>,
    bytes: Vec<u8>,
    readable: Vec<bool>,
}

impl HeaderReader {
    pub(super) fn new(fields: &GFields) -> Self {
        Self {
            len: needed(fields).min(MAX_G_SIZE).into(),
            fields: fields.clone(),
            order: Vec::new(),
            again: Vec::new(),
            pieces: Vec::new(),
            bytes: Vec::new(),
            readable: Vec::new(),
        }
    }

    /// Sets `out[i]` to what `gs[i]` says, `None` where it cannot be read or makes no sense.
    pub(super) fn read(
        &mut self,
        memory: &dyn Memory,
        gs: &[GPtr],
        out: &mut Vec<Option<Header>>,
    ) -> Result<(), ReadError> {
        out.clear();
        out.resize(gs.len(), None);
        self.order.clear();
        self.order.extend(gs.iter().copied().zip(0..));
        self.order.sort_unstable();
        self.read_pieces(memory, MAX_GAP)?;
        self.decode(out);
        if !self.again.is_empty() {
            self.order.clear();
            self.order.append(&mut self.again);
            self.read_pieces(memory, 0)?;
            self.decode(out);
            self.again.clear();
        }
        Ok(())
    }

    /// Reads all of `order`, neighbours together where no more than `gap` bytes lie between them.
    fn read_pieces(&mut self, memory: &dyn Memory, gap: u64) -> Result<(), ReadError> {
        self.pieces.clear();
        for &(g, _) in &self.order {
            match self
                .pieces
                .last_mut()
                .and_then(|piece| grown(*piece, g, self.len, gap).map(|len| (piece, len)))
            {
                Some((piece, len)) => piece.len = len,
                None => self.pieces.push(Span { at: g.as_avma(), len: to_usize(self.len) }),
            }
        }
        self.bytes.resize(self.pieces.iter().map(|piece| piece.len).sum(), 0);
        memory.read_spans(&self.pieces, &mut self.bytes, &mut self.readable)
    }

    /// Decodes what has been read; pieces and `order` both ascend.
    fn decode(&mut self, out: &mut [Option<Header>]) {
        let mut order = self.order.iter().peekable();
        let mut bytes = &self.bytes[..];
        for (piece, readable) in self.pieces.iter().zip(&self.readable) {
            let (data, rest) = bytes.split_at(piece.len);
            bytes = rest;
            while let Some(&(g, index)) = order.next_if(|(g, _)| offset_in(*piece, *g).is_some()) {
                if !readable {
                    self.again.push((g, index));
                    continue;
                }
                let data = offset_in(*piece, g).and_then(|offset| data.get(offset..));
                if let Some(slot) = out.get_mut(index as usize) {
                    *slot = data.and_then(|data| header(&self.fields, g, data));
                }
            }
        }
    }
}

/// What the bytes of a `runtime.g` say. They were read in one go but while the process ran.
fn header(fields: &GFields, g: GPtr, data: &[u8]) -> Option<Header> {
    let word = |offset| word(data, offset);
    let byte = |offset: u32| data.get(offset as usize).copied();
    let status = Status::from_raw(u32::try_from(word(fields.atomicstatus)? & 0xffff_ffff).ok()?)?;
    let syscall_sp = word(fields.syscall_sp)?;
    let scheduled = Standing {
        pc: Pc(word(fields.sched_pc)?),
        sp: word(fields.sched_sp)?,
        lr: word(fields.sched_lr)?,
        in_syscall: false,
    };
    // The runtime's traceback decides by this word too, whatever the state.
    let in_syscall = Standing { pc: Pc(word(fields.syscall_pc)?), sp: syscall_sp, lr: 0, in_syscall: true };
    Some(Header {
        g,
        entry: 0,
        goid: Goid(word(fields.goid)?),
        status,
        wait_reason: byte(fields.waitreason)?,
        parent_goid: fields.parent_goid.and_then(word).filter(|goid| *goid != 0).map(Goid),
        gopc: ReturnPc(word(fields.gopc)?),
        startpc: Pc(word(fields.startpc)?),
        stack: StackBounds { lo: Avma(word(fields.stack_lo)?), hi: Avma(word(fields.stack_hi)?) },
        on_thread: word(fields.m)? != 0,
        locked: word(fields.lockedm)? != 0,
        running_cleanups: fields.running_cleanups.and_then(byte).map(|byte| byte != 0),
        wait_since: word(fields.waitsince).filter(|time| *time != 0).map(Ktime),
        labels: Avma(word(fields.labels)?),
        waiting: Avma(word(fields.waiting)?),
        standing: if syscall_sp == 0 { scheduled } else { in_syscall },
        tracking_seq: fields.tracking_seq.and_then(byte),
    })
}

/// How many bytes of the struct hold all the fields that are read.
fn needed(fields: &GFields) -> u32 {
    let words = [
        fields.stack_hi,
        fields.m,
        fields.sched_sp,
        fields.sched_pc,
        fields.sched_lr,
        fields.syscall_sp,
        fields.syscall_pc,
        fields.atomicstatus,
        fields.goid,
        fields.waitsince,
        fields.waitreason,
        fields.lockedm,
        fields.gopc,
        fields.startpc,
        fields.waiting,
        fields.labels,
    ];
    let optional = [fields.parent_goid, fields.running_cleanups, fields.tracking_seq];
    words.into_iter().chain(optional.into_iter().flatten()).max().unwrap_or(0).saturating_add(8)
}

/// The length of `piece` if it also held the `len` bytes at `g`, if that is worth while.
fn grown(piece: Span, g: GPtr, len: u64, gap: u64) -> Option<usize> {
    let offset = g.as_avma().offset_from(piece.at)?;
    let whole = offset.checked_add(len)?;
    let close = offset <= (piece.len as u64).saturating_add(gap);
    (close && whole <= MAX_PIECE).then(|| to_usize(whole).max(piece.len))
}

/// Where in `piece` the struct at `g` begins, if it begins there.
fn offset_in(piece: Span, g: GPtr) -> Option<usize> {
    let offset = usize::try_from(g.as_avma().offset_from(piece.at)?).ok()?;
    (offset < piece.len).then_some(offset)
}

fn word(data: &[u8], offset: u32) -> Option<u64> {
    let word = data.get(offset as usize..)?.first_chunk()?;
    Some(u64::from_le_bytes(*word))
}
