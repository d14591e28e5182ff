//! What a probe writes and what a walk reads, in a few words.

use leaktrace_common::event::Kind;
use leaktrace_core::base::num::{Avma, GPtr, Goid, Ktime, Pc, ReturnPc};
use leaktrace_core::go::goroutines::{Goroutine, GoroutineKind, Snapshot, StackBounds, StackTable, Want};
use leaktrace_core::go::names::Status;

/// The site that goroutines come from unless another is named.
pub(crate) const SITE: u64 = 0x40_1000;

/// A record as the kernel side writes it.
pub(crate) fn record(kind: Kind, at: u64, goid: u64, rest: &[u64]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    bytes.extend((kind as u32).to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes());
    let header = [at, goid, 0xc000_0000 + goid * 512];
    bytes.extend(header.iter().chain(rest).flat_map(|word| word.to_ne_bytes()));
    bytes
}

/// A goroutine of [`SITE`] as a snapshot shows it.
pub(crate) fn goroutine(goid: u64, status: Status, wait_reason: u8) -> Goroutine {
    Goroutine {
        goid: Goid(goid),
        g: GPtr(0xc000_0000 + goid * 512),
        parent_goid: Some(Goid(1)),
        gopc: ReturnPc(SITE),
        startpc: Pc(SITE + 0x100),
        stack: StackBounds { lo: Avma(0x1000), hi: Avma(0x1800) },
        wait_since: None,
        labels: Avma(0),
        waiting: Avma(0),
        stack_id: None,
        stack_used: 0,
        status,
        wait_reason,
        tracking_seq: None,
        locked: false,
        moved: false,
        kind: GoroutineKind::User,
    }
}

/// A complete snapshot.
pub(crate) fn snapshot(started: u64, finished: u64, goroutines: Vec<Goroutine>) -> Snapshot {
    Snapshot {
        goroutines,
        stacks: StackTable::new(),
        started: Ktime(started),
        finished: Ktime(finished),
        want: Want::Stacks,
        unreadable: 0,
        moved: 0,
        dead: 0,
        beyond_limit: 0,
    }
}
