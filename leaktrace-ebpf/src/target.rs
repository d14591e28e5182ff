//! What is known of the target when its programs are loaded.

use core::ptr;

use leaktrace_common::layout::Constants;

/// The loader puts the target's own constants here and freezes them before the verifier sees the programs.
#[cfg_attr(target_arch = "bpf", unsafe(link_section = ".rodata.target"))]
#[unsafe(no_mangle)]
pub(crate) static LEAKTRACE_TARGET: Constants = Constants::NOBODY;

/// Reads one of the constants in [`LEAKTRACE_TARGET`]: to the compiler it may be anything, and the verifier knows it.
#[inline]
pub(crate) fn constant<T: Copy>(place: &'static T) -> T {
    // SAFETY: a reference is valid to read from.
    unsafe { ptr::read_volatile(place) }
}
