//! The fields that leaktrace reads, one struct a runtime struct, each an offset in bytes from its start.
//!
//! `Option` means that not every supported release has the field; a missing field that is not optional is an
//! error when the layout is read, never a 0.

use crate::go::facts::Schedt;

/// Offsets in `runtime.g` (`src/runtime/runtime2.go`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GFields {
    /// The size of the struct.
    pub size: u32,
    /// `stack.lo`: the stack is `[lo, hi)`.
    pub stack_lo: u32,
    /// `stack.hi`
    pub stack_hi: u32,
    /// `stackguard1`: all ones on every goroutine but a thread's own (`g0`, `gsignal`).
    pub stackguard1: u32,
    /// `m`: the thread that runs this, or nil.
    pub m: u32,
    /// `sched.sp`: valid while the goroutine is not on a CPU.
    pub sched_sp: u32,
    /// `sched.pc`
    pub sched_pc: u32,
    /// `sched.g`: points back to the g itself.
    pub sched_g: u32,
    /// `sched.lr`: on arm64 the return address of a goroutine that has not begun, 0 on amd64.
    pub sched_lr: u32,
    /// `sched.bp`: not valid in a syscall up to Go 1.22.
    pub sched_bp: u32,
    /// `syscallsp`: what to unwind from in a syscall.
    pub syscall_sp: u32,
    /// `syscallpc`
    pub syscall_pc: u32,
    /// `syscallbp`, since Go 1.23.
    pub syscall_bp: Option<u32>,
    /// `atomicstatus`: 32 bits, see [`Status`](crate::go::names::Status).
    pub atomicstatus: u32,
    /// `goid`: 64 bits.
    pub goid: u32,
    /// `schedlink`: the next g of a run queue or free list.
    pub schedlink: u32,
    /// `waitsince`: set by the garbage collector only, so not the time of blocking.
    pub waitsince: u32,
    /// `waitreason`: one byte, see [`WaitReasons`](crate::go::names::WaitReasons).
    pub waitreason: u32,
    /// `trackingSeq`: a byte that counts how often the goroutine left the CPU, by scheduler rather than by
    /// coroutine switch or system call. Tells that a goroutine moved and came back to where it was.
    pub tracking_seq: Option<u32>,
    /// `lockedm`: not nil after `runtime.LockOSThread`.
    pub lockedm: u32,
    /// `parentGoid`, since Go 1.21.
    pub parent_goid: Option<u32>,
    /// `gopc`: the return address of the `go` statement.
    pub gopc: u32,
    /// `ancestors`: pointer to a slice of `ancestorInfo`, nil without `GODEBUG=tracebackancestors`.
    pub ancestors: u32,
    /// `startpc`: the entry of the function that was started.
    pub startpc: u32,
    /// `waiting`: the first `sudog`, the next ones by `waitlink`.
    pub waiting: u32,
    /// `labels`: see [`LabelsFormat`](super::LabelsFormat).
    pub labels: u32,
    /// `timer`: the goroutine's own timer, used by `time.Sleep`.
    pub timer: u32,
    /// `sleepWhen`, since Go 1.23: when `time.Sleep` ends.
    pub sleep_when: Option<u32>,
    /// `selectDone`: 32 bits.
    pub select_done: u32,
    /// `bubble` (Go 1.25+) or `syncGroup` (1.24): not nil inside a `testing/synctest` bubble.
    pub bubble: Option<u32>,
    /// `runningCleanups`, since Go 1.25: a byte, 1 while a cleanup goroutine runs a user's function.
    pub running_cleanups: Option<u32>,
}

/// Offsets in `runtime.m` (`src/runtime/runtime2.go`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MFields {
    /// The size of the struct.
    pub size: u32,
    /// `g0`: the thread's scheduler goroutine.
    pub g0: u32,
    /// `procid`: the thread id as the thread's pid namespace counts it.
    pub procid: u32,
    /// `gsignal`: the thread's signal handling goroutine.
    pub gsignal: u32,
    /// `curg`: the user goroutine that runs on this thread, or nil.
    pub curg: u32,
    /// `p`: the processor that this thread holds, or nil.
    pub p: u32,
    /// `id`
    pub id: u32,
    /// `alllink`: the next thread in the list that starts at `runtime.allm`.
    pub alllink: u32,
    /// `lockedg`
    pub lockedg: u32,
}

