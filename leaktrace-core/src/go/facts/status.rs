//! The states of goroutines, which no supported release has numbered anew.

/// The bit of `g.atomicstatus` that says that the garbage collector is scanning this stack.
pub(super) const SCAN_BIT: u32 = 0x1000;

/// The state of a goroutine: `_Gidle` and so on in `src/runtime/runtime2.go`, the same numbers in Go 1.19 to 1.27.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Status {
    /// Just allocated, not yet initialised.
    Idle = 0,
    /// On a run queue.
    Runnable = 1,
    /// Running Go code.
    Running = 2,
    /// In a system call or in C.
    Syscall = 3,
    /// Blocked; `g.waitreason` says on what.
    Waiting = 4,
    /// Ended, or not yet used.
    Dead = 6,
    /// Its stack is being moved.
    CopyStack = 8,
    /// Stopped itself to be suspended.
    Preempted = 9,
    /// Waiting, and found to be leaked by the runtime's own leak detection (Go 1.26+).
    Leaked = 10,
    /// Ready for a C thread that will call into Go; shows as `Dead` before Go 1.26.
    DeadExtra = 11,
}

impl Status {
    /// Every state, by its number.
    pub const ALL: [Self; 10] = [
        Self::Idle,
        Self::Runnable,
        Self::Running,
        Self::Syscall,
        Self::Waiting,
        Self::Dead,
        Self::CopyStack,
        Self::Preempted,
        Self::Leaked,
        Self::DeadExtra,
    ];

    /// The state in a value of `g.atomicstatus`, whatever its scan bit, if it is a known one.
    pub fn from_raw(raw: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|status| *status as u32 == raw & !SCAN_BIT)
    }

    /// The word that Go's own traceback prints for a goroutine in this state.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Runnable => "runnable",
            Self::Running => "running",
            Self::Syscall => "syscall",
            Self::Waiting => "waiting",
            Self::Dead | Self::DeadExtra => "dead",
            Self::CopyStack => "copystack",
            Self::Preempted => "preempted",
            Self::Leaked => "leaked",
        }
    }

    /// Whether there is a goroutine at all: a dead `g` keeps the id and the addresses of its last life.
    pub(crate) const fn is_alive(self) -> bool {
        !matches!(self, Self::Idle | Self::Dead | Self::DeadExtra)
    }

    /// Whether the goroutine waits for something, so that `g.waitreason` has a meaning.
    pub const fn is_waiting(self) -> bool {
        matches!(self, Self::Waiting | Self::Leaked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scan_bit_does_not_hide_a_state() {
        assert_eq!(Status::from_raw(4 | SCAN_BIT), Some(Status::Waiting));
        assert_eq!(Status::from_raw(11), Some(Status::DeadExtra));
        assert!(Status::ALL.into_iter().all(|status| Status::from_raw(status as u32) == Some(status)));
        assert_eq!(Status::from_raw(5), None);
        assert_eq!(Status::from_raw(4 | 0x2000), None);
    }
}
