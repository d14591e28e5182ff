//! The two atomic operations that the maps need. rustc offers loads and stores for the BPF target, no more.

use core::sync::atomic::AtomicU64;

/// Adds 1; what the counter was before.
#[cfg(target_arch = "bpf")]
#[inline]
pub(crate) fn increment(counter: &AtomicU64) -> u64 {
    let mut value = 1_u64;
    // SAFETY: the pointer is that of an atomic, and the instruction changes nothing else.
    unsafe {
        core::arch::asm!(
            "{value} = atomic_fetch_add((u64 *)({at} + 0), {value})",
            value = inout(reg) value,
            at = in(reg) counter.as_ptr(),
        );
    }
    value
}

/// Stores `value`; what was there before.
#[cfg(target_arch = "bpf")]
#[inline]
pub(crate) fn swap(cell: &AtomicU64, value: u64) -> u64 {
    let mut value = value;
    // SAFETY: the pointer is that of an atomic, and the instruction changes nothing else.
    unsafe {
        core::arch::asm!(
            "{value} = xchg_64({at} + 0, {value})",
            value = inout(reg) value,
            at = in(reg) cell.as_ptr(),
        );
    }
    value
}

/// Adds 1; what the counter was before.
#[cfg(not(target_arch = "bpf"))]
pub(crate) fn increment(counter: &AtomicU64) -> u64 {
    counter.fetch_add(1, core::sync::atomic::Ordering::AcqRel)
}

/// Stores `value`; what was there before.
#[cfg(not(target_arch = "bpf"))]
pub(crate) fn swap(cell: &AtomicU64, value: u64) -> u64 {
    cell.swap(value, core::sync::atomic::Ordering::AcqRel)
}
