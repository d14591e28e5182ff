//! The signals that end us or that we hand on.
//!
//! They are blocked before anything else is done and taken by one thread, which waits for them. So no system call of
//! another thread is interrupted by one: to a call that the kernel gives up for a signal, such as loading an eBPF
//! program, it looks like one that failed.

use std::io;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use libc::{c_int, siginfo_t};
use rustix::process::{Signal, getpid, kill_process};
use tokio::sync::{Notify, mpsc, oneshot};

/// What users and supervisors end a program with, and Ctrl-Z.
const TAKEN: [c_int; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGTERM, libc::SIGTSTP];

/// Those, and the one that withdraws a Ctrl-Z. It is blocked as well, so that it can be seen whether it came.
const HELD: [c_int; 5] = [libc::SIGHUP, libc::SIGINT, libc::SIGTERM, libc::SIGTSTP, libc::SIGCONT];

/// How often it is seen, meanwhile, whether we are to go on.
const WITHDRAWAL_PAUSE: Duration = Duration::from_millis(5);

/// How long we go on after Ctrl-Z if whoever takes the probes away does not get to it. Their leases end soon anyway.
const SUSPEND_WITHIN: Duration = Duration::from_millis(500);

/// What `run` hands on: everything by which they speak to a program.
pub(crate) const FORWARDED: [c_int; 7] =
    [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGUSR1, libc::SIGUSR2, libc::SIGWINCH];

/// What a shell adds to the number of the signal that ended a program.
const SIGNALLED: c_int = 128;

/// Signals, as the C library writes them.
#[derive(Clone, Copy)]
pub struct Mask(libc::sigset_t);

/// A signal that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) number: c_int,
    /// Whether the kernel sent it, as it does for keys of a terminal: then the whole group has got it.
    pub(crate) by_kernel: bool,
}

impl Mask {
    /// These signals.
    pub(crate) fn of(signals: &[c_int]) -> Self {
        let mut set = MaybeUninit::uninit();
        // SAFETY: it initialises the set that it is given.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        for signal in signals {
            // SAFETY: the set is initialised, and the number one of a signal.
            unsafe { libc::sigaddset(set.as_mut_ptr(), *signal) };
        }
        // SAFETY: it is initialised.
        Self(unsafe { set.assume_init() })
    }

    /// All that can be blocked but one.
    pub(crate) fn all_but(signal: c_int) -> Self {
        let mut set = MaybeUninit::uninit();
        // SAFETY: it initialises the set that it is given.
        unsafe { libc::sigfillset(set.as_mut_ptr()) };
        // SAFETY: the set is initialised, and the number one of a signal.
        unsafe { libc::sigdelset(set.as_mut_ptr(), signal) };
        // SAFETY: it is initialised.
        Self(unsafe { set.assume_init() })
    }

    /// For calls that take one.
    pub(crate) const fn as_raw(&self) -> &libc::sigset_t {
        &self.0
    }

    /// Blocks just these on the calling thread and those that it starts later, and returns what was blocked before.
    pub(crate) fn set(&self) -> io::Result<Self> {
        self.change(libc::SIG_SETMASK)
    }

    fn change(&self, how: c_int) -> io::Result<Self> {
        let mut before = MaybeUninit::uninit();
        // SAFETY: the first set is initialised, and the second ours to write.
        match unsafe { libc::pthread_sigmask(how, &raw const self.0, before.as_mut_ptr()) } {
            // SAFETY: it has been written.
            0 => Ok(Self(unsafe { before.assume_init() })),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// Takes one of these, which are blocked, if it has come.
    fn take(&self) -> bool {
        let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the set and the time are initialised, and nothing else is wanted.
        unsafe { libc::sigtimedwait(&raw const self.0, std::ptr::null_mut(), &raw const now) > 0 }
    }

    /// Waits for one of these, which are blocked.
    pub(crate) fn wait(&self) -> Received {
        loop {
            let mut info = MaybeUninit::<siginfo_t>::uninit();
            // SAFETY: the set is initialised, and `info` ours to write.
            let number = unsafe { libc::sigwaitinfo(&raw const self.0, info.as_mut_ptr()) };
            if number > 0 {
                // SAFETY: it has been written.
                let info = unsafe { info.assume_init() };
                return Received { number, by_kernel: info.si_code == libc::SI_KERNEL };
            }
        }
    }
}

/// Who takes signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Nobody: they end us as they end every program.
    Never,
    /// Our [`Interrupts`].
    Here,
    /// A program that we start, to which we hand them on.
    ByProgram,
}

