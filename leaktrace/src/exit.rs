//! The exit codes.

/// Why we end otherwise than well, as scripts see it.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All went well, and found what the user wants to fail on.
    Found = 1,
    /// Wrong use, or an error of the system that has no code of its own.
    Usage = 2,
    /// No such process, or it has gone.
    NoTarget = 3,
    /// Not permitted.
    NotPermitted = 4,
    /// The kernel lacks what is needed.
    Kernel = 5,
    /// Not a Go program, or not one that can be read, or not a file of ours that can be.
    NotReadable = 6,
    /// A program is there and cannot be started, as shells say it.
    CannotStart = 126,
    /// There is no such program, as shells say it.
    NoProgram = 127,
}
