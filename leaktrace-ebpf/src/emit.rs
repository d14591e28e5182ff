//! Writes records to the ring buffer.

use core::{ffi::c_void, mem::size_of, ptr};

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::generated::{bpf_ringbuf_output, bpf_ringbuf_query},
};
use leaktrace_common::event::{Birth, End, MAX_CREATOR_FRAMES, Park, Ready};

use crate::{
    maps::{self, BirthWithStack, EVENTS},
    probes::{Hit, ProbeError},
};

/// Whether the reader is to be woken is asked by every so many hits of a kind on a CPU: by each, it would cost a
/// tenth of all that we do.
const ASKED_EVERY: u64 = 32;

/// The reader is woken by records that land in this many bytes beyond [`Control::wakeup_bytes`], not by later
/// ones: a wake-up costs many times a record. So many bytes hold hundreds of records, some of which ask.
///
/// [`Control::wakeup_bytes`]: leaktrace_common::layout::Control::wakeup_bytes
const WAKEUP_BAND: u64 = 64 << 10;

/// A struct that is a whole record.
///
/// # Safety
/// `repr(C)` without padding, so that no uninitialised byte reaches the reader.
pub(crate) unsafe trait Record {}

// SAFETY: sizes are asserted against their fields in `leaktrace_common::event`.
unsafe impl Record for Birth {}
// SAFETY: as above.
unsafe impl Record for End {}
// SAFETY: as above.
unsafe impl Record for Park {}
// SAFETY: as above.
unsafe impl Record for Ready {}

/// Writes a record of fixed size.
#[inline]
pub(crate) fn record<T: Record>(hit: &Hit, record: &T) -> Result<(), ProbeError> {
    output(hit, ptr::from_ref(record).cast(), size_of::<T>())
}

/// Writes a birth with the frames that it says it has.
#[inline]
pub(crate) fn birth_with_stack(hit: &Hit, record: &BirthWithStack) -> Result<(), ProbeError> {
    // It has no more; the verifier must see so too.
    let frames = (record.birth.stack_len as usize).min(MAX_CREATOR_FRAMES);
    output(hit, ptr::from_ref(record).cast(), size_of::<Birth>() + frames * size_of::<u64>())
}

#[inline]
fn output(hit: &Hit, data: *const c_void, size: usize) -> Result<(), ProbeError> {
    let ring = (&raw const EVENTS).cast_mut().cast::<c_void>();
    // SAFETY: `ring` is a ring buffer map; the verifier checks that `size` bytes can be read at `data`.
    let status = unsafe { bpf_ringbuf_output(ring, data.cast_mut(), size as u64, wakeup(hit, ring)) };
    if status == 0 { Ok(()) } else { Err(ProbeError::RingFull) }
}

#[inline]
fn wakeup(hit: &Hit, ring: *mut c_void) -> u64 {
    if !hit.earlier.is_multiple_of(ASKED_EVERY) {
        return u64::from(BPF_RB_NO_WAKEUP);
    }
    // SAFETY: `ring` is a ring buffer map.
    let waiting = unsafe { bpf_ringbuf_query(ring, u64::from(BPF_RB_AVAIL_DATA)) };
    u64::from(if must_wake(maps::wakeup_bytes(), waiting) { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP })
}

#[inline]
fn must_wake(wakeup_bytes: u32, waiting: u64) -> bool {
    wakeup_bytes != u32::MAX && waiting.wrapping_sub(u64::from(wakeup_bytes)) < WAKEUP_BAND
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reader_is_woken_when_the_ring_fills_and_not_by_every_record_after() {
        assert!(!must_wake(1 << 20, (1 << 20) - 1));
        assert!(must_wake(1 << 20, 1 << 20));
        assert!(!must_wake(1 << 20, (1 << 20) + WAKEUP_BAND));
        assert!(!must_wake(u32::MAX, u64::from(u32::MAX)));
    }
}
