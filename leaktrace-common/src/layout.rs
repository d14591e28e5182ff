//! What userspace tells the probes: the offsets in a target's runtime, whose events count, and how much to take.

use core::mem::size_of;

/// The value of an offset that this Go release does not have.
pub const ABSENT: u32 = u32::MAX;

/// How many processes one loaded set of programs can serve.
pub const MAX_TARGETS: u32 = 64;

/// Offsets in bytes from the start of the named runtime struct of one process.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoLayout {
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
}

/// One process, an entry of the `TARGETS` map.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where its runtime keeps things.
    pub layout: GoLayout,
    /// Its process id as the kernel's initial namespace counts it; hits by others are not recorded. 0 where the
    /// kernel's own filter does that: asking at each hit costs time.
    pub tgid: u32,
    /// 1 once userspace has filled this entry; 0 makes the probes count [`crate::drops::DropReason::NoLayout`].
    pub valid: u32,
}

/// What userspace can change while the programs are attached, entry 0 of the `CONTROL` map.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control {
    /// Creator stacks are taken for this many births of each creation pc before sampling starts.
    pub stacks_per_site: u32,
    /// After that, for every birth of the site whose count has none of these bits; all ones takes none.
    pub stack_sample_mask: u32,
    /// The reader is woken when this many bytes wait in the ring buffer; [`u32::MAX`] never wakes it.
    pub wakeup_bytes: u32,
    /// Not 0: records of [`crate::event::Ready`] say which goroutine did it, at the price of three more reads.
    pub wakers: u32,
}

const _: () = assert!(size_of::<GoLayout>() == 32);
const _: () = assert!(size_of::<Target>() == 40);
const _: () = assert!(size_of::<Control>() == 16);

// SAFETY: `repr(C)`, only integers, no padding: every bit pattern is a value.
#[cfg(feature = "user")]
unsafe impl aya::Pod for Target {}

// SAFETY: `repr(C)`, only integers, no padding: every bit pattern is a value.
#[cfg(feature = "user")]
unsafe impl aya::Pod for Control {}
