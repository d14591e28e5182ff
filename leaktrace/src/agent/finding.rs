//! Finds the processes of the node as they come and go. Asks only what the kernel answers without a process's help; what
//! touches a process or its binary is done on a thread that may never come back.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use leaktrace_core::schema::ProcessId;

use crate::process::exe::without_mark;
use crate::process::stat::Stat;
use crate::process::{Pid, Procfs};

/// At each scan, one in so many of the processes that are known is asked again what it runs.
const ASKED_AGAIN: u32 = 16;

/// How many processes of the system are looked at: as many as have a pid by default on 64-bit Linux.
const MOST_PROCESSES: usize = 1 << 22;

/// What is known of processes without looking into them.
#[derive(Debug, Default)]
pub(super) struct Finder {
    seen: HashMap<Pid, Seen>,
    turn: u32,
}

#[derive(Debug, PartialEq, Eq)]
struct Seen {
    start_ticks: u64,
    exe: Option<PathBuf>,
}

/// What has changed since the scan before.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Processes that have come, or run something else than before.
    pub(super) come: Vec<Pid>,
    /// Those that have gone, or were what others are now.
    pub(super) gone: Vec<ProcessId>,
}

impl Finder {
    /// What has changed. Whoever is known is asked what it runs in turn, or `asks_all` of them.
    pub(super) fn scan(&mut self, procfs: &Procfs, asks_all: bool) -> Changes {
        self.turn = self.turn.wrapping_add(1);
        let there: HashSet<Pid> =
            procfs.pids().take(MOST_PROCESSES).filter(|pid| *pid != Pid::own()).collect();
        let mut changes = Changes::default();
        self.seen.retain(|pid, seen| {
            let stays = there.contains(pid);
            if !stays {
                changes.gone.push(seen.id(*pid));
            }
            stays
        });
        for pid in there {
            let is_turn = pid.0.wrapping_add(self.turn).is_multiple_of(ASKED_AGAIN);
            if asks_all || is_turn || !self.seen.contains_key(&pid) {
                self.look(procfs, pid, &mut changes);
            }
        }
        changes.come.sort_unstable();
        changes
    }

    fn look(&mut self, procfs: &Procfs, pid: Pid, changes: &mut Changes) {
        let (before, now) = (self.seen.get(&pid), ask(procfs, pid));
        if before == now.as_ref() {
            return;
        }
        changes.gone.extend(before.map(|seen| seen.id(pid)));
        match now {
            Some(seen) => {
                // What runs no file is a part of the kernel, or ends.
                changes.come.extend(seen.exe.is_some().then_some(pid));
                self.seen.insert(pid, seen);
            }
            None => _ = self.seen.remove(&pid),
        }
    }

    /// Finds out what a process runs, whatever is known of it.
    pub(super) fn look_anew(&mut self, procfs: &Procfs, pid: Pid, changes: &mut Changes) {
        let before = self.seen.remove(&pid);
        self.look(procfs, pid, changes);
        // One that has become another program is the same process.
        let is_another = |seen: &Seen| !self.knows(seen.id(pid));
        changes.gone.extend(before.filter(is_another).map(|seen| seen.id(pid)));
    }

    /// Whether this process is there, as far as is known.
    pub(super) fn knows(&self, id: ProcessId) -> bool {
        self.seen.get(&Pid(id.pid)).is_some_and(|seen| seen.start_ticks == id.start_ticks)
    }

    /// Nothing is known of a process any more.
    pub(super) fn forget(&mut self, pid: Pid) {
        self.seen.remove(&pid);
    }
}

impl Seen {
    const fn id(&self, pid: Pid) -> ProcessId {
        ProcessId { pid: pid.0, start_ticks: self.start_ticks }
    }
}

