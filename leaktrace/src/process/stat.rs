//! What `/proc/PID/stat` and `/proc/PID/status` say.

use super::{Pid, ProcessError, Procfs, USUAL};

/// The longest that either file can sanely be, in bytes.
const BOUND: u64 = 64 << 10;

/// The flag of a kernel thread, `PF_KTHREAD` of the kernel's `sched.h`.
const PF_KTHREAD: u64 = 0x0020_0000;

/// The part of `/proc/PID/stat` that we use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The command, as far as the kernel keeps it.
    pub name: String,
    /// The state letter: `R`, `S`, `T`, `Z` and so on.
    pub state: char,
    /// The parent.
    pub parent: Pid,
    /// Whether this is a part of the kernel.
    pub is_kernel_thread: bool,
    /// When it started, in ticks since boot: with the pid, an identity that is never used again.
    pub start_time: u64,
    /// What it ended with, as `waitpid(2)` has it; 0 while it runs, and for whoever may not know.
    pub exit_status: u32,
}

impl Stat {
    /// Reads that of a process.
    pub fn read(procfs: &Procfs, pid: Pid) -> Result<Self, ProcessError> {
        let bytes = procfs.read(pid, "stat", BOUND)?;
        Self::parse(&String::from_utf8_lossy(&bytes)).ok_or_else(|| ProcessError::Malformed {
            path: procfs.path(pid, "stat"),
            what: "not in the format that Linux writes",
        })
    }

    /// Whether the process runs no more.
    pub(crate) const fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }

    /// Whether it is stopped, by a signal or by whoever traces it.
    pub(crate) const fn is_stopped(&self) -> bool {
        matches!(self.state, 'T' | 't')
    }

    fn parse(text: &str) -> Option<Self> {
        // The name may hold spaces and parentheses: only the last one closes it.
        let (head, tail) = text.rsplit_once(')')?;
        let name = head.split_once('(')?.1.to_owned();
        let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
        // proc(5) counts from 1 and has two fields before these.
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self {
            name,
            state: fields.first()?.chars().next()?,
            parent: Pid(u32::try_from(number(4)?).ok()?),
            is_kernel_thread: number(9)? & PF_KTHREAD != 0,
            start_time: number(22)?,
            exit_status: number(52).and_then(|status| u32::try_from(status).ok()).unwrap_or(0),
        })
    }
}

/// Ticks of the processor that all threads have used, in user and in kernel mode, of what may be only the beginning of
/// `/proc/PID/stat`.
pub(super) fn cpu_ticks(bytes: &[u8]) -> Option<u64> {
    two_numbers(bytes, 14)
}

/// The same of its children that have ended and that it has waited for.
pub(super) fn children_cpu_ticks(bytes: &[u8]) -> Option<u64> {
    two_numbers(bytes, 16)
}

/// The sum of the field with this number, as proc(5) counts them, and of the next one.
fn two_numbers(bytes: &[u8], field: usize) -> Option<u64> {
    let name_end = bytes.iter().rposition(|byte| *byte == b')')?;
    let text = std::str::from_utf8(bytes.get(name_end + 1..)?).ok()?;
    let mut numbers = text.split_ascii_whitespace().skip(field - 3).map(str::parse::<u64>);
    Some(numbers.next()?.ok()?.saturating_add(numbers.next()?.ok()?))
}

/// The part of `/proc/PID/status` that we use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The process that this belongs to: another pid if this one is a thread's.
    pub tgid: Pid,
    /// Whoever traces it with ptrace, if anyone does.
    pub tracer: Option<Pid>,
    /// Whose it is.
    pub uid: u32,
    /// Its pid in every pid namespace, ours first.
    pub ns_pids: Vec<u32>,
}

