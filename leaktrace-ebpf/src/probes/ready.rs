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
    let hit = Hit::of(ctx, earlier)?;
    let goid = g::goid(hit.g, hit.layout())?;
    let waker_goid = if maps::control().is_some_and(|control| control.wakers != 0) {
        g::user_goid(g::in_register(ctx, GRegister::Current), hit.layout())
    } else {
        0
    };
    emit::record(&hit, &Ready { header: hit.header(Kind::Ready, goid), waker_goid })
}
