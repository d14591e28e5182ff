//! Starts a program as a child that stands still before its first instruction, until we let it go.
//!
//! The kernel stops a child that asked to be traced at its exec: the program is mapped and has not run. Probes can be
//! attached then. After that the child is no longer traced, unless it is to be held once more: at its exit, when its
//! memory is still there. All of this is one thread's business, because only the thread that traces may ask for it.

mod ptrace;

use std::cell::Cell;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use libc::c_int;
use rustix::process::{Pid as ChildPid, RawPid, Signal, WaitOptions, WaitStatus, kill_process, waitpid};
use thiserror::Error;
use tokio::sync::oneshot;

use self::ptrace::{ptrace, set_mask, set_options};
use super::Pid;
use crate::signals::Mask;

/// What a shell adds to the number of the signal that ended a program.
const SIGNALLED: c_int = 128;

/// Waits for clones as well, whatever signal tells of them.
const WALL: WaitOptions = WaitOptions::from_bits_retain(libc::__WALL.cast_unsigned());

/// A program could not be started.
#[derive(Debug, Error)]
#[error("cannot start {}", program.display())]
pub struct LaunchError {
    /// What was to be started.
    pub program: OsString,
    /// What the system said.
    pub source: io::Error,
}

/// A program that was started. One that is not [released](Self::release) is killed when this is dropped.
#[derive(Debug)]
pub struct Launched {
    pid: Pid,
    orders: Sender<Order>,
    leaving: Option<oneshot::Receiver<()>>,
    is_leaving: Arc<AtomicBool>,
    keeper: JoinHandle<io::Result<u8>>,
    released: Cell<bool>,
}

/// Who is told that the program is held at its exit.
struct Leaves {
    told: oneshot::Sender<()>,
    is_leaving: Arc<AtomicBool>,
}

impl Leaves {
    /// Whether anybody still listens.
    fn tell(self) -> bool {
        self.is_leaving.store(true, Ordering::Release);
        self.told.send(()).is_ok()
    }
}

/// What the thread that traces is asked for.
#[derive(Clone, Copy, Debug)]
enum Order {
    /// Let it run; `hold` it at its exit.
    Release { hold: bool },
    /// Let it end.
    LetEnd,
}

impl Launched {
    /// Starts `command`, with `signals` blocked and no others. It stands still when this returns.
    pub fn start(command: Command, signals: Mask) -> Result<Self, LaunchError> {
        let program = command.get_program().to_owned();
        Self::fork(command, signals).map_err(|source| LaunchError { program, source })
    }

    fn fork(command: Command, signals: Mask) -> io::Result<Self> {
        let (orders, asked) = mpsc::channel();
        let (started, answer) = mpsc::channel();
        let (told, leaving) = oneshot::channel();
        let is_leaving = Arc::<AtomicBool>::default();
        let leaves = Leaves { told, is_leaving: Arc::clone(&is_leaving) };
        let keeper = std::thread::Builder::new()
            .name("child".to_owned())
            .spawn(move || keep(command, signals, &started, &asked, leaves))?;
        match answer.recv() {
            Ok(pid) => Ok(Self {
                pid: Pid(pid.cast_unsigned()),
                orders,
                leaving: Some(leaving),
                is_leaving,
                keeper,
                released: Cell::new(false),
            }),
            Err(_) => {
                Err(joined(keeper).err().unwrap_or_else(|| io::Error::other("it exited before it could run")))
            }
        }
    }

    /// Its process id.
    pub const fn pid(&self) -> Pid {
        self.pid
    }

    /// Lets it run. With `hold` it stands still once more at its exit: all its threads but the first have ended or
    /// are ending then, and its memory is as they left it.
    pub fn release(&self, hold: bool) {
        self.released.set(true);
        self.order(Order::Release { hold });
    }

    /// Whether it has been let run.
    pub(crate) const fn is_released(&self) -> bool {
        self.released.get()
    }