impl Status {
    /// Reads that of a process.
    pub fn read(procfs: &Procfs, pid: Pid) -> Result<Self, ProcessError> {
        let bytes = procfs.read(pid, "status", BOUND)?;
        Self::parse(&String::from_utf8_lossy(&bytes)).ok_or_else(|| ProcessError::Malformed {
            path: procfs.path(pid, "status"),
            what: "not in the format that Linux writes",
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let line = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        let numbers = |key: &str| {
            line(key).map(|rest| rest.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect())
        };
        let first = |key: &str| numbers(key).and_then(|all: Vec<u32>| all.first().copied());
        Some(Self {
            tgid: Pid(first("Tgid")?),
            tracer: first("TracerPid").filter(|pid| *pid != 0).map(Pid),
            uid: first("Uid")?,
            ns_pids: numbers("NSpid").unwrap_or_default(),
        })
    }
}

/// How much memory a process has, in bytes: the file does not wait for the lock of its memory map.
pub(crate) fn resident(procfs: &Procfs, pid: Pid) -> Option<u64> {
    let [resident, _] = statm(procfs, pid)?;
    Some(resident)
}

/// How much of that is its own, in bytes, and not mapped from files, whose pages the kernel takes back where it needs them.
pub(crate) fn anonymous(procfs: &Procfs, pid: Pid) -> Option<u64> {
    let [resident, shared] = statm(procfs, pid)?;
    Some(resident.saturating_sub(shared))
}

/// All resident memory, and that of files and shared memory (`proc_pid_statm(5)`), in bytes.
fn statm(procfs: &Procfs, pid: Pid) -> Option<[u64; 2]> {
    let text = procfs.read(pid, "statm", USUAL as u64).ok()?;
    let text = String::from_utf8_lossy(&text);
    let mut pages = text.split_whitespace().skip(1).map_while(|word| word.parse::<u64>().ok());
    let mut bytes = || pages.next()?.checked_mul(rustix::param::page_size() as u64);
    Some([bytes()?, bytes()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mapped_from_files_is_not_ones_own() {
        let of_us = |read: fn(&Procfs, Pid) -> Option<u64>| read(&Procfs::system(), Pid::own()).unwrap();
        // Other tests come and go meanwhile; the binary, which is mapped, stays.
        let own = of_us(anonymous);
        assert!(own > 0 && of_us(resident) > own + (1 << 20), "{own}");
    }

    #[test]
    fn a_name_may_hold_what_looks_like_fields() {
        let text = "17 (a) S 2 (b) Z 1 17 17 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 4 0 99 1 2 3";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.name.as_str(), stat.state, stat.parent), ("a) S 2 (b", 'Z', Pid(1)));
        assert_eq!((cpu_ticks(text.as_bytes()), stat.start_time), (Some(300), 99));
        assert_eq!(cpu_ticks(&text.as_bytes()[..60]), Some(300));
        assert_eq!(cpu_ticks(b"17 (a) S 2 (b"), None);
        assert!(stat.is_dead() && !stat.is_kernel_thread);
    }

    #[test]
    fn a_kernel_thread_is_told_by_its_flag() {
        let text = "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 1 0 0 20 0 1 0 3 0 0";
        assert!(Stat::parse(text).unwrap().is_kernel_thread);
    }

    #[test]
    fn short_or_foreign_text_is_an_error() {
        for text in ["", "17", "17 (x", "17 (x) S", "17 (x) S a b c d e f g h i j k l m n o p q r s t u v"] {
            assert_eq!(Stat::parse(text), None, "{text:?}");
        }
        assert_eq!(Status::parse("Name:\tx\n"), None);
    }

    #[test]
    fn status_tells_threads_tracers_and_namespaces() {
        let text =
            "Name:\tsrv\nTgid:\t40\nPid:\t42\nTracerPid:\t7\nUid:\t1000\t1000\t1000\t1000\nNSpid:\t42\t1\n";
        let status = Status::parse(text).unwrap();
        assert_eq!((status.tgid, status.tracer, status.uid), (Pid(40), Some(Pid(7)), 1000));
        assert_eq!(status.ns_pids, [42, 1]);
    }

    #[test]
    fn our_own_files_parse() {
        let procfs = Procfs::system();
        let stat = Stat::read(&procfs, Pid::own()).unwrap();
        assert!(!stat.is_kernel_thread && stat.start_time > 0);
        assert_eq!(Status::read(&procfs, Pid::own()).unwrap().tgid, Pid::own());
    }
}
