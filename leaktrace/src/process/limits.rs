//! How much of the system this process may use.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit};

/// What limits us. `None` is no limit, or none that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Descriptors of ours (`ulimit -n`).
    pub open_files: Option<u64>,
    /// Our address space, in bytes (`ulimit -v`).
    pub address_space: Option<u64>,
    /// Processes and threads of the user (`ulimit -u`).
    pub processes: Option<u64>,
    /// Processes and threads of a cgroup that we are in: the least `pids.max` on the way to the root.
    pub cgroup_processes: Option<u64>,
}

impl Limits {
    /// Ours.
    pub fn of_this_process() -> Self {
        let soft = |resource| getrlimit(resource).current;
        Self {
            open_files: soft(Resource::Nofile),
            address_space: soft(Resource::As),
            processes: soft(Resource::Nproc),
            cgroup_processes: cgroup_processes(),
        }
    }
}

fn cgroup_processes() -> Option<u64> {
    let cgroups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let folder = cgroups.lines().find_map(pids_folder)?;
    let least = |folder: &Path| fs::read_to_string(folder.join("pids.max")).ok()?.trim().parse::<u64>().ok();
    folder.ancestors().filter_map(least).min()
}

/// The folder of the cgroup that counts processes, of a line of `/proc/PID/cgroup` (cgroups(7)); `None` of other lines.
fn pids_folder(line: &str) -> Option<PathBuf> {
    let (_, rest) = line.split_once(':')?;
    let (controllers, path) = rest.split_once(':')?;
    let root = match controllers {
        "" => Path::new("/sys/fs/cgroup"),
        _ if controllers.split(',').any(|name| name == "pids") => Path::new("/sys/fs/cgroup/pids"),
        _ => return None,
    };
    Some(root.join(path.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cgroup_that_counts_processes_is_found() {
        let found = |line| pids_folder(line).map(|folder| folder.display().to_string());
        assert_eq!(found("0::/user.slice/x").as_deref(), Some("/sys/fs/cgroup/user.slice/x"));
        assert_eq!(found("5:pids:/a:b").as_deref(), Some("/sys/fs/cgroup/pids/a:b"));
        assert_eq!(found("4:cpu,cpuacct:/a"), None);
        assert_eq!(found("nonsense"), None);
    }
}
