//! Descriptors that wake the event loop.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A descriptor of our own for the same thing as `fd`, registered with the event loop.
pub(crate) fn of(fd: impl AsFd) -> io::Result<AsyncFd<OwnedFd>> {
    let fd = fd.as_fd().try_clone_to_owned()?;
    // SAFETY: the `AsyncFd` owns the descriptor, and an `OwnedFd` neither changes nor closes it before it is
    // dropped.
    Ok(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?)
}
