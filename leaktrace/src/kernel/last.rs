//! Closes a link so that nothing can interrupt the kernel while it takes the probe away.
//!
//! A thread that is killed while it closes a link leaves the probe behind for ever: the kernel cannot write to the target's
//! code for a thread that is about to die ("failed to unregister, leaking uprobe"). A process that ends already cannot be
//! killed any more, so the last descriptor of a link is always one that is closed by a process's end: that of a child made
//! for it, or our own, whatever ends us.

use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, WaitOptions, waitpid};

/// What a function needs that makes two system calls.
const STACK_BYTES: usize = 32 << 10;

/// A child of which the kernel tells nobody by a signal is waited for by this only.
const ANY_CHILD: WaitOptions = WaitOptions::from_bits_retain(libc::__WALL.cast_unsigned());

/// What the child is told.
struct Order {
    /// It ends when the other end of this is closed.
    until: RawFd,
    link: RawFd,
    /// The ends of the pipes that are ours alone, of which it has copies.
    ours: [RawFd; 2],
}

/// One child at a time is made: it has a copy of every descriptor for a moment, and while it does, no other link may be closed.
static MAKING: Mutex<()> = Mutex::new(());

/// Closes a link, and returns when the kernel has taken it away. Where no process can be had, it is closed here.
pub(super) fn close(link: OwnedFd) {
    let mut stack = vec![0_u8; STACK_BYTES];
    let making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let Ok((until, release)) = pipe_with(PipeFlags::CLOEXEC) else { return };
    let Ok((ready, not_ready)) = pipe_with(PipeFlags::CLOEXEC) else { return };
    let ours = [&not_ready, &release].map(AsRawFd::as_raw_fd);
    let order = Order { until: until.as_raw_fd(), link: link.as_raw_fd(), ours };
    let Ok(child) = start(&order, &mut stack) else { return };
    drop(not_ready);
    await_end_of(&ready);
    // From here on the child has the last one of these.
    drop(link);
    drop(release);
    drop(making);
    while let Err(Errno::INTR) = waitpid(Some(child), ANY_CHILD) {}
}

/// Waits until nobody has the other end of a pipe.
fn await_end_of(pipe: impl AsFd) {
    while let Err(Errno::INTR) = rustix::io::read(&pipe, &mut [0_u8; 1]) {}
}

/// Starts a child that has our memory, a copy of our descriptors, and a stack of its own.
fn start(order: &Order, stack: &mut [u8]) -> io::Result<Pid> {
    // What an ABI wants of a stack, and some more.
    let top = stack.as_mut_ptr_range().end.map_addr(|end| end & !63);
    let argument = std::ptr::from_ref(order).cast_mut().cast::<c_void>();
    // SAFETY: the stack and what the argument points to outlive the child: whoever called waits for its end. It makes
    // system calls only, so it takes no lock and changes no memory but its stack (and this thread's errno, which nobody
    // reads after these calls).
    let pid = unsafe { libc::clone(end_with_the_link, top.cast(), libc::CLONE_VM, argument) };
    // A number below zero is none that rustix would look at.
    let pid = if pid > 0 { Pid::from_raw(pid) } else { None };
    pid.ok_or_else(io::Error::last_os_error)
}

/// What the child does: it lets go of all but the link, waits until ours is closed, and ends.
extern "C" fn end_with_the_link(argument: *mut c_void) -> c_int {
    // SAFETY: it is what `start` was given, and lives longer than this process.
    let Order { until, link, ours } = unsafe { &*argument.cast::<Order>() };
    let (low, high) = (until.min(link).cast_unsigned(), until.max(link).cast_unsigned());
    let mut is_alone = true;
    for (first, last) in [(0, low.saturating_sub(1)), (low + 1, high - 1), (high + 1, u32::MAX)] {
        if first <= last && !(low == 0 && last == 0) {
            // SAFETY: these are this process's own descriptors, and nothing uses them here.
            is_alone &= unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == 0;
        }
    }
    // A filter of system calls may not know it. The rest then goes with this process, which ends soon; without these it would
    // wait for itself.
    for descriptor in ours.iter().filter(|_| !is_alone) {
        // SAFETY: as before.
        unsafe { libc::close(*descriptor) };
    }
    // SAFETY: it is open, as it was when this process was made.
    await_end_of(unsafe { BorrowedFd::borrow_raw(*until) });
    // SAFETY: nothing of Rust runs afterwards.
    unsafe { libc::_exit(0) }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;
    use crate::kernel::filter;

    #[test]
    fn what_is_closed_is_closed_for_good_when_it_returns() {
        let is_closed = || {
            let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
            close(writer);
            let mut polled = [PollFd::new(&reader, PollFlags::IN)];
            poll(&mut polled, Some(&Timespec::default())).unwrap();
            polled[0].revents().contains(PollFlags::HUP)
        };
        // Other tests start processes, which have copies of all descriptors for a moment.
        let closed = (0..50).filter(|_| is_closed()).count();
        assert!(closed >= 45, "{closed} of 50");
    }

    #[test]
    fn it_ends_where_a_range_of_descriptors_cannot_be_closed() {
        let (done, is_done) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            filter::deny(libc::SYS_close_range);
            let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
            close(writer);
            let read = rustix::io::read(&reader, &mut [0_u8; 1]).unwrap();
            done.send(read).unwrap();
        });
        let read = is_done.recv_timeout(std::time::Duration::from_mins(1));
        assert_eq!(read, Ok(0), "nobody has the other end any more");
    }

    #[test]
    fn others_keep_what_they_have() {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let kept = writer.try_clone().unwrap();
        close(writer);
        close(File::open("/dev/null").unwrap().into());
        let mut polled = [PollFd::new(&reader, PollFlags::IN)];
        assert_eq!(poll(&mut polled, Some(&Timespec::default())).unwrap(), 0);
        drop(kept);
    }
}
