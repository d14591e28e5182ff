//! Every goroutine as far as the marking needs to know it.

use crate::base::memory::{Memory, ReadError};
use crate::base::num::{Avma, GPtr, Goid, Pc};
use crate::base::structs::{Words, read_structs};
use crate::go::goroutines::{StackBounds, Walker, WalkerInput};
use crate::go::layout::{CollectorFields, GFields};
use crate::go::names::Status;
use crate::go::program::Program;
use crate::go::unwind::Standing;

use super::{Parked, Refusal};

/// The largest `runtime.g` and the largest stack that are believed.
const MAX_G: u32 = 4096;
const MAX_STACK: u64 = 1 << 40;

/// One goroutine that is alive, as it was when it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) g: GPtr,
    pub(super) goid: Goid,
    pub(super) status: Status,
    pub(super) wait_reason: u8,
    pub(super) stack: StackBounds,
    /// Where it goes on, if it is off its CPU with its stack at rest, or in a system call.
    pub(super) standing: Option<Standing>,
    pub(super) waiting: Avma,
    pub(super) tracking_seq: Option<u8>,
    /// Its first deferred call.
    pub(super) defers: Avma,
    /// Whether it panics.
    pub(super) panics: bool,
    /// A register that is saved outside of its stack.
    pub(super) ctxt: u64,
}

impl Seen {
    /// The wait that it is in.
    pub(super) fn parked(&self) -> Parked {
        Parked {
            g: self.g,
            sp: Avma(self.standing.map_or(0, |standing| standing.sp)),
            pc: self.standing.map_or(0, |standing| standing.pc.0),
            waiting: self.waiting,
            wait_reason: self.wait_reason,
            tracking_seq: self.tracking_seq,
        }
    }

    /// The part of the stack that is in use, all of it where that is not known; `None` where there is none.
    pub(super) fn used(&self) -> Option<(Avma, Avma)> {
        let StackBounds { lo, hi } = self.stack;
        if lo.is_null() || hi <= lo || self.stack.size() > MAX_STACK {
            return None;
        }
        let sp = self.standing.map_or(lo, |standing| Avma(standing.sp));
        Some(if lo <= sp && sp <= hi { (sp, hi) } else { (lo, hi) })
    }
}

/// Reads all goroutines, again and again.
pub(super) struct GoroutineReader<'p> {
    walker: Walker<'p>,
    g: &'p GFields,
    collector: &'p CollectorFields,
}

impl<'p> GoroutineReader<'p> {
    pub(super) fn new(program: &'p Program<'_>, collector: &'p CollectorFields) -> Self {
        Self { walker: Walker::new(WalkerInput::of(program)), g: &program.layout.g, collector }
    }

    /// All that are alive now, and where all `runtime.g`s are.
    pub(super) fn read(&mut self, memory: &dyn Memory) -> Result<(Vec<Seen>, Vec<GPtr>), Refusal> {
        let gs = self.walker.addresses(memory)?;
        Ok((self.read_those(&gs, memory)?, gs))
    }

    /// Those of `gs` that are alive.
    pub(super) fn read_those(&self, gs: &[GPtr], memory: &dyn Memory) -> Result<Vec<Seen>, ReadError> {
        let addresses: Vec<Avma> = gs.iter().map(|g| g.as_avma()).collect();
        let mut alive = Vec::with_capacity(gs.len());
        read_structs(memory, &addresses, self.g.size.min(MAX_G) as usize, |index, words| {
            alive.extend(self.decode(gs[index], words));
        })?;
        Ok(alive)
    }

    fn decode(&self, g: GPtr, words: Words<'_>) -> Option<Seen> {
        let fields = self.g;
        let status = Status::from_raw(words.u32(fields.atomicstatus)?).filter(|status| status.is_alive())?;
        let (scheduled, in_syscall) = self.standings(words)?;
        Some(Seen {
            g,
            goid: Goid(words.u64(fields.goid)?),
            status,
            wait_reason: words.u8(fields.waitreason)?,
            stack: StackBounds { lo: words.pointer(fields.stack_lo)?, hi: words.pointer(fields.stack_hi)? },
            standing: standing(status, words.u64(fields.m)? != 0, scheduled, in_syscall),
            waiting: words.pointer(fields.waiting)?,
            tracking_seq: fields.tracking_seq.and_then(|offset| words.u8(offset)),
            defers: words.pointer(self.collector.g_defer)?,
            panics: words.u64(self.collector.g_panic)? != 0,
            ctxt: words.u64(self.collector.g_ctxt)?,
        })
    }

    /// Where a goroutine goes on after the scheduler has put it aside, and after a system call.
    fn standings(&self, words: Words<'_>) -> Option<(Standing, Standing)> {
        let fields = self.g;
        let scheduled = Standing {
            pc: Pc(words.u64(fields.sched_pc)?),
            sp: words.u64(fields.sched_sp)?,
            lr: words.u64(fields.sched_lr)?,
            in_syscall: false,
        };
        let pc = Pc(words.u64(fields.syscall_pc)?);
        Some((scheduled, Standing { pc, sp: words.u64(fields.syscall_sp)?, lr: 0, in_syscall: true }))
    }
}

/// Where a goroutine in this state stands, if it does.
fn standing(status: Status, on_thread: bool, scheduled: Standing, in_syscall: Standing) -> Option<Standing> {
    match status {
        Status::Syscall => Some(in_syscall).filter(|standing| standing.sp != 0),
        Status::Runnable | Status::Waiting | Status::Preempted | Status::Leaked => {
            Some(scheduled).filter(|_| !on_thread && in_syscall.sp == 0)
        }
        Status::Idle | Status::Running | Status::Dead | Status::CopyStack | Status::DeadExtra => None,
    }
}