    /// What is told when it is held at its exit; can be taken once.
    pub const fn leaving(&mut self) -> Option<oneshot::Receiver<()>> {
        self.leaving.take()
    }

    /// Becomes true when it is held at its exit: its memory is as it will ever be.
    pub(crate) fn is_leaving(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_leaving)
    }

    /// Lets it end, if it is held.
    pub(crate) fn let_end(&self) {
        self.order(Order::LetEnd);
    }

    /// Waits for its end and returns the exit status that a shell would show.
    pub fn wait(self) -> io::Result<u8> {
        drop(self.orders);
        joined(self.keeper)
    }

    fn order(&self, order: Order) {
        // The thread is gone only when the program is.
        _ = self.orders.send(order);
    }
}

fn joined(keeper: JoinHandle<io::Result<u8>>) -> io::Result<u8> {
    keeper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The life of the thread that traces.
fn keep(
    mut command: Command,
    signals: Mask,
    started: &Sender<RawPid>,
    asked: &Receiver<Order>,
    leaves: Leaves,
) -> io::Result<u8> {
    // SAFETY: what runs between fork and exec are two system calls on values that it owns.
    unsafe { command.pre_exec(prepare) };
    let pid = ChildPid::from_child(&command.spawn()?);
    if let Some(code) = exit_code(next_status(pid)?) {
        return Ok(code);
    }
    // Should we die now, nobody would ever let it run.
    set_options(pid, libc::PTRACE_O_EXITKILL)?;
    set_mask(pid, &signals)?;
    _ = started.send(pid.as_raw_pid());
    match asked.recv() {
        Ok(Order::Release { hold: false }) => ptrace(libc::PTRACE_DETACH, Some(pid), 0)?,
        Ok(Order::Release { hold: true }) => {
            set_options(pid, libc::PTRACE_O_TRACEEXIT | libc::PTRACE_O_TRACEEXEC)?;
            ptrace(libc::PTRACE_CONT, Some(pid), 0)?;
        }
        Ok(Order::LetEnd) | Err(_) => {
            // The child has not been waited for, so that the number is still its own.
            _ = kill_process(pid, Signal::KILL);
        }
    }
    attend(pid, asked, leaves)
}

/// In the child: to be traced. A signal before its exec would stop it, for whoever traces it to decide about, and we only
/// learn of it at its exec: so there is none before but the one that the kernel stops it with then.
fn prepare() -> io::Result<()> {
    Mask::all_but(libc::SIGTRAP).set()?;
    ptrace(libc::PTRACE_TRACEME, None, 0)
}

/// Waits for the end. While it is traced its signals come by here, and its exit.
fn attend(pid: ChildPid, asked: &Receiver<Order>, leaves: Leaves) -> io::Result<u8> {
    let mut leaves = Some(leaves);
    loop {
        let status = next_status(pid)?;
        if let Some(code) = exit_code(status) {
            return Ok(code);
        }
        if event(status) == libc::PTRACE_EVENT_EXIT
            && let Some(leaves) = leaves.take()
        {
            // Whoever no longer listens does not mind either.
            if leaves.tell() {
                _ = asked.recv();
            }
        }
        let signal = status.stopping_signal().filter(|_| event(status) == 0).unwrap_or(0);
        match ptrace(libc::PTRACE_CONT, Some(pid), signal) {
            // Killed while it stood still: the next answer says so.
            Err(error) if error.raw_os_error() != Some(libc::ESRCH) => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
}

/// What becomes of the child next.
fn next_status(pid: ChildPid) -> io::Result<WaitStatus> {
    loop {
        match waitpid(Some(pid), WALL) {
            Ok(Some((_, status))) => return Ok(status),
            // Nothing is only said to those who do not wait.
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The exit status that a shell would show, if this is the end.
fn exit_code(status: WaitStatus) -> Option<u8> {
    let signalled = || status.terminating_signal().map(|signal| SIGNALLED + signal);
    let code = status.exit_status().or_else(signalled)?;
    Some(u8::try_from(code).unwrap_or(u8::MAX))
}

/// Which `PTRACE_EVENT_…` the child has stopped for, 0 for a signal.
const fn event(status: WaitStatus) -> c_int {
    status.as_raw() >> 16
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::process::Procfs;
    use crate::process::stat::Stat;
    use crate::signals;

    fn no_signals() -> Mask {
        Mask::of(&[])
    }

    fn shell(script: &str) -> Launched {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Launched::start(command, no_signals()).unwrap()
    }

    fn held(launched: &mut Launched) {
        let mut leaving = launched.leaving().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while leaving.try_recv().is_err() {
            assert!(Instant::now() < deadline, "it never left");
            std::thread::yield_now();
        }
    }

    #[test]
    fn it_stands_still_until_it_is_released() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ran");
        let launched = shell(&format!("> {}; exit 7", file.display()));
        assert_eq!(Stat::read(&Procfs::system(), launched.pid()).unwrap().state, 't');
        assert!(!file.exists());
        launched.release(false);
        assert_eq!(launched.wait().unwrap(), 7);
        assert!(file.exists());
    }

    #[test]
    fn its_memory_is_there_while_it_is_held_at_its_exit() {
        for (script, code) in [("exit 3", 3), ("kill -TERM $$", 128 + 15), ("kill -USR1 $$", 128 + 10)] {
            let mut launched = shell(script);
            launched.release(true);
            held(&mut launched);
            let maps = Procfs::system().read(launched.pid(), "maps", 1 << 20).unwrap();
            assert!(!maps.is_empty());
            launched.let_end();
            assert_eq!(launched.wait().unwrap(), code, "{script}");
        }
    }

    #[test]
    fn signals_and_execs_come_through_while_it_is_traced() {
        let mut launched = shell("trap 'exec sh -c \"exit 5\"' USR1; kill -USR1 $$; exit 1");
        launched.release(true);
        held(&mut launched);
        launched.let_end();
        assert_eq!(launched.wait().unwrap(), 5);
    }

    /// The kernel stops a traced process at a signal, and the thread that traces it hears of it only at its exec.
    #[test]
    fn a_signal_before_its_first_instruction_holds_up_nobody() {
        let mut command = Command::new("sleep");
        command.arg("60");
        let signal_ourselves = || {
            Mask::of(&[libc::SIGTERM]).set()?;
            Ok(kill_process(rustix::process::getpid(), Signal::TERM)?)
        };
        // SAFETY: two system calls on values that it owns.
        unsafe { command.pre_exec(signal_ourselves) };
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let launched = Launched::start(command, no_signals()).unwrap();
            launched.release(false);
            sender.send(launched.wait().unwrap())
        });
        assert_eq!(receiver.recv_timeout(Duration::from_secs(10)), Ok(128 + 15));
    }

    #[test]
    fn a_file_that_may_not_grow_ends_it_as_without_us() {
        let mut command = Command::new("sh");
        command.args(["-c", "kill -XFSZ $$; exit 0"]);
        let start = || Launched::start(command, signals::hold(signals::Taken::ByProgram).unwrap()).unwrap();
        let launched = std::thread::spawn(start).join().unwrap();
        launched.release(false);
        assert_eq!(launched.wait().unwrap(), 128 + 25);
    }

    #[test]
    fn one_that_is_never_released_never_runs() {
        let launched = shell("exit 0");
        assert_eq!(launched.wait().unwrap(), 128 + 9);
    }

    #[test]
    fn what_cannot_be_started_is_told() {
        let error = Launched::start(Command::new("/nonexistent/program"), no_signals()).unwrap_err();
        assert_eq!(error.source.kind(), io::ErrorKind::NotFound);
        assert_eq!(error.to_string(), "cannot start /nonexistent/program");
    }
}
