//! What crosses the kernel boundary: the records that the eBPF programs write to the ring buffer, the constants
//! that they are loaded with and the switches that userspace writes, and the reasons for which a record can be lost.
//!
//! Everything here is `#[repr(C)]`, without implicit padding, and its size is asserted at compile time on both
//! sides. Decoding is not done here: see `leaktrace_core::trace::decode`, and `leaktrace_core::node::process_event`.
#![no_std]

pub mod cookie;
pub mod drops;
pub mod event;
pub mod layout;
pub mod process;

/// Changes whenever a type in this crate changes its meaning or layout.
///
/// The eBPF object carries it in a read-only global that is compared before anything is attached.
pub const ABI_VERSION: u32 = 5;
