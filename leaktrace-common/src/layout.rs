//! What userspace tells the programs of one process: constants that they are loaded with, and switches that can be
//! turned meanwhile; and what they count.

use core::mem::size_of;

use crate::cookie::GRegister;
use crate::drops::DropReason;
use crate::event::Kind;

/// The value of an offset that this Go release does not have.
pub const ABSENT: u32 = u32::MAX;

/// In [`Constants::g_registers`]: the sites of this kind differ, and each has its register in its cookie.
pub const IN_COOKIE: u8 = u8::MAX;

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

/// What never changes about one process. Each has programs of its own that are loaded with it in read-only data, so
/// that the verifier knows it and takes out the branches that this process never takes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Constants {
    /// Where its runtime keeps things.
    pub layout: GoLayout,
    /// Its number among all that are traced: what its records say in [`crate::event::Header::target`].
    pub target: u32,
    /// Its process id as the kernel's initial namespace counts it; 0 where that is not known.
    pub tgid: u32,
    /// Not 0: hits by other processes are told by `tgid` and not recorded. 0 where the kernel's own filter does that:
    /// asking at each hit costs time.
    pub checks_tgid: u32,
    /// By [`Kind::index`]: the [`GRegister`] that has the `g`, or [`IN_COOKIE`].
    pub g_registers: [u8; Kind::ALL.len()],
    /// Always 0.
    pub reserved: [u8; 3],
}

impl Constants {
    /// How many bytes they are.
    pub const SIZE: usize = size_of::<Self>();

    /// What the object is compiled with: a process whose every hit is counted and dropped, should anything be loaded
    /// without constants.
    pub const NOBODY: Self = Self {
        layout: GoLayout {
            g_goid: 0,
            g_parent_goid: ABSENT,
            g_gopc: 0,
            g_startpc: 0,
            g_waitreason: 0,
            g_m: 0,
            g_sched_bp: 0,
            m_curg: 0,
        },
        target: u32::MAX,
        tgid: 0,
        checks_tgid: 1,
        g_registers: [GRegister::Arg0 as u8; Kind::ALL.len()],
        reserved: [0; 3],
    };

    /// The bytes of the section that the programs have them in.
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let layout = &self.layout;
        let [birth, end, park, ready, site] = self.g_registers;
        let [first, second, third] = self.reserved;
        let words = [
            layout.g_goid,
            layout.g_parent_goid,
            layout.g_gopc,
            layout.g_startpc,
            layout.g_waitreason,
            layout.g_m,
            layout.g_sched_bp,
            layout.m_curg,
            self.target,
            self.tgid,
            self.checks_tgid,
            u32::from_ne_bytes([birth, end, park, ready]),
            u32::from_ne_bytes([site, first, second, third]),
        ];
        let mut bytes = [0; Self::SIZE];
        for (to, word) in bytes.chunks_exact_mut(size_of::<u32>()).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }
}

/// What userspace can change while the programs are attached.
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

/// What one CPU has counted of one kind of event.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindCounters {
    /// Hits that became no record, by [`DropReason`]. Before the hits, because the kernel copies from front to back: what
    /// is read while it is counted never has more drops than hits.
    pub drops: [u64; DropReason::COUNT],
    /// How often a probe was hit.
    pub hits: u64,
}

const _: () = assert!(size_of::<GoLayout>() == 32);
const _: () = assert!(size_of::<Constants>() == 52);
const _: () = assert!(size_of::<Control>() == 16);
const _: () = assert!(size_of::<KindCounters>() == 32);

// SAFETY: `repr(C)`, only integers, no padding: every bit pattern is a value.
#[cfg(feature = "user")]
unsafe impl aya::Pod for Control {}

// SAFETY: `repr(C)`, only integers, no padding: every bit pattern is a value.
#[cfg(feature = "user")]
unsafe impl aya::Pod for KindCounters {}

#[cfg(test)]
mod tests {
    use core::mem::offset_of;

    use super::*;

    #[test]
    fn the_bytes_of_the_constants_are_where_the_programs_look() {
        let layout = GoLayout { g_goid: 1, m_curg: 8, ..Constants::NOBODY.layout };
        let g_registers = [12, 13, 14, 15, 16];
        let constants =
            Constants { layout, target: 9, tgid: 10, checks_tgid: 11, g_registers, reserved: [0; 3] };
        let bytes = constants.to_bytes();
        let word = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        assert_eq!(word(offset_of!(Constants, layout) + offset_of!(GoLayout, g_goid)), 1);
        assert_eq!(word(offset_of!(Constants, layout) + offset_of!(GoLayout, m_curg)), 8);
        assert_eq!(word(offset_of!(Constants, target)), 9);
        assert_eq!(word(offset_of!(Constants, tgid)), 10);
        assert_eq!(word(offset_of!(Constants, checks_tgid)), 11);
        assert_eq!(bytes[offset_of!(Constants, g_registers)..], [12, 13, 14, 15, 16, 0, 0, 0]);
    }
}
