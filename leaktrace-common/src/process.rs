//! The records about processes of the machine, whatever they run, and what their programs are told of the kernel.

use core::mem::size_of;

/// What happened to a process. The value is the first word of every record.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProcessKind {
    /// It has become another program: the tracepoint `sched_process_exec`.
    Exec = 1,
    /// Its last thread exits: `sched_process_exit`.
    Exit = 2,
    /// The OOM killer has chosen it: `mark_victim`.
    OomVictim = 3,
}

impl ProcessKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Exec, Self::Exit, Self::OomVictim];

    /// The kind with this wire value, if there is one.
    pub const fn from_wire(value: u32) -> Option<Self> {
        match value {
            1 => Some(Self::Exec),
            2 => Some(Self::Exit),
            3 => Some(Self::OomVictim),
            _ => None,
        }
    }
}

/// In [`ProcessRecord::status`]: it is not known, or there is none.
pub const NO_STATUS: u32 = u32::MAX;

/// Something that happened to a process.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessRecord {
    /// A [`ProcessKind`] as a number.
    pub kind: u32,
    /// The process, as the kernel's initial namespace counts it.
    pub tgid: u32,
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    pub ktime: u64,
    /// What it ends with, as `waitpid(2)` has it, or [`NO_STATUS`].
    pub status: u32,
    /// Always 0.
    pub reserved: u32,
}

/// The value of an offset that is not known.
pub const UNKNOWN: u32 = u32::MAX;

/// Offsets in bytes from the start of structs of the running kernel, as its BTF has them; each may be [`UNKNOWN`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskLayout {
    /// `task_struct.tgid`
    pub task_tgid: u32,
    /// `task_struct.exit_code`
    pub task_exit_code: u32,
    /// `task_struct.group_leader`
    pub task_group_leader: u32,
    /// `task_struct.signal`
    pub task_signal: u32,
    /// `signal_struct.live`: how many threads have not begun to exit.
    pub signal_live: u32,
    /// `signal_struct.flags`
    pub signal_flags: u32,
    /// `signal_struct.group_exit_code`
    pub signal_group_exit_code: u32,
}

impl TaskLayout {
    /// How many bytes it is.
    pub const SIZE: usize = size_of::<Self>();

    /// Of a kernel of which nothing is known.
    pub const NONE: Self = Self {
        task_tgid: UNKNOWN,
        task_exit_code: UNKNOWN,
        task_group_leader: UNKNOWN,
        task_signal: UNKNOWN,
        signal_live: UNKNOWN,
        signal_flags: UNKNOWN,
        signal_group_exit_code: UNKNOWN,
    };

    /// The bytes of the section that the programs have it in.
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let words = [
            self.task_tgid,
            self.task_exit_code,
            self.task_group_leader,
            self.task_signal,
            self.signal_live,
            self.signal_flags,
            self.signal_group_exit_code,
        ];
        let mut bytes = [0; Self::SIZE];
        for (to, word) in bytes.chunks_exact_mut(size_of::<u32>()).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }
}

const _: () = assert!(size_of::<ProcessRecord>() == 24);
const _: () = assert!(size_of::<TaskLayout>() == 28);

#[cfg(test)]
mod tests {
    use core::mem::offset_of;

    use super::*;

    #[test]
    fn every_kind_survives_the_wire() {
        for kind in ProcessKind::ALL {
            assert_eq!(ProcessKind::from_wire(kind as u32), Some(kind));
        }
        assert_eq!([0, 4].map(ProcessKind::from_wire), [None; 2]);
    }

    #[test]
    fn the_bytes_of_the_layout_are_where_the_programs_look() {
        let layout = TaskLayout { task_exit_code: 7, signal_group_exit_code: 9, ..TaskLayout::NONE };
        let bytes = layout.to_bytes();
        let word = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        assert_eq!(word(offset_of!(TaskLayout, task_exit_code)), 7);
        assert_eq!(word(offset_of!(TaskLayout, signal_group_exit_code)), 9);
        assert_eq!(word(offset_of!(TaskLayout, signal_live)), UNKNOWN);
    }
}
