//! Starts a program that may be somebody else's to control, with nothing of ours.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// The first descriptor that is not a standard stream.
const FIRST: libc::c_uint = 3;

/// Has a command run in a session of its own, with no terminal to control it, and with none of our descriptors but the
/// standard ones that it is given: whoever it runs as may trace it, and do with it what it can do.
pub(crate) fn detach(command: &mut Command) {
    // SAFETY: what runs between fork and exec are two system calls on numbers.
    unsafe { command.pre_exec(prepare) };
}

/// In the child. Descriptors end at its exec and not now: through one of them an exec that fails is told.
fn prepare() -> io::Result<()> {
    rustix::process::setsid()?;
    let (last, flags) = (libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
    // SAFETY: it takes three numbers, and marks descriptors of this process, which is about to become another program.
    match unsafe { libc::syscall(libc::SYS_close_range, FIRST, last, flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
