//! The records that the probes write, one struct a kind. All integers are in the byte order of the machine.

use core::mem::size_of;

/// What happened. The value is the first word of every record.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A goroutine was created: `runtime.newproc1` has filled in the new `g`.
    Birth = 1,
    /// A goroutine ended: `runtime.gdestroy` (Go 1.22+) or `runtime.goexit0`.
    End = 2,
    /// A goroutine began to wait: `runtime.park_m`.
    Park = 3,
    /// A waiting goroutine was made runnable: `runtime.ready`.
    Ready = 4,
    /// A `go` statement that is probed by itself ran: it is about to call `runtime.newproc`.
    Site = 5,
}

impl Kind {
    /// Every kind, in the order of the per-kind counters.
    pub const ALL: [Self; 5] = [Self::Birth, Self::End, Self::Park, Self::Ready, Self::Site];

    /// Those whose probes are in the runtime, and so see all goroutines.
    pub const IN_RUNTIME: [Self; 4] = [Self::Birth, Self::End, Self::Park, Self::Ready];

    /// The index of this kind in per-kind arrays such as [`crate::layout::Constants::g_registers`].
    pub const fn index(self) -> usize {
        self as usize - 1
    }

    /// The word that users read: `birth`, `end`, `park`, `ready` or `site`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Birth => "birth",
            Self::End => "end",
            Self::Park => "park",
            Self::Ready => "ready",
            Self::Site => "site",
        }
    }

    /// The kind with this wire value, if there is one.
    pub const fn from_wire(value: u32) -> Option<Self> {
        match value {
            1 => Some(Self::Birth),
            2 => Some(Self::End),
            3 => Some(Self::Park),
            4 => Some(Self::Ready),
            5 => Some(Self::Site),
            _ => None,
        }
    }
}

/// The most return addresses that a birth record carries.
pub const MAX_CREATOR_FRAMES: usize = 128;

/// What every record starts with.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// A [`Kind`] as a number.
    pub kind: u32,
    /// The number of the process that this is about, from [`crate::layout::Constants::target`].
    pub target: u32,
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    pub ktime: u64,
    /// The goroutine that this is about.
    pub goid: u64,
    /// The address of its `runtime.g` in the target.
    pub g: u64,
}

/// A goroutine was created, or is about to be. Followed by `stack_len` return addresses of the creator, innermost first.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Birth {
    /// `kind` is [`Kind::Birth`], and `goid` and `g` are the new goroutine's; or it is [`Kind::Site`], and they are the
    /// creator's, because there is no new one yet.
    pub header: Header,
    /// The goroutine that ran the `go` statement; 0 if the runtime itself did.
    pub parent_goid: u64,
    /// `g.gopc`: the return address of the `go` statement.
    pub creation_pc: u64,
    /// `g.startpc`: the entry of the function that was started.
    pub start_pc: u64,
    /// How many `u64` return addresses follow, at most [`MAX_CREATOR_FRAMES`].
    pub stack_len: u32,
    /// A [`StackState`] as a number.
    pub stack_state: u32,
}

/// Why a birth record has the creator's stack or not.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StackState {
    /// Not taken this time: the site has been sampled often enough.
    NotSampled = 0,
    /// Taken, to the outermost frame.
    Complete = 1,
    /// Taken, but the creator is deeper than [`MAX_CREATOR_FRAMES`].
    Truncated = 2,
    /// Tried, but the chain of frames broke off or could not be read; what was read follows.
    Faulted = 3,
    /// Wanted, but all room to build it in was taken by births that this one interrupted.
    NoRoom = 4,
}

impl StackState {
    /// The state with this wire value, if there is one.
    pub const fn from_wire(value: u32) -> Option<Self> {
        match value {
            0 => Some(Self::NotSampled),
            1 => Some(Self::Complete),
            2 => Some(Self::Truncated),
            3 => Some(Self::Faulted),
            4 => Some(Self::NoRoom),
            _ => None,
        }
    }
}

/// A goroutine ended.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// `kind` is [`Kind::End`].
    pub header: Header,
}

/// A goroutine began to wait.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Park {
    /// `kind` is [`Kind::Park`].
    pub header: Header,
    /// `g.waitreason`, an index into the target's own table of names.
    pub wait_reason: u32,
    /// Always 0.
    pub reserved: u32,
}

/// A waiting goroutine was made runnable.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// `kind` is [`Kind::Ready`]; `goid` and `g` are the woken goroutine's.
    pub header: Header,
    /// The goroutine on whose behalf the wake-up ran; 0 if there was none, or it was not
    /// [asked for](crate::layout::Control::wakers).
    pub waker_goid: u64,
}

const _: () = assert!(size_of::<Header>() == 32);
const _: () = assert!(size_of::<Birth>() == 64);
const _: () = assert!(size_of::<End>() == 32);
const _: () = assert!(size_of::<Park>() == 40);
const _: () = assert!(size_of::<Ready>() == 40);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_the_wire() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_wire(kind as u32), Some(kind));
            assert_eq!(Kind::ALL[kind.index()], kind);
        }
        assert_eq!(Kind::from_wire(0), None);
        assert_eq!(Kind::from_wire(6), None);
        assert_eq!(Kind::ALL[..4], Kind::IN_RUNTIME);
    }
}
