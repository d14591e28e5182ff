//! `runtime.gdestroy`, or `runtime.goexit0` before Go 1.22: a goroutine ends.

use aya_ebpf::programs::ProbeContext;
use leaktrace_common::event::{End, Kind};

use super::{Hit, ProbeError};
use crate::{emit, g};

#[inline]
pub(crate) fn try_end(ctx: &ProbeContext, earlier: u64) -> Result<(), ProbeError> {
    let hit = Hit::of(ctx, Kind::End, earlier)?;
    let goid = g::goid(hit.g)?;
    emit::record(&hit, &End { header: hit.header(goid) })
}
