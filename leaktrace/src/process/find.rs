//! From a pid to a process that can be traced, or to a precise reason why not.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use leaktrace_core::base::num::{Bias, FileOffset, Svma};
use rustix::process::geteuid;
use rustix::time::{ClockId, clock_gettime};

use super::exe::{Exe, FileId};
use super::exit::{AddressSpace, ExitWatch};
use super::maps::{self, Maps};
use super::mounts::is_in_user_space;
use super::stat::{Stat, Status};
use super::{Pid, ProcessError, Procfs};

/// A process that we hold on to.
#[derive(Debug)]
pub struct HeldProcess {
    /// Its pid.
    pub pid: Pid,
    /// What the system says about it.
    pub about: About,
    /// Its binary.
    pub exe: Exe,
    /// Which process this is, whatever may have its pid later.
    pub identity: Identity,
    /// Fires when it exits.
    pub exit: ExitWatch,
    /// Ends when it execs.
    pub space: AddressSpace,
}

/// How long a process is [young](HeldProcess::is_young): a Go program is set up in a few milliseconds, on a busy machine
/// in a few hundred.
const YOUTH: Duration = Duration::from_secs(1);

/// What makes a process itself. A pid alone is reused, and so is an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// When it started, in ticks since boot.
    pub start_time: u64,
    /// The file that it runs.
    pub exe: FileId,
}

/// What the system says about a process without being asked for its memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// The thread through which it is read: its first one, or a living one where that has ended.
    pub reader: Pid,
    /// The command.
    pub name: String,
    /// Whose it is.
    pub uid: u32,
    /// Whoever traces it with ptrace, if anyone does.
    pub tracer: Option<Pid>,
    /// Whether it is stopped, by a signal or by a tracer.
    pub is_stopped: bool,
    /// The pid that it has in its own namespace, if that is not ours.
    pub inner_pid: Option<u32>,
    /// Whether it sees other files than we do.
    pub in_other_mounts: bool,
}

impl About {
    /// Asks the system about a process; refuses what can never be traced.
    pub fn read(procfs: &Procfs, pid: Pid) -> Result<(Self, Stat), ProcessError> {
        let stat = Stat::read(procfs, pid)?;
        let status = Status::read(procfs, pid)?;
        if status.tgid != pid {
            return Err(ProcessError::Thread { tid: pid, pid: status.tgid });
        }
        if stat.is_kernel_thread {
            return Err(ProcessError::KernelThread { pid, name: stat.name });
        }
        let reader = if stat.is_dead() { living_thread(procfs, pid) } else { Some(pid) };
        let Some(reader) = reader else {
            return Err(ProcessError::Zombie { pid, name: stat.name, parent: stat.parent });
        };
        let about = Self {
            reader,
            name: stat.name.clone(),
            uid: status.uid,
            tracer: status.tracer,
            is_stopped: stat.is_stopped(),
            inner_pid: status.ns_pids.last().copied().filter(|inner| *inner != pid.0),
            in_other_mounts: namespace(procfs, reader, "mnt") != namespace(procfs, Pid::own(), "mnt"),
        };
        Ok((about, stat))
    }
}

impl HeldProcess {
    /// Takes hold of the process that has this pid now.
    pub fn open(procfs: &Procfs, pid: Pid) -> Result<Self, ProcessError> {
        // The hold comes first: all that is read afterwards and before `has_exited` is about one process.
        let exit = ExitWatch::open(procfs, pid).map_err(|error| match About::read(procfs, pid) {
            // Of a process that is there it says nothing.
            Err(clearer) if !matches!(error, ProcessError::NoPidfd) => clearer,
            Err(_) | Ok(_) => error,
        })?;
        let (about, stat) = About::read(procfs, pid)?;
        let reader = about.reader;
        let opened =
            AddressSpace::open(procfs, reader).and_then(|space| Ok((space, Exe::open(procfs, reader)?)));
        let (space, exe) = opened.map_err(|error| explained(error, procfs, pid, &about))?;
        let identity = Identity { start_time: stat.start_time, exe: exe.file() };
        if exit.has_exited() {
            return Err(ProcessError::Exited { pid });
        }
        Ok(Self { pid, about, exe, identity, exit, space })
    }

    /// Whether it has only just been started, so that what is seen of it may change: whoever started it may still
    /// run in it, its binary may not be mapped yet, or its runtime not be set up.
    pub(crate) fn is_young(&self) -> bool {
        age(self.identity.start_time) < YOUTH
    }

    /// Where the binary was put. `segments` says of each loaded one where it wants to be and where it begins
    /// in the file.
    pub fn bias(
        &self,
        procfs: &Procfs,
        segments: impl IntoIterator<Item = (Svma, FileOffset)>,
    ) -> Result<Bias, ProcessError> {
        let maps = Maps::read(procfs, self.about.reader)?;
        let mappings = maps.of_file(self.exe.link(), self.identity.exe.inode);
        segments.into_iter().find_map(|(stated, offset)| maps::bias(&mappings, stated, offset)).ok_or_else(
            || ProcessError::Malformed {
                path: procfs.path(self.pid, "maps"),
                what: "the binary is not mapped as its program headers say (is it packed, or started by an unusual loader?)",
            },
        )
    }
}

