//! One file for each kind of event: what is read from the target and written to the ring.

pub(crate) mod exit;
pub(crate) mod park;
pub(crate) mod ready;
pub(crate) mod site;
pub(crate) mod spawn;

use aya_ebpf::{helpers::bpf_ktime_get_ns, programs::ProbeContext};
use leaktrace_common::event::{Header, Kind};

use crate::{
    g, maps,
    target::{LEAKTRACE_TARGET, constant},
};

/// Why a hit became no record.
#[derive(Clone, Copy)]
pub(crate) enum ProbeError {
    RingFull,
    Unreadable,
    OtherProcess,
}

/// What every probe knows before it reads the target's memory.
pub(crate) struct Hit {
    kind: Kind,
    g: u64,
    /// How many hits of this kind there were before on this CPU.
    pub(crate) earlier: u64,
}

impl Hit {
    #[inline]
    fn of(ctx: &ProbeContext, kind: Kind, earlier: u64) -> Result<Self, ProbeError> {
        if maps::is_ended() || is_of_another_process() {
            return Err(ProbeError::OtherProcess);
        }
        Ok(Self { kind, g: g::of_event(ctx, kind), earlier })
    }

    #[inline]
    fn header(&self, goid: u64) -> Header {
        // SAFETY: the helper has no preconditions.
        let ktime = unsafe { bpf_ktime_get_ns() };
        Header { kind: self.kind as u32, target: constant(&LEAKTRACE_TARGET.target), ktime, goid, g: self.g }
    }
}

#[inline]
fn is_of_another_process() -> bool {
    constant(&LEAKTRACE_TARGET.checks_tgid) != 0 && g::current_tgid() != constant(&LEAKTRACE_TARGET.tgid)
}
