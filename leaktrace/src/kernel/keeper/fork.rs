//! Makes a process of its own for the keeper.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};

use rustix::process::{Pid, Signal};

/// Which of two processes this is.
pub(super) enum Forked {
    Parent(Pid),
    Child,
}

/// Makes a second process of this one, of which only the calling thread goes on.
///
/// # Safety
/// Until the child ends by [`exit_now`], it must not take any lock that another thread of this process may hold (those of
/// the allocator excepted, which both glibc and musl hold themselves during a fork), nor drop what it did not make.
pub(super) unsafe fn fork() -> io::Result<Forked> {
    // SAFETY: the caller's promise.
    match unsafe { libc::fork() } {
        0 => Ok(Forked::Child),
        // A number below zero is none that rustix would look at.
        ..0 => Err(io::Error::last_os_error()),
        pid => Pid::from_raw(pid).map(Forked::Parent).ok_or_else(|| rustix::io::Errno::SRCH.into()),
    }
}

/// Turns a forked process into one of its own session that has no descriptor but `socket`, and that nothing ends but the
/// end of that: a signal in the wrong moment could end it while the kernel takes probes away.
pub(super) fn become_keeper(socket: OwnedFd, nice: i32) -> io::Result<OwnedFd> {
    let inherited = socket.into_raw_fd();
    // SAFETY: it is open, and whoever owns it in the other process doesn't here.
    let socket = rustix::io::fcntl_dupfd_cloexec(unsafe { BorrowedFd::borrow_raw(inherited) }, 3)?;
    close_all_but(&socket)?;
    for _ in 0..3 {
        // These are the standard streams now: a message of the runtime must not go into anything else.
        std::mem::forget(std::fs::File::options().read(true).write(true).open("/dev/null")?);
    }
    let ignored = [
        libc::SIGINT,
        libc::SIGTERM,
        libc::SIGHUP,
        libc::SIGQUIT,
        libc::SIGPIPE,
        libc::SIGUSR1,
        libc::SIGUSR2,
        libc::SIGTSTP,
        libc::SIGTTIN,
        libc::SIGTTOU,
    ];
    for signal in ignored {
        // SAFETY: no handler is installed.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    let _: rustix::io::Result<Pid> = rustix::process::setsid();
    // If it is stopped when we end, nobody else would ever let it go on.
    let _: rustix::io::Result<()> = rustix::process::set_parent_process_death_signal(Some(Signal::CONT));
    let _: rustix::io::Result<()> = rustix::thread::set_name(c"leaktrace-keep");
    // Without the privilege it is as urgent as everything else. In a session of its own, what counts is the session's.
    let _: rustix::io::Result<()> = rustix::process::setpriority_process(None, nice);
    let _: io::Result<()> = std::fs::write("/proc/self/autogroup", nice.to_string());
    Ok(socket)
}

/// Closes all other descriptors of this process: with them it would hold up whoever waits for the end of a pipe or a
/// socket.
fn close_all_but(socket: &OwnedFd) -> io::Result<()> {
    let kept = socket.as_raw_fd().cast_unsigned();
    let ranges = [(0, kept - 1), (kept + 1, u32::MAX)];
    // SAFETY: nothing of what was open in the process that this one was forked from is used here any more.
    let close =
        |(first, last): (u32, u32)| unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == 0;
    if ranges.into_iter().all(close) {
        return Ok(());
    }
    // A filter of system calls may not know it.
    let listed = std::fs::read_dir("/proc/self/fd")?.flatten();
    let open: Vec<i32> = listed.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for descriptor in open.into_iter().filter(|open| open.cast_unsigned() != kept) {
        // SAFETY: as before; that of the listing is closed already.
        unsafe { libc::close(descriptor) };
    }
    Ok(())
}

/// Ends this process at once: nothing is dropped, and nothing that was registered for its end is run.
pub(super) fn exit_now(code: i32) -> ! {
    // SAFETY: nothing of Rust runs afterwards.
    unsafe { libc::_exit(code) }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use rustix::process::{WaitOptions, waitpid};

    use super::*;
    use crate::kernel::thread;

    /// Whether a thread that is started in a forked process does its work.
    fn works_in_a_fork() -> bool {
        let (mut ours, its) = std::os::unix::net::UnixStream::pair().unwrap();
        // SAFETY: the child starts a thread, which writes a byte, and ends.
        match unsafe { fork() }.unwrap() {
            Forked::Child => {
                drop(ours);
                let work = move || _ = rustix::io::write(&its, &[1]);
                let code = i32::from(thread::start(c"in-a-fork", work).is_err());
                let _ =
                    rustix::thread::nanosleep(&rustix::thread::Timespec { tv_sec: 0, tv_nsec: 500_000_000 });
                exit_now(code)
            }
            Forked::Parent(child) => {
                drop(its);
                ours.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                let has_worked = ours.read(&mut [0]).unwrap() == 1;
                rustix::process::kill_process(child, Signal::KILL).unwrap();
                waitpid(Some(child), WaitOptions::empty()).unwrap();
                has_worked
            }
        }
    }

    const ALONE: &str = "LEAKTRACE_TEST_ALONE";

    /// What is forked has every descriptor for a moment, those of other tests too, so it is done in a process of its own.
    #[test]
    fn threads_of_a_fork_work_whatever_others_did_in_its_moment() {
        if std::env::var_os(ALONE).is_some() {
            return fork_among_threads();
        }
        let name = std::thread::current().name().unwrap().to_owned();
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        let output = again.args(["--exact", &name]).env(ALONE, "1").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    }

    fn fork_among_threads() {
        let is_over = Arc::new(AtomicBool::new(false));
        let others = [(); 4].map(|()| {
            let is_over = Arc::clone(&is_over);
            std::thread::spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    std::thread::spawn(|| {}).join().unwrap();
                }
            })
        });
        let works = (0..1_500).all(|_| works_in_a_fork());
        is_over.store(true, Ordering::Relaxed);
        for other in others {
            other.join().unwrap();
        }
        assert!(works);
    }
}
