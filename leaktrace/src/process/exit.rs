//! Notices that the target exits, or that it becomes another program.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, pidfd_open};

use super::workers::{Reading, Under};
use super::{Pid, ProcessError, Procfs, failed};
use crate::privilege::toward;

/// A hold on one process: as long as this says that it runs, its pid has not been given to another.
#[derive(Debug)]
pub struct ExitWatch {
    pidfd: OwnedFd,
}

impl ExitWatch {
    /// Takes hold of the process that has this pid now.
    pub fn open(procfs: &Procfs, pid: Pid) -> Result<Self, ProcessError> {
        let raw = pid.raw().ok_or(ProcessError::NoSuchProcess { pid })?;
        match pidfd_open(raw, PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Self { pidfd }),
            Err(Errno::SRCH) => Err(ProcessError::NoSuchProcess { pid }),
            Err(Errno::NOSYS) => Err(ProcessError::NoPidfd),
            Err(errno) => Err(failed(pid, procfs.path(pid, ""), errno.into())),
        }
    }

    /// Whether the process has exited, be it collected by its parent or not.
    pub(crate) fn has_exited(&self) -> bool {
        let mut polled = [PollFd::new(&self.pidfd, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut polled, Some(&now)).is_ok_and(|ready| ready > 0)
    }
}

impl ExitWatch {
    /// What the process ended with, as `waitpid(2)` has it: the kernel tells others than its parent once that has collected it
    /// (Linux 6.15, `PIDFD_INFO_EXIT`).
    pub(crate) fn wait_status(&self) -> Option<u32> {
        // `struct pidfd_info` of the kernel's pidfd.h: what is asked for comes first, and the status last.
        const LAST: usize = 7;
        let asked = u64::from(libc::PIDFD_INFO_EXIT);
        let mut info = [0_u64; LAST + 1];
        info[0] = asked;
        let fd = self.pidfd.as_raw_fd();
        // SAFETY: the kernel writes no more bytes than the number of the request says, which is the size of `info`.
        let said = unsafe { libc::ioctl(fd, libc::PIDFD_GET_INFO, info.as_mut_ptr()) };
        let is_told = said == 0 && info[0] & asked != 0;
        let [.., a, b, c, d] = info[LAST].to_ne_bytes();
        is_told.then(|| u32::from_ne_bytes([a, b, c, d]))
    }
}

impl AsFd for ExitWatch {
    /// Becomes readable when the process exits.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// What became of a process whose address space is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// It exits, or has exited.
    Exited,
    /// It runs another program.
    Execed,
}

/// A hold on one address space: it ends with the process, but also when the process execs.
///
/// An open `/proc/PID/maps` belongs to the address space that the process had when it was opened, and reads
/// as empty once that is gone. The pid, the start time and even the binary can stay the same over an exec.
#[derive(Debug)]
pub struct AddressSpace {
    maps: File,
    path: PathBuf,
    pid: Pid,
}

impl AddressSpace {
    /// Takes hold of the address space that the process has now.
    pub fn open(procfs: &Procfs, pid: Pid) -> Result<Self, ProcessError> {
        let path = procfs.path(pid, "maps");
        Self::open_at(&path, pid).map_err(|error| failed(pid, path, error))
    }

    fn open_at(path: &Path, pid: Pid) -> io::Result<Self> {
        Ok(Self { maps: toward(pid.0, || File::open(path))?, path: path.to_owned(), pid })
    }

    /// Whether nothing runs in it any more.
    pub fn is_gone(&self) -> bool {
        let mut byte = [0];
        let _reading = Reading::begin(&Under::File(&self.path));
        !matches!(self.maps.read_at(&mut byte, 0), Ok(1))
    }

    /// What became of the process if nothing runs in it any more.
    ///
    /// A process that exits loses its address space before its pidfd says that it has exited (Linux 6.18,
    /// kernel/exit.c: `exit_mm` runs before `exit_notify`), so that alone doesn't tell it from an exec, after which
    /// there is another address space, be it readable or not.
    pub fn gone(&self) -> Option<Gone> {
        self.is_gone().then(|| match Self::open_at(&self.path, self.pid) {
            Ok(now) if !now.is_gone() => Gone::Execed,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Gone::Execed,
            Ok(_) | Err(_) => Gone::Exited,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    fn shell(script: &str) -> (Child, Pid) {
        let child = Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).spawn().unwrap();
        let pid = Pid(child.id());
        (child, pid)
    }

    #[track_caller]
    fn eventually(mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !condition() {
            assert!(Instant::now() < deadline, "never became true");
            std::thread::yield_now();
        }
    }

    #[test]
    fn an_exit_is_seen_even_if_nobody_collects_it() {
        let (mut child, pid) = shell("read line");
        let watch = ExitWatch::open(&Procfs::system(), pid).unwrap();
        assert!(!watch.has_exited());
        drop(child.stdin.take());
        eventually(|| watch.has_exited());
        child.wait().unwrap();
        assert!(watch.has_exited());
    }

    #[test]
    fn what_a_process_ended_with_is_told_once_it_is_collected() {
        for (script, status) in [("exit 2", 0x200), ("kill -9 $$", 9)] {
            let (mut child, pid) = shell(script);
            let watch = ExitWatch::open(&Procfs::system(), pid).unwrap();
            eventually(|| watch.has_exited());
            let stat = super::super::stat::Stat::read(&Procfs::system(), pid).unwrap();
            assert!(stat.is_dead());
            assert_eq!(stat.exit_status, status);
            child.wait().unwrap();
            // Older kernels do not tell.
            assert!(watch.wait_status().is_none_or(|told| told == status), "{:?}", watch.wait_status());
        }
        let watch = ExitWatch::open(&Procfs::system(), Pid::own()).unwrap();
        assert_eq!(watch.wait_status(), None, "it runs");
    }

    #[test]
    fn an_exec_of_the_same_program_ends_the_address_space_and_not_the_process() {
        let (mut child, pid) = shell("read line; exec sh -c 'read line'");
        let watch = ExitWatch::open(&Procfs::system(), pid).unwrap();
        let space = AddressSpace::open(&Procfs::system(), pid).unwrap();
        assert!(!space.is_gone());
        io::Write::write_all(child.stdin.as_mut().unwrap(), b"\n").unwrap();
        eventually(|| space.is_gone());
        assert!(!watch.has_exited());
        assert_eq!(space.gone(), Some(Gone::Execed));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn an_exit_is_no_exec_from_its_first_moment_on() {
        // Many, since the moment between the end of the address space and that of the process is short.
        for _ in 0..100 {
            let (mut child, pid) = shell("read line");
            let space = AddressSpace::open(&Procfs::system(), pid).unwrap();
            assert_eq!(space.gone(), None);
            drop(child.stdin.take());
            eventually(|| space.gone().is_some());
            assert_eq!(space.gone(), Some(Gone::Exited));
            child.wait().unwrap();
        }
    }

    #[test]
    fn a_pid_that_nothing_can_have_is_an_error() {
        for pid in [Pid(0), Pid(u32::MAX), Pid(i32::MAX as u32)] {
            let error = ExitWatch::open(&Procfs::system(), pid).unwrap_err();
            assert!(matches!(error, ProcessError::NoSuchProcess { .. }), "{error}");
        }
    }
}
