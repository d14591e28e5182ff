//! `runtime.park_m`: a goroutine begins to wait, and has said for what.

use aya_ebpf::programs::ProbeContext;
use leaktrace_common::event::{Kind, Park};

use super::{Hit, ProbeError};
use crate::{emit, g};

#[inline]
pub(crate) fn try_park(ctx: &ProbeContext, earlier: u64) -> Result<(), ProbeError> {
    let hit = Hit::of(ctx, Kind::Park, earlier)?;
    let (goid, wait_reason) = g::goid_and_wait_reason(hit.g)?;
    let header = hit.header(goid);
    emit::record(&hit, &Park { header, wait_reason: u32::from(wait_reason), reserved: 0 })
}
