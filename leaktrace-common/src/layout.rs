//! The offsets in the target's runtime that the probes need, as userspace writes them to the `LAYOUTS` map.

use core::mem::size_of;

/// The value of an offset that this Go release does not have.
pub const ABSENT: u32 = u32::MAX;

/// How many processes one loaded set of programs can serve.
pub const MAX_TARGETS: u32 = 64;

/// Offsets in bytes from the start of the named runtime struct of one process.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoLayout {
    /// 1 once userspace has filled this entry; 0 makes the probes count `NoLayout`.
    pub valid: u32,
    /// `runtime.g.goid`
    pub g_goid: u32,
    /// `runtime.g.parentGoid`, or [`ABSENT`] before Go 1.21
    pub g_parent_goid: u32,
    /// `runtime.g.gopc`
    pub g_gopc: u32,
    /// `runtime.g.startpc`
    pub g_startpc: u32,
    /// `runtime.g.waitreason`
    pub g_waitreason: u32,
    /// `runtime.g.m`
    pub g_m: u32,
    /// `runtime.g.sched.bp`
    pub g_sched_bp: u32,
    /// `runtime.m.curg`
    pub m_curg: u32,
    /// Always 0.
    pub reserved: u32,
}

const _: () = assert!(size_of::<GoLayout>() == 40);

/// What userspace can change while the programs are attached, entry 0 of the `CONTROL` map.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control {
    /// Creator stacks are taken for this many births of each site before sampling starts.
    pub stacks_per_site: u32,
    /// After that, for every birth of the site whose count has none of these bits; all ones takes none.
    pub stack_sample_mask: u32,
}

const _: () = assert!(size_of::<Control>() == 8);

// SAFETY: `repr(C)`, only integers, no padding: every bit pattern is a value.
#[cfg(feature = "user")]
unsafe impl aya::Pod for GoLayout {}

// SAFETY: `repr(C)`, only integers, no padding: every bit pattern is a value.
#[cfg(feature = "user")]
unsafe impl aya::Pod for Control {}