/// Offsets in `runtime.p` (`src/runtime/runtime2.go`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PFields {
    /// The size of the struct.
    pub size: u32,
    /// `id`: 32 bits.
    pub id: u32,
    /// `status`: 32 bits.
    pub status: u32,
    /// `m`: back to the thread that holds it.
    pub m: u32,
    /// How many dead goroutines the processor keeps for reuse: `gFree.n`, from Go 1.25 `gFree.size`; 32 bits.
    pub gfree_count: u32,
    /// `goidcache`: the next id that it gives to a goroutine, 64 bits; up to [the end](Self::goid_cache_end) it has more.
    pub goid_cache: Option<u32>,
    /// `goidcacheend`: 64 bits.
    pub goid_cache_end: Option<u32>,
    /// `goroutinesCreated`, since Go 1.26: 64 bits.
    pub goroutines_created: Option<u32>,
}

/// Offsets in `runtime.sudog` (`src/runtime/runtime2.go`): one goroutine in one wait queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SudogFields {
    /// The size of the struct.
    pub size: u32,
    /// `g`
    pub g: u32,
    /// `next` in the queue, or the right child in the semaphore treap.
    pub next: u32,
    /// `prev` in the queue, or the left child in the semaphore treap.
    pub prev: u32,
    /// The address that is waited for or copied through. From Go 1.26 `elem` is a pair of which the second
    /// word is the address; this is the offset of the address itself in every release.
    pub elem: u32,
    /// `isSelect`: one byte.
    pub is_select: u32,
    /// `parent` in the semaphore treap.
    pub parent: u32,
    /// `waitlink`: the next sudog of the same goroutine, or of the same address in the semaphore treap.
    pub waitlink: u32,
    /// The channel. From Go 1.26 `c` is a pair as `elem` is; this is the offset of the address itself.
    pub c: u32,
}

/// Offsets in `runtime.hchan` (`src/runtime/chan.go`): a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HchanFields {
    /// The size of the struct.
    pub size: u32,
    /// `qcount`: elements in the buffer, 64 bits.
    pub qcount: u32,
    /// `dataqsiz`: capacity, 64 bits.
    pub dataqsiz: u32,
    /// `elemsize`: 16 bits.
    pub elemsize: u32,
    /// `closed`: 32 bits.
    pub closed: u32,
    /// `timer`, since Go 1.23: not nil for `time.After` and `time.Ticker`.
    pub timer: Option<u32>,
    /// `elemtype`: a type descriptor.
    pub elemtype: u32,
    /// `recvq.first`: the first waiting receiver, a `sudog`.
    pub recvq_first: u32,
    /// `sendq.first`: the first waiting sender, a `sudog`.
    pub sendq_first: u32,
}

/// Offsets in `runtime.timer` (`src/runtime/time.go`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimerFields {
    /// `when`: nanoseconds of `CLOCK_MONOTONIC`, 64 bits.
    pub when: u32,
    /// `period`: 64 bits.
    pub period: u32,
    /// `arg`: an interface, which has the channel that a `time.Timer` sends on. Read up to Go 1.22 only.
    pub arg: Option<u32>,
    /// `status`, up to Go 1.22: 32 bits.
    pub status: Option<u32>,
}

/// Offsets in `runtime.ancestorInfo` (`src/runtime/runtime2.go`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AncestorFields {
    /// The size of the struct.
    pub size: u32,
    /// `pcs`: a slice of return addresses.
    pub pcs: u32,
    /// `goid`
    pub goid: u32,
    /// `gopc`
    pub gopc: u32,
}

/// Offsets in `runtime.schedt` (`src/runtime/runtime2.go`), the type of `runtime.sched`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchedFields {
    /// `lock`: what the disassembly finds of `sched`.
    pub lock: u32,
    /// `ngsys`: how many goroutines are the runtime's own, 32 bits.
    pub ngsys: u32,
    /// Where the counts of globally free dead goroutines are, each 32 bits: `gFree.n` up to Go 1.24,
    /// `gFree.stack.size` and `gFree.noStack.size` from 1.25.
    pub gfree_counts: Vec<u32>,
    /// `goroutinesCreated`, since Go 1.26: 64 bits.
    pub goroutines_created: Option<u32>,
}

impl From<Schedt> for SchedFields {
    fn from(schedt: Schedt) -> Self {
        let Schedt { lock, ngsys, gfree_counts, goroutines_created } = schedt;
        Self { lock, ngsys, gfree_counts: gfree_counts.to_vec(), goroutines_created }
    }
}
