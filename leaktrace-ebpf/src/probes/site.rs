//! The call of `runtime.newproc` by one `go` statement: the new goroutine does not exist yet, and its creator is running.

use aya_ebpf::programs::ProbeContext;
use leaktrace_common::{
    cookie::GRegister,
    event::{Birth, Kind, StackState},
};

use super::{Hit, ProbeError};
use crate::{
    emit, g,
    maps::{self, BirthWithStack},
};

#[inline]
pub(crate) fn try_site(ctx: &ProbeContext, earlier: u64) -> Result<(), ProbeError> {
    let hit = Hit::of(ctx, Kind::Site, earlier)?;
    let goid = g::goid(hit.g)?;
    let birth = Birth {
        header: hit.header(goid),
        parent_goid: goid,
        creation_pc: g::return_address_of_call(ctx),
        start_pc: g::function_of(g::in_register(ctx, GRegister::Arg0))?,
        stack_len: 0,
        stack_state: StackState::NoRoom as u32,
    };
    match maps::with_scratch(|slot| fill(ctx, &hit, &birth, slot)) {
        Some(written) => written,
        None => emit::record(&hit, &birth),
    }
}

/// Completes and writes a record with the creator's stack: where the call returns to, and the callers.
#[inline]
fn fill(ctx: &ProbeContext, hit: &Hit, birth: &Birth, slot: &mut BirthWithStack) -> Result<(), ProbeError> {
    slot.birth = *birth;
    let [innermost, callers @ ..] = &mut slot.frames;
    *innermost = birth.creation_pc;
    let (len, state) = g::walk(g::frame_pointer(ctx), callers);
    slot.birth.stack_len = len + 1;
    slot.birth.stack_state = state as u32;
    emit::birth_with_stack(hit, slot)
}
