//! One file for each kind of event: what is read from the target and written to the ring.

pub(crate) mod exit;
pub(crate) mod park;
pub(crate) mod ready;
pub(crate) mod spawn;

use aya_ebpf::programs::ProbeContext;
use aya_ebpf::{EbpfContext as _, helpers::bpf_ktime_get_ns, helpers::generated::bpf_get_attach_cookie};
use leaktrace_common::{
    cookie,
    event::{Header, Kind},
    layout::{GoLayout, Target},
};

use crate::{g, maps};

/// Why a hit became no record.
#[derive(Clone, Copy)]
pub(crate) enum ProbeError {
    RingFull,
    Unreadable,
    UnknownTarget,
    UnknownRegister,
    OtherProcess,
}

/// What every probe knows before it reads the target's memory.
pub(crate) struct Hit {
    target: &'static Target,
    index: u32,
    g: u64,
    /// How many hits of this kind there were before on this CPU.
    pub(crate) earlier: u64,
}

impl Hit {
    #[inline]
    fn of(ctx: &ProbeContext, earlier: u64) -> Result<Self, ProbeError> {
        // SAFETY: the helper wants the context of the running program, and `ctx` is that.
        let cookie = unsafe { bpf_get_attach_cookie(ctx.as_ptr()) };
        let index = cookie::target(cookie);
        let target = maps::target(index).ok_or(ProbeError::UnknownTarget)?;
        if target.tgid != 0 && target.tgid != g::current_tgid() {
            return Err(ProbeError::OtherProcess);
        }
        let register = cookie::register(cookie).ok_or(ProbeError::UnknownRegister)?;
        Ok(Self { target, index, g: g::in_register(ctx, register), earlier })
    }

    #[inline]
    fn layout(&self) -> &'static GoLayout {
        &self.target.layout
    }

    #[inline]
    fn header(&self, kind: Kind, goid: u64) -> Header {
        // SAFETY: the helper has no preconditions.
        let ktime = unsafe { bpf_ktime_get_ns() };
        Header { kind: kind as u32, target: self.index, ktime, goid, g: self.g }
    }
}
