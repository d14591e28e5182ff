//! The end of `runtime.newproc1`: the new `g` is filled in and not yet on any run queue.

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
pub(crate) fn try_birth(ctx: &ProbeContext, earlier: u64) -> Result<(), ProbeError> {
    let hit = Hit::of(ctx, Kind::Birth, earlier)?;
    let mut birth = birth(ctx, &hit)?;
    if !wants_stack(birth.creation_pc) {
        return emit::record(&hit, &birth);
    }
    birth.stack_state = StackState::NoRoom as u32;
    match maps::with_scratch(|slot| fill(ctx, &hit, &birth, slot)) {
        Some(written) => written,
        None => emit::record(&hit, &birth),
    }
}

/// The record without a stack.
#[inline]
fn birth(ctx: &ProbeContext, hit: &Hit) -> Result<Birth, ProbeError> {
    let origin = g::origin(hit.g)?;
    let parent_goid = if g::has_parent_goid() {
        origin.parent_goid
    } else {
        g::user_goid(g::in_register(ctx, GRegister::Current))
    };
    Ok(Birth {
        header: hit.header(origin.goid),
        parent_goid,
        creation_pc: origin.creation_pc,
        start_pc: origin.start_pc,
        stack_len: 0,
        stack_state: StackState::NotSampled as u32,
    })
}

/// Completes and writes a record with the creator's stack.
#[inline]
fn fill(ctx: &ProbeContext, hit: &Hit, birth: &Birth, slot: &mut BirthWithStack) -> Result<(), ProbeError> {
    slot.birth = *birth;
    let (len, state) = match creators_frame(ctx) {
        Ok(frame) => g::walk(frame, &mut slot.frames),
        Err(_) => (0, StackState::Faulted),
    };
    slot.birth.stack_len = len;
    slot.birth.stack_state = state as u32;
    emit::birth_with_stack(hit, slot)
}

/// The innermost frame of the creator.
///
/// `newproc1` runs on the thread's own stack, so the creator's registers are where it left them. A goroutine
/// that the runtime starts while no goroutine is running has its creator on this very stack.
#[inline]
fn creators_frame(ctx: &ProbeContext) -> Result<u64, ProbeError> {
    match g::user_goroutine(g::in_register(ctx, GRegister::Current)) {
        Some(creator) => g::saved_frame_pointer(creator),
        None => Ok(g::frame_pointer(ctx)),
    }
}

#[inline]
fn wants_stack(creation_pc: u64) -> bool {
    let (per_site, mask) = maps::stacks_wanted();
    !takes_none(per_site, mask) && is_sampled(per_site, mask, maps::count_birth(creation_pc))
}

#[inline]
fn takes_none(per_site: u32, mask: u32) -> bool {
    per_site == 0 && mask == u32::MAX
}

/// Whether the birth that `earlier` ones of the same site came before has its stack taken.
#[inline]
fn is_sampled(per_site: u32, mask: u32, earlier: u64) -> bool {
    earlier < u64::from(per_site) || (mask != u32::MAX && earlier & u64::from(mask) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampled(per_site: u32, mask: u32) -> Vec<u64> {
        (0..12)
            .filter(|&earlier| !takes_none(per_site, mask) && is_sampled(per_site, mask, earlier))
            .collect()
    }

    #[test]
    fn the_first_births_of_a_site_and_then_every_nth_have_a_stack() {
        assert_eq!(sampled(2, 3), [0, 1, 4, 8]);
        assert_eq!(sampled(3, u32::MAX), [0, 1, 2]);
        assert_eq!(sampled(0, 3), [0, 4, 8]);
        assert_eq!(sampled(0, u32::MAX), []);
    }
}
