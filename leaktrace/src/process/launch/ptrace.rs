//! The requests of `ptrace(2)` that are made of a child.

use std::io;
use std::ptr::null_mut;

use libc::{c_int, c_uint};
use rustix::process::Pid as ChildPid;

use crate::signals::Mask;

/// Sets which signals a tracee has blocked (`include/uapi/linux/ptrace.h`, since Linux 3.11), and how long the kernel's mask
/// of them is.
const PTRACE_SETSIGMASK: c_uint = 0x420b;
const MASK_BYTES: usize = 8;

/// Blocks just these signals in the child, which stands still.
pub(super) fn set_mask(pid: ChildPid, signals: &Mask) -> io::Result<()> {
    let (pid, size) = (pid.as_raw_pid(), MASK_BYTES);
    // SAFETY: the kernel reads so many bytes of the mask, which the C library has at its beginning.
    match unsafe { libc::ptrace(PTRACE_SETSIGMASK, pid, size, signals.as_raw()) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

pub(super) fn set_options(pid: ChildPid, options: c_int) -> io::Result<()> {
    ptrace(libc::PTRACE_SETOPTIONS, Some(pid), options)
}

/// A request whose last argument is a number and that has no other. Rustix has none, and nix hands no real-time signals
/// through, which cgo's `setuid` sends to all threads.
pub(super) fn ptrace(request: c_uint, pid: Option<ChildPid>, data: c_int) -> io::Result<()> {
    let (pid, data) = (pid.map_or(0, ChildPid::as_raw_pid), libc::c_long::from(data));
    // SAFETY: none of the requests that are made here reads or writes our memory.
    match unsafe { libc::ptrace(request, pid, null_mut::<libc::c_void>(), data) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