/// Blocks what is taken, and returns what was blocked before. To be called before anything else is done, while there is one
/// thread only.
///
/// `SIGXFSZ` is blocked as well: a file that may not become larger is then an error of whoever writes to it, as a full disk
/// is. Programs that we start get it as before, which they would not if we ignored it.
pub fn hold(taken: Taken) -> io::Result<Mask> {
    let held: &[c_int] = match taken {
        Taken::Never => &[],
        Taken::Here => &HELD,
        Taken::ByProgram => &FORWARDED,
    };
    Mask::of(&[held, &[libc::SIGXFSZ]].concat()).change(libc::SIG_BLOCK)
}

/// The exit status that a shell expects of a program that a signal has ended.
pub(crate) fn status(signal: c_int) -> u8 {
    u8::try_from(SIGNALLED + signal).unwrap_or(u8::MAX)
}

/// Ends this process as a signal does, whatever it is doing.
pub(crate) fn end_by(signal: c_int) -> ! {
    std::process::exit(status(signal).into())
}

/// Stops this process until `SIGCONT`, unless that has come meanwhile: a later stop would make the kernel forget it.
pub(crate) fn suspend() {
    if Mask::of(&[libc::SIGCONT]).take() {
        return;
    }
    // It can only fail for a process that is not there.
    _ = kill_process(getpid(), Signal::STOP);
}

/// The user's wish that we stop for a while; dropped when that will be done.
#[derive(Debug)]
pub(crate) struct Suspension {
    is_withdrawn: Arc<AtomicBool>,
    #[expect(dead_code, reason = "only dropped")]
    done: Sender<()>,
}

impl Suspension {
    /// Whether we have been told to go on since, or have stopped already.
    pub(crate) fn is_withdrawn(&self) -> bool {
        self.is_withdrawn.load(Ordering::Acquire)
    }
}

/// The user's wishes, as signals tell them.
///
/// The first one to end ends a session with a report, the second one, or one when that is over, this process at once: the kernel then takes the probes away.
/// Before there is a session, the first one does.
#[derive(Debug)]
pub struct Interrupts {
    wishes: Wishes,
    is_awaited: Arc<AtomicBool>,
}

/// What the user wants.
#[derive(Debug)]
pub(crate) struct Wishes {
    /// To end, by which signal.
    pub(crate) end: oneshot::Receiver<c_int>,
    /// To stop for a while.
    pub(crate) suspend: mpsc::UnboundedReceiver<Suspension>,
    /// To read the settings again, where a hangup says that.
    pub(crate) reload: Arc<Notify>,
}

/// Who is told of them.
struct Told {
    end: Option<oneshot::Sender<c_int>>,
    suspend: mpsc::UnboundedSender<Suspension>,
    /// Whom a hangup tells to read the settings again; nobody, where it is an end.
    reload: Option<Arc<Notify>>,
    is_awaited: Arc<AtomicBool>,
}

impl Interrupts {
    /// Starts to listen to what [`hold`] has blocked.
    pub fn listen() -> io::Result<Self> {
        Self::start(false)
    }

    /// The same, but a hangup says that settings are to be read again.
    pub fn listen_and_reload() -> io::Result<Self> {
        Self::start(true)
    }

    fn start(hangup_reloads: bool) -> io::Result<Self> {
        let (to_end, end) = oneshot::channel();
        let (to_suspend, suspend) = mpsc::unbounded_channel();
        let is_awaited = Arc::<AtomicBool>::default();
        let reload = Arc::<Notify>::default();
        let mut told = Told {
            end: Some(to_end),
            suspend: to_suspend,
            reload: hangup_reloads.then(|| Arc::clone(&reload)),
            is_awaited: Arc::clone(&is_awaited),
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let taken = Mask::of(&TAKEN);
            loop {
                told.take(taken.wait());
            }
        })?;
        Ok(Self { wishes: Wishes { end, suspend, reload }, is_awaited })
    }

    /// What gets them from now on.
    pub(crate) fn wishes(self) -> Wishes {
        self.is_awaited.store(true, Ordering::Release);
        self.wishes
    }
}

