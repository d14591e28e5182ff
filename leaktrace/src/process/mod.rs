//! The target process as the system shows it: everything that touches `/proc` and the target's memory.

pub mod blocked;
pub(crate) mod cgroups;
pub mod cpu;
pub(crate) mod descriptors;
pub(crate) mod detach;
pub mod exe;
pub mod exit;
pub mod find;
pub mod launch;
pub mod limits;
mod mapped;
pub mod maps;
pub mod memory;
pub(crate) mod mounts;
mod priority;
pub mod privileges;
mod ranges;
mod regions;
pub(crate) mod sockets;
pub mod stat;
pub(crate) mod time_namespace;
pub mod workers;

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

use self::workers::{Reading, Under};
use crate::privilege::toward;

/// No less than most files of procfs have, in bytes.
pub(crate) const USUAL: usize = 4 << 10;

/// A process id as our own pid namespace counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(pub u32);

impl Pid {
    /// This process.
    pub fn own() -> Self {
        Self(std::process::id())
    }

    /// The id as system calls take it.
    pub fn raw(self) -> Option<rustix::process::Pid> {
        i32::try_from(self.0).ok().and_then(rustix::process::Pid::from_raw)
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a process cannot be looked at.
#[derive(Debug, Error)]
pub enum ProcessError {
    /// Nothing has this pid.
    #[error("no process has pid {pid}")]
    NoSuchProcess {
        /// The pid that was asked for.
        pid: Pid,
    },
    /// The pid is that of a thread, not of a process.
    #[error("{tid} is a thread of process {pid}")]
    Thread {
        /// What was asked for.
        tid: Pid,
        /// The process that it belongs to.
        pid: Pid,
    },
    /// A part of the kernel, without memory of its own.
    #[error("pid {pid} is the kernel thread {name}")]
    KernelThread {
        /// The pid that was asked for.
        pid: Pid,
        /// What the kernel calls it.
        name: String,
    },
    /// The process has exited; only its parent has not collected it yet.
    #[error("process {pid} ({name}) has exited and its parent {parent} has not reaped it")]
    Zombie {
        /// The pid that was asked for.
        pid: Pid,
        /// The command.
        name: String,
        /// The parent.
        parent: Pid,
    },
    /// The process ended while we looked at it.
    #[error("process {pid} has exited")]
    Exited {
        /// The pid that was asked for.
        pid: Pid,
    },
    /// The process became another program while we looked at it.
    #[error("process {pid} has called exec and runs another program")]
    Execed {
        /// The pid that was asked for.
        pid: Pid,
    },
    /// Its first thread has ended, of which the kernel asks where a process has its code.
    #[error("the first thread of process {pid} has ended, so the kernel attaches no probes to it")]
    NoFirstThread {
        /// The pid that was asked for.
        pid: Pid,
    },
    /// The system call by which we hold on to processes is missing.
    #[error("the system call pidfd_open is missing")]
    NoPidfd,
    /// The process keeps even its own user from looking.
    #[error("process {pid} is not dumpable, which keeps even its own user from reading it")]
    NotDumpable {
        /// The pid that was asked for.
        pid: Pid,
    },
    /// The binary is where only one user may look, not even root.
    #[error("{} is on a FUSE file system that only the user who mounted it may read", exe.display())]
    OnForeignFuse {
        /// The binary.
        exe: PathBuf,
    },
    /// The kernel does not let us look.
    #[error("{}: permission denied", path.display())]
    NotPermitted {
        /// What was refused.
        path: PathBuf,
    },
    /// `/proc` is missing, or not what we know.
    #[error("{}: {what}", path.display())]
    Malformed {
        /// What was read.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Anything else that the system says.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was read.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Where procfs is mounted: `/proc`, or a folder that a test has filled.
#[derive(Clone, Debug)]
pub struct Procfs {
    root: PathBuf,
}

impl Procfs {
    /// The system's own.
    pub fn system() -> Self {
        Self::at("/proc")
    }

    /// One that is mounted, or imitated, at `root`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// All processes that there are, in no order.
    pub fn pids(&self) -> impl Iterator<Item = Pid> + use<> {
        let entries = std::fs::read_dir(&self.root).into_iter().flatten();
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok().map(Pid))
    }

    /// The path of one of a process's files.
    pub fn path(&self, pid: Pid, name: &str) -> PathBuf {
        self.root.join(pid.to_string()).join(name)
    }

    /// Reads one of a process's files; what is longer than `bound` bytes is refused.
    pub fn read(&self, pid: Pid, name: &str, bound: u64) -> Result<Vec<u8>, ProcessError> {
        let path = self.path(pid, name);
        // Some of them wait for the lock of the process's memory map, or read its memory.
        let _reading = Reading::begin(&Under::File(&path));
        let read = toward(pid.0, || File::open(&path)).and_then(|file| {
            // Such a file does not say how long it is: without room it would be read in many small pieces.
            let mut bytes = Vec::with_capacity(USUAL);
            file.take(bound + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        });
        match read {
            Ok(bytes) if bytes.len() as u64 > bound => {
                Err(ProcessError::Malformed { path, what: "larger than any plausible size" })
            }
            Ok(bytes) => Ok(bytes),
            Err(error) => Err(failed(pid, path, error)),
        }
    }

    /// Opens one of a process's files.
    pub(crate) fn open(&self, pid: Pid, name: &str) -> Result<File, ProcessError> {
        let path = self.path(pid, name);
        toward(pid.0, || File::open(&path)).map_err(|error| failed(pid, path, error))
    }

    /// The text of one of a process's symbolic links.
    pub fn link(&self, pid: Pid, name: &str) -> Result<PathBuf, ProcessError> {
        let path = self.path(pid, name);
        toward(pid.0, || std::fs::read_link(&path)).map_err(|error| failed(pid, path, error))
    }
}

/// What it means that the system refused to give us `path`, one of the files of process `pid`.
fn failed(pid: Pid, path: PathBuf, source: io::Error) -> ProcessError {
    if source.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) {
        return ProcessError::Exited { pid };
    }
    match source.kind() {
        io::ErrorKind::PermissionDenied => ProcessError::NotPermitted { path },
        io::ErrorKind::NotFound if path.parent().is_some_and(|folder| !folder.exists()) => {
            ProcessError::NoSuchProcess { pid }
        }
        _ => ProcessError::Io { path, source },
    }
}
