//! The atomic operations that the maps need. rustc offers loads and stores of 64 bits for the BPF target, no more.

use core::{cell::UnsafeCell, sync::atomic::AtomicU64};

/// A word that userspace or another program writes while we read it. The kernel's compilers make one access of a load
/// or store of an aligned word, which is all that relaxed atomics promise.
#[repr(transparent)]
pub(crate) struct Word(UnsafeCell<u32>);

// SAFETY: it is only accessed through `load` and `store`.
unsafe impl Sync for Word {}

impl Word {
    pub(crate) const fn new(value: u32) -> Self {
        Self(UnsafeCell::new(value))
    }

    #[inline]
    pub(crate) fn load(&self) -> u32 {
        // SAFETY: the cell's pointer is valid, and a volatile access is made once and as a whole.
        unsafe { self.0.get().read_volatile() }
    }

    #[inline]
    pub(crate) fn store(&self, value: u32) {
        // SAFETY: as for `load`.
        unsafe { self.0.get().write_volatile(value) }
    }
}

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
