//! Hands the signals that we get on to the program that we have started.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use libc::{c_int, siginfo_t, sigset_t};
use rustix::process::{Signal, pidfd_send_signal};

use crate::process::exit::ExitWatch;

/// What is handed on: everything by which users and supervisors speak to a program.
const FORWARDED: [c_int; 7] =
    [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGUSR1, libc::SIGUSR2, libc::SIGWINCH];

/// What a shell adds to the number of the signal that ended a program.
const SIGNALLED: c_int = 128;

/// Keeps the signals that are handed on from interrupting us, and returns what was blocked before. To be called while
/// there is one thread only: those that come later inherit it.
pub(super) fn block() -> io::Result<sigset_t> {
    let forwarded = forwarded();
    let mut before = MaybeUninit::uninit();
    // SAFETY: the first set is initialised, and the second ours to write.
    match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const forwarded, before.as_mut_ptr()) } {
        // SAFETY: it has been written.
        0 => Ok(unsafe { before.assume_init() }),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Starts to hand signals on. What a terminal sends goes to the program as well as to us, so that it is not sent twice.
/// When the program has ended, a signal ends us.
pub(super) fn start(program: ExitWatch) -> io::Result<()> {
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || hand_on(&program))?;
    Ok(())
}

fn hand_on(program: &ExitWatch) {
    let forwarded = forwarded();
    loop {
        let mut info = MaybeUninit::<siginfo_t>::uninit();
        // SAFETY: the set is initialised, and `info` ours to write.
        let number = unsafe { libc::sigwaitinfo(&raw const forwarded, info.as_mut_ptr()) };
        if number < 0 {
            continue;
        }
        // SAFETY: it has been written.
        let by_terminal = unsafe { info.assume_init() }.si_code == libc::SI_KERNEL;
        if program.has_exited() {
            std::process::exit(SIGNALLED + number);
        }
        if let Some(signal) = Signal::from_named_raw(number).filter(|_| !by_terminal) {
            // It may end at any moment, and then needs no signal.
            _ = pidfd_send_signal(program.as_fd(), signal);
        }
    }
}

fn forwarded() -> sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: it initialises the set that it is given.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    for signal in FORWARDED {
        // SAFETY: the set is initialised, and the number one of a signal.
        unsafe { libc::sigaddset(set.as_mut_ptr(), signal) };
    }
    // SAFETY: it is initialised.
    unsafe { set.assume_init() }
}
