//! Where the fields of runtime structs lie in one particular binary.
//!
//! Offsets change between Go releases and even between patch releases (`runtime.m` grew between 1.24.3 and
//! 1.24.11), so they come from the target itself and are checked against the live process before they are
//! believed. This module reads no goroutines: it says where to read.

mod fields;

pub use fields::{
    AncestorFields, GFields, HchanFields, LabelsFormat, MFields, PFields, SchedFields, SudogFields,
    TimerFields,
};

use leaktrace_common::layout::{ABSENT, GoLayout};

/// Where a layout's offsets were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutSource {
    /// The binary's debug information.
    Dwarf,
    /// The type descriptors that every Go binary carries, stripped or not.
    TypeDescriptors,
}

impl LayoutSource {
    /// The words under which a user is told.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dwarf => "debug information",
            Self::TypeDescriptors => "type descriptors",
        }
    }
}

/// The offsets of one binary's runtime structs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// `runtime.g`
    pub g: GFields,
    /// `runtime.m`
    pub m: MFields,
    /// `runtime.p`
    pub p: PFields,
    /// `runtime.sudog`
    pub sudog: SudogFields,
    /// `runtime.hchan`
    pub hchan: HchanFields,
    /// `runtime.timer`, where the binary links it.
    pub timer: Option<TimerFields>,
    /// `runtime.ancestorInfo`
    pub ancestor: Option<AncestorFields>,
    /// `runtime.schedt`, where a source or the table for releases like this one has it.
    pub sched: Option<SchedFields>,
    /// How `g.labels` is to be read.
    pub labels: LabelsFormat,
}

impl Layout {
    /// The few offsets that the probes need.
    pub fn for_probes(&self) -> GoLayout {
        GoLayout {
            g_goid: self.g.goid,
            g_parent_goid: self.g.parent_goid.unwrap_or(ABSENT),
            g_gopc: self.g.gopc,
            g_startpc: self.g.startpc,
            g_waitreason: self.g.waitreason,
            g_m: self.g.m,
            g_sched_bp: self.g.sched_bp,
            m_curg: self.m.curg,
        }
    }
}