impl Told {
    fn take(&mut self, received: Received) {
        let signal = received.number;
        // The kernel sends one when the terminal has gone, and nobody will end us then.
        let asks = signal == libc::SIGHUP && !received.by_kernel;
        if let Some(reload) = self.reload.as_ref().filter(|_| asks) {
            // Several at once are one.
            reload.notify_one();
            return;
        }
        let is_awaited = self.is_awaited.load(Ordering::Acquire);
        match self.end.take_if(|_| signal != libc::SIGTSTP) {
            _ if signal == libc::SIGTSTP => self.suspend(is_awaited),
            // When the session is over, what is left may wait for a reader; nobody listens then.
            Some(end) if is_awaited => {
                if end.send(signal).is_err() {
                    end_by(signal);
                }
            }
            Some(_) | None => end_by(signal),
        }
    }

    /// The kernel forgets a `SIGCONT` when a later Ctrl-Z comes: one that is there came after it.
    fn suspend(&self, is_awaited: bool) {
        let ((done, is_done), is_withdrawn) = (std::sync::mpsc::channel(), Arc::<AtomicBool>::default());
        let suspension = Suspension { is_withdrawn: Arc::clone(&is_withdrawn), done };
        let is_asked = is_awaited && self.suspend.send(suspension).is_ok();
        let (go_on, until) = (Mask::of(&[libc::SIGCONT]), Instant::now() + SUSPEND_WITHIN);
        while is_asked && Instant::now() < until {
            let is_over = is_done.recv_timeout(WITHDRAWAL_PAUSE) != Err(RecvTimeoutError::Timeout);
            if is_over || go_on.take() {
                is_withdrawn.store(true, Ordering::Release);
                return;
            }
        }
        is_withdrawn.store(true, Ordering::Release);
        suspend();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_is_blocked_is_waited_for() {
        let (_, taken) = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let mask = Mask::of(&[libc::SIGUSR2]);
                let before = mask.change(libc::SIG_BLOCK).unwrap();
                // SAFETY: the signal goes to this thread, which has it blocked.
                unsafe { libc::raise(libc::SIGUSR2) };
                (before, mask.wait())
            });
            thread.join().unwrap()
        });
        assert_eq!(taken, Received { number: libc::SIGUSR2, by_kernel: false });
    }

    #[test]
    fn whoever_was_told_to_go_on_meanwhile_does_not_stop() {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                Mask::of(&[libc::SIGCONT]).change(libc::SIG_BLOCK).unwrap();
                // SAFETY: the signal goes to this thread, which has it blocked.
                unsafe { libc::raise(libc::SIGCONT) };
                // Otherwise this whole test would stop here.
                suspend();
                assert!(!Mask::of(&[libc::SIGCONT]).take(), "it was taken");
            });
            thread.join().unwrap();
        });
    }

    #[test]
    fn whoever_is_told_to_go_on_while_its_loop_is_held_up_does_not_stop() {
        let (suspend, mut asked) = mpsc::unbounded_channel();
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                Mask::of(&[libc::SIGCONT]).change(libc::SIG_BLOCK).unwrap();
                // SAFETY: the signal goes to this thread, which has it blocked.
                unsafe { libc::raise(libc::SIGCONT) };
                let is_awaited = Arc::new(AtomicBool::new(true));
                // Otherwise this whole test would stop here.
                Told { end: None, suspend, reload: None, is_awaited }
                    .take(Received { number: libc::SIGTSTP, by_kernel: true });
            });
            thread.join().unwrap();
        });
        assert!(asked.try_recv().unwrap().is_withdrawn(), "who was asked need not stop any more");
    }

    #[test]
    fn a_signal_has_the_status_that_shells_give_it() {
        assert_eq!([libc::SIGHUP, libc::SIGINT, libc::SIGTERM].map(status), [129, 130, 143]);
    }
}
