//! Hands the signals that we get on to the program that we have started.

use std::io;
use std::os::fd::AsFd;

use rustix::process::{Signal, pidfd_send_signal};

use crate::process::exit::ExitWatch;
use crate::signals::{FORWARDED, Mask, end_by};

/// Starts to hand signals on. What a terminal sends goes to the program as well as to us, so that it is not sent twice.
/// When the program has ended, a signal ends us.
pub(super) fn start(program: ExitWatch) -> io::Result<()> {
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || hand_on(&program))?;
    Ok(())
}

fn hand_on(program: &ExitWatch) {
    let forwarded = Mask::of(&FORWARDED);
    loop {
        let received = forwarded.wait();
        if program.has_exited() {
            end_by(received.number);
        }
        if let Some(signal) = Signal::from_named_raw(received.number).filter(|_| !received.by_kernel) {
            // It may end at any moment, and then needs no signal.
            _ = pidfd_send_signal(program.as_fd(), signal);
        }
    }
}
