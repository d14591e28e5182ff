//! `runtime.ready`: a waiting goroutine is made runnable, on behalf of another or of the runtime.

use aya_ebpf::programs::ProbeContext;
use leaktrace_common::{
    cookie::GRegister,
    event::{Kind, Ready},
};

use super::{Hit, ProbeError};
use crate::{emit, g, maps};

#[inline]
pub(crate) fn try_ready(ctx: &ProbeContext, earlier: u64) -> Result<(), ProbeError> {
    let hit = Hit::of(ctx, Kind::Ready, earlier)?;
    let goid = g::goid(hit.g)?;
    let waker_goid =
        if maps::wants_wakers() { g::user_goid(g::in_register(ctx, GRegister::Current)) } else { 0 };
    emit::record(&hit, &Ready { header: hit.header(goid), waker_goid })
}
