//! What the runtime's numbers are called: goroutine states and the reasons for waiting.

mod read;

/// The bit of `g.atomicstatus` that says that the garbage collector is scanning this stack.
pub(crate) const SCAN_BIT: u32 = 0x1000;

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
    /// The state in a value of `g.atomicstatus`, whatever its scan bit, if it is a known one.
    pub const fn from_raw(raw: u32) -> Option<Self> {
        match raw & !SCAN_BIT {
            0 => Some(Self::Idle),
            1 => Some(Self::Runnable),
            2 => Some(Self::Running),
            3 => Some(Self::Syscall),
            4 => Some(Self::Waiting),
            6 => Some(Self::Dead),
            8 => Some(Self::CopyStack),
            9 => Some(Self::Preempted),
            10 => Some(Self::Leaked),
            11 => Some(Self::DeadExtra),
            _ => None,
        }
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

/// The names of the target's wait reasons, read from its own table: Go 1.24, 1.25 and 1.26 renumbered them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WaitReasons {
    names: Vec<Box<str>>,
}

impl WaitReasons {
    /// The table with these names, the first being that of reason 0.
    pub fn new(names: impl IntoIterator<Item = impl Into<Box<str>>>) -> Self {
        Self { names: names.into_iter().map(Into::into).collect() }
    }

    /// The name of reason `number`; reason 0 is the empty string. `None` if the target has no such reason.
    pub fn name(&self, number: u8) -> Option<&str> {
        self.names.get(usize::from(number)).map(AsRef::as_ref)
    }

    /// The number of the reason with this name.
    pub fn number(&self, name: &str) -> Option<u8> {
        self.names.iter().position(|known| &**known == name).and_then(|index| u8::try_from(index).ok())
    }

    /// How many reasons the target knows.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether the table could not be found.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The names in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(AsRef::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scan_bit_does_not_hide_a_state() {
        assert_eq!(Status::from_raw(4 | SCAN_BIT), Some(Status::Waiting));
        assert_eq!(Status::from_raw(11), Some(Status::DeadExtra));
        assert_eq!(Status::from_raw(5), None);
        assert_eq!(Status::from_raw(4 | 0x2000), None);
    }

    #[test]
    fn reasons_go_by_number_and_by_name() {
        let reasons = WaitReasons::new(["", "GC assist marking", "IO wait"]);
        assert_eq!(reasons.name(2), Some("IO wait"));
        assert_eq!(reasons.name(3), None);
        assert_eq!(reasons.number("IO wait"), Some(2));
    }
}
