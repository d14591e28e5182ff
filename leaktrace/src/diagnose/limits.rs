//! What it means that something has run out: which limit that was, and how much it allows.

use std::error::Error;
use std::io;

use rustix::io::Errno;

use super::{Exit, Meaning};
use crate::kernel::{self, AttachError};
use crate::process::limits::Limits;

/// What `ulimit -v` counts.
const KIB: u64 = 1024;

pub(super) fn meaning(cause: &(dyn Error + 'static), limits: &Limits) -> Option<Meaning> {
    if let Some(AttachError::Keeper(_)) = cause.downcast_ref() {
        // It cannot say itself that it has no memory.
        let hint =
            limits.address_space.map(|_| format!("it may have run out of memory: {}", of_memory(limits)));
        return hint.map(|hint| Meaning::new(Exit::Usage, hint));
    }
    let error = cause.downcast_ref::<io::Error>().or_else(|| kernel::of_system(cause))?;
    let code = error.raw_os_error()?;
    let hint = match Errno::from_raw_os_error(code) {
        Errno::MFILE => of_files(limits),
        Errno::NFILE => {
            "the system has no more room for open files: raise fs.file-max with sysctl".to_owned()
        }
        Errno::NOMEM => of_memory(limits),
        // What we wait for ourselves is never told as this: it is a thread or a process that cannot be had.
        Errno::AGAIN => of_threads(limits),
        _ => return None,
    };
    Some(Meaning::new(Exit::Usage, hint))
}

fn of_files(limits: &Limits) -> String {
    let most = limits.open_files.map_or_else(|| "not known".to_owned(), |most| most.to_string());
    format!("the limit on open files is {most}: raise it with `ulimit -n`")
}

fn of_memory(limits: &Limits) -> String {
    match limits.address_space {
        Some(most) => {
            format!("the limit on address space is {} KiB: raise it with `ulimit -v`", most / KIB)
        }
        None => "the system has no memory for it: free some, or raise the cgroup's memory.max".to_owned(),
    }
}

fn of_threads(limits: &Limits) -> String {
    let cgroup = limits.cgroup_processes.map(|most| format!("the cgroup's pids.max is {most}"));
    let user = limits.processes.map(|most| format!("`ulimit -u` is {most}"));
    let memory = limits.address_space.map(|most| format!("`ulimit -v` is {}", most / KIB));
    let known: Vec<String> = [cgroup, user, memory].into_iter().flatten().collect();
    if known.is_empty() {
        return "the system allows no more threads: raise kernel.threads-max or kernel.pid_max with sysctl"
            .to_owned();
    }
    format!("no more threads are allowed: {}; raise the one that is reached", known.join(", "))
}