/// What a process runs; nothing if it has gone.
fn ask(procfs: &Procfs, pid: Pid) -> Option<Seen> {
    let stat = Stat::read(procfs, pid).ok()?;
    let exe = (!stat.is_kernel_thread).then(|| procfs.link(pid, "exe").unwrap_or_default());
    // It runs on when its file is replaced.
    let exe = exe.map(|exe| without_mark(&exe));
    Some(Seen { start_ticks: stat.start_time, exe })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    /// Makes a process of an imitated procfs, or another of it.
    fn start(root: &Path, pid: u32, start: u64, exe: &str) {
        let folder = root.join(pid.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        let stat = format!("{pid} (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {start} 0 0");
        std::fs::write(folder.join("stat"), stat).unwrap();
        _ = std::fs::remove_file(folder.join("exe"));
        symlink(exe, folder.join("exe")).unwrap();
    }

    fn id(pid: u32, start_ticks: u64) -> ProcessId {
        ProcessId { pid, start_ticks }
    }

    #[test]
    fn processes_come_and_go_once() {
        let root = tempfile::tempdir().unwrap();
        let (procfs, mut finder) = (Procfs::at(root.path()), Finder::default());
        start(root.path(), 70, 5, "/bin/a");
        start(root.path(), 71, 6, "/bin/b");
        assert_eq!(finder.scan(&procfs, false).come, [Pid(70), Pid(71)]);
        assert_eq!(finder.scan(&procfs, false), Changes::default());
        std::fs::remove_dir_all(root.path().join("70")).unwrap();
        assert_eq!(finder.scan(&procfs, false), Changes { come: vec![], gone: vec![id(70, 5)] });
        finder.forget(Pid(71));
        assert_eq!(finder.scan(&procfs, false).come, [Pid(71)]);
        assert_eq!(finder.scan(&procfs, true), Changes::default());
    }

    #[test]
    fn whoever_runs_something_else_is_found_out_in_turn() {
        let root = tempfile::tempdir().unwrap();
        let (procfs, mut finder) = (Procfs::at(root.path()), Finder::default());
        start(root.path(), 70, 5, "/bin/a");
        finder.scan(&procfs, false);
        start(root.path(), 70, 5, "/bin/a (deleted)");
        let none = (0..ASKED_AGAIN).all(|_| finder.scan(&procfs, false) == Changes::default());
        assert!(none, "it has only been replaced on disk");
        start(root.path(), 70, 9, "/bin/a");
        let scans: Vec<Changes> = (0..ASKED_AGAIN).map(|_| finder.scan(&procfs, false)).collect();
        let told: Vec<&Changes> = scans.iter().filter(|changes| **changes != Changes::default()).collect();
        assert_eq!(told, [&Changes { come: vec![Pid(70)], gone: vec![id(70, 5)] }]);
        start(root.path(), 70, 9, "/bin/b");
        assert_eq!(finder.scan(&procfs, true), Changes { come: vec![Pid(70)], gone: vec![id(70, 9)] });
    }

    #[test]
    fn whoever_has_called_exec_is_found_out_at_once_and_is_the_same_process() {
        let root = tempfile::tempdir().unwrap();
        let (procfs, mut finder) = (Procfs::at(root.path()), Finder::default());
        start(root.path(), 70, 5, "/bin/a");
        finder.scan(&procfs, false);
        let mut look = |procfs: &Procfs| {
            let mut changes = Changes::default();
            finder.look_anew(procfs, Pid(70), &mut changes);
            changes
        };
        let anew = |gone: &[ProcessId]| Changes { come: vec![Pid(70)], gone: gone.to_vec() };
        assert_eq!(look(&procfs), anew(&[]), "the same file is another program");
        start(root.path(), 70, 5, "/bin/b");
        assert_eq!(look(&procfs), anew(&[]));
        start(root.path(), 70, 9, "/bin/b");
        assert_eq!(look(&procfs), anew(&[id(70, 5)]), "its pid was given to another one");
        std::fs::remove_dir_all(root.path().join("70")).unwrap();
        assert_eq!(look(&procfs), Changes { come: vec![], gone: vec![id(70, 9)] });
        assert_eq!(look(&procfs), Changes::default());
    }
}