/// How long a process has lived that started so many ticks after boot.
pub(crate) fn age(start_ticks: u64) -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    let nanoseconds = u32::try_from(now.tv_nsec).unwrap_or_default();
    let now = Duration::new(now.tv_sec.unsigned_abs(), nanoseconds);
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    now.saturating_sub(Duration::from_nanos((1_000_000_000 / per_second).saturating_mul(start_ticks)))
}

/// A thread of a process whose first one has ended. What `/proc/PID` and the kernel's calls say of that one's memory and files is
/// that there are none.
fn living_thread(procfs: &Procfs, pid: Pid) -> Option<Pid> {
    let threads = std::fs::read_dir(procfs.path(pid, "task")).ok()?;
    let tids = threads.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok().map(Pid));
    let mut living = tids.filter(|tid| Stat::read(procfs, *tid).is_ok_and(|stat| !stat.is_dead()));
    living.next()
}

/// Why a process cannot be read that the system only says is not permitted, or has no binary: it has none when it exits, or
/// when the thread does through which it is read.
fn explained(error: ProcessError, procfs: &Procfs, pid: Pid, about: &About) -> ProcessError {
    match &error {
        ProcessError::NotPermitted { .. } => {}
        ProcessError::Io { source, .. } if source.kind() == ErrorKind::NotFound => {
            return ProcessError::Exited { pid };
        }
        ProcessError::NoSuchProcess { .. } | ProcessError::Exited { .. } => {
            return ProcessError::Exited { pid };
        }
        _ => return error,
    }
    // The files of one that is not dumpable belong to root, whoever it is run by; their folder does not.
    let owner = procfs.path(pid, "maps").metadata().map(|file| file.uid());
    if about.uid == geteuid().as_raw() && owner.is_ok_and(|owner| owner != about.uid) {
        return ProcessError::NotDumpable { pid };
    }
    match procfs.link(pid, "exe") {
        Ok(exe) if is_in_user_space(procfs, pid, &exe) => ProcessError::OnForeignFuse { exe },
        Ok(_) | Err(_) => error,
    }
}

/// What the system calls the namespace of this kind that a process is in; `None` if it does not say.
pub(crate) fn namespace(procfs: &Procfs, pid: Pid, kind: &str) -> Option<PathBuf> {
    procfs.link(pid, &format!("ns/{kind}")).ok()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// A `/proc` with one process, pid 5.
    struct FakeProc(tempfile::TempDir);

    impl FakeProc {
        fn with(state: char, flags: u64, status: &str) -> Self {
            let root = tempfile::tempdir().unwrap();
            let folder = root.path().join("5");
            std::fs::create_dir(&folder).unwrap();
            let stat = format!("5 (srv) {state} 1 5 5 0 -1 {flags} 0 0 0 0 1 1 0 0 20 0 1 0 99 0 0\n");
            std::fs::write(folder.join("stat"), stat).unwrap();
            std::fs::write(folder.join("status"), status).unwrap();
            Self(root)
        }

        fn about(&self) -> Result<About, ProcessError> {
            About::read(&Procfs::at(self.0.path()), Pid(5)).map(|(about, _)| about)
        }
    }

    const STATUS: &str = "Tgid:\t5\nTracerPid:\t0\nUid:\t0\t0\t0\t0\nNSpid:\t5\t1\n";

    #[test]
    fn a_process_without_a_binary_is_about_to_be_gone() {
        let proc = FakeProc::with('S', 0, STATUS);
        let about = proc.about().unwrap();
        let error = Exe::open(&Procfs::at(proc.0.path()), Pid(5)).unwrap_err();
        let error = explained(error, &Procfs::at(proc.0.path()), Pid(5), &about);
        assert!(matches!(error, ProcessError::Exited { pid: Pid(5) }), "{error}");
    }

    #[test]
    fn a_process_in_a_container_knows_its_inner_pid() {
        let about = FakeProc::with('S', 0, STATUS).about().unwrap();
        assert_eq!((about.inner_pid, about.is_stopped, about.tracer), (Some(1), false, None));
    }

    #[test]
    fn what_can_never_be_traced_is_refused_by_name() {
        let kernel = FakeProc::with('S', 0x0020_0000, STATUS).about().unwrap_err();
        assert_eq!(kernel.to_string(), "pid 5 is the kernel thread srv");
        let zombie = FakeProc::with('Z', 0, STATUS).about().unwrap_err();
        assert_eq!(zombie.to_string(), "process 5 (srv) has exited and its parent 1 has not reaped it");
        let thread = FakeProc::with('S', 0, &STATUS.replace("Tgid:\t5", "Tgid:\t4")).about().unwrap_err();
        assert_eq!(thread.to_string(), "5 is a thread of process 4");
    }

    #[test]
    fn a_stopped_process_is_noticed() {
        assert!(FakeProc::with('t', 0, STATUS).about().unwrap().is_stopped);
    }

    #[test]
    fn nobody_is_young_for_long() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let mut target = HeldProcess::open(&Procfs::system(), Pid(child.id())).unwrap();
        target.identity.start_time -= 2 * rustix::param::clock_ticks_per_second();
        assert!(!target.is_young());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_live_process_is_held() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let target = HeldProcess::open(&Procfs::system(), Pid(child.id())).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!target.about.name.is_empty());
        assert!(target.is_young());
        assert!(target.exit.has_exited());
        let error = HeldProcess::open(&Procfs::system(), Pid(child.id())).unwrap_err();
        assert!(matches!(error, ProcessError::NoSuchProcess { .. }));
    }
}
