//! Finds the processes that are described and not named. Reads only what the kernel answers without the process's help:
//! whether a candidate runs Go is found out on a thread that may never come back.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use leaktrace_core::base::num::Ktime;
use leaktrace_core::binary::elf::Elf;
use leaktrace_core::go::program::says_go;
use leaktrace_core::session::Matcher;

use crate::process::exe::Exe;
use crate::process::stat::Stat;
use crate::process::{Pid, ProcessError, Procfs};

/// How often it is looked for processes that have come.
pub(super) const RESCAN: Duration = Duration::from_secs(1);

/// How many processes are watched at a time.
pub(super) const MOST_WATCHED: usize = 128;

/// How many processes of the system are looked at: as many as have a pid by default on 64-bit Linux.
const MOST_PROCESSES: usize = 1 << 22;

/// What processes are described by, and which of them are known.
pub(super) struct Discovery {
    matcher: Arc<Matcher>,
    /// Those that were looked at: when they started, and what they ran.
    seen: HashMap<Pid, Seen>,
    /// Those that there was no place for.
    waiting: HashSet<Pid>,
    due: Ktime,
}

#[derive(PartialEq, Eq)]
struct Seen {
    start_time: u64,
    exe: PathBuf,
}

impl Discovery {
    pub(super) fn new(matcher: Matcher, now: Ktime) -> Self {
        Self { matcher: Arc::new(matcher), seen: HashMap::new(), waiting: HashSet::new(), due: now }
    }

    /// When to look next.
    pub(super) const fn due(&self) -> Ktime {
        self.due
    }

    /// What candidates are compared with.
    pub(super) fn matcher(&self) -> Arc<Matcher> {
        Arc::clone(&self.matcher)
    }

    /// The processes that have come since this was last asked, and those that have become another program.
    pub(super) fn scan(&mut self, procfs: &Procfs, now: Ktime) -> Vec<Pid> {
        self.due = now.plus(u64::try_from(RESCAN.as_nanos()).unwrap_or(u64::MAX));
        let mut seen = HashMap::new();
        let mut new = Vec::new();
        for pid in procfs.pids().take(MOST_PROCESSES).filter(|pid| *pid != Pid::own()) {
            let Some(found) = look(procfs, pid) else { continue };
            if self.seen.get(&pid) != Some(&found) {
                new.push(pid);
            }
            seen.insert(pid, found);
        }
        self.seen = seen;
        new.sort_unstable();
        new
    }

    /// There was no place for this process.
    pub(super) fn leave_waiting(&mut self, pid: Pid) {
        self.waiting.insert(pid);
    }

    /// A process is not watched any more. One that has called exec is looked at anew, though it may be called the same, and so
    /// are those that there was no place for, unless it was one of them.
    pub(super) fn has_ended(&mut self, pid: Pid, has_execed: bool) {
        if self.waiting.contains(&pid) {
            return;
        }
        for waiting in self.waiting.drain().chain(has_execed.then_some(pid)) {
            self.seen.remove(&waiting);
        }
    }
}

/// What a process runs; nothing if it has gone, or is a part of the kernel.
fn look(procfs: &Procfs, pid: Pid) -> Option<Seen> {
    let stat = Stat::read(procfs, pid).ok()?;
    if stat.is_kernel_thread || stat.is_dead() {
        return None;
    }
    Some(Seen { start_time: stat.start_time, exe: procfs.link(pid, "exe").ok()? })
}

/// Whether a process is meant, by its executable and its command, and runs Go. Touches its binary.
pub(crate) fn screen(
    procfs: &Procfs,
    pid: Pid,
    is_meant: impl FnOnce(&str, &str) -> bool,
) -> Result<bool, ProcessError> {
    let (stat, exe) = (Stat::read(procfs, pid)?, Exe::open(procfs, pid)?);
    Ok(is_meant(&exe.name().to_string_lossy(), &stat.name)
        && Elf::parse(exe.bytes()).is_ok_and(|elf| says_go(&elf)))
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    #[test]
    fn who_there_was_no_place_for_is_looked_at_anew_when_another_ends() {
        let mut sleeper: Child = Command::new("sleep").arg("60").spawn().unwrap();
        let (pid, other) = (Pid(sleeper.id()), Pid::own());
        let mut discovery = Discovery::new(Matcher::default(), Ktime(0));
        let is_new = |discovery: &mut Discovery| discovery.scan(&Procfs::system(), Ktime(0)).contains(&pid);
        assert!(is_new(&mut discovery));
        discovery.leave_waiting(pid);
        discovery.has_ended(pid, false);
        assert!(!is_new(&mut discovery), "its own end is not that of another");
        discovery.has_ended(other, false);
        assert!(is_new(&mut discovery));
        assert!(!is_new(&mut discovery));
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
    }
}
