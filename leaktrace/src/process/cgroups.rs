//! How much memory the cgroup of a process uses and may use, and how often the OOM killer killed in it. Asks the kernel
//! alone: nothing here touches a process.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use leaktrace_core::node::black_box::{
    Level, available, cgroup_limit, event_count, file_cache, percent_of, tightest,
};
use leaktrace_core::schema::MemoryOf;

use super::mounts::{self, Mount};
use super::{Pid, ProcessError, Procfs};

/// The longest list of the cgroups of a process that is read, in bytes.
const MOST_CGROUPS: u64 = 64 << 10;
/// The longest file of a cgroup that is read, in bytes.
const MOST: u64 = 64 << 10;
/// How many folders are looked at to find our own cgroup.
const MOST_FOLDERS: usize = 1 << 16;
/// How many cgroups may be around each other.
const DEEPEST: usize = 64;

/// What the files of a hierarchy are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Version {
    const fn limit(self) -> &'static str {
        match self {
            Self::One => "memory.limit_in_bytes",
            Self::Two => "memory.max",
        }
    }

    const fn used(self) -> &'static str {
        match self {
            Self::One => "memory.usage_in_bytes",
            Self::Two => "memory.current",
        }
    }

    /// Those that count kills, the one that counts only this cgroup's first.
    const fn events(self) -> &'static [&'static str] {
        match self {
            Self::One => &["memory.oom_control"],
            Self::Two => &["memory.events.local", "memory.events"],
        }
    }
}

/// The hierarchy of cgroups that limits memory.
#[derive(Clone, Debug)]
pub(crate) struct MemoryCgroups {
    version: Version,
    /// Where it is mounted, and which of its cgroups is there, as our own cgroup namespace calls it.
    mount: PathBuf,
    root: String,
    /// Our own cgroup below that, where paths of others are relative to it.
    own: Vec<String>,
}

/// A cgroup and those around it.
#[derive(Clone, Debug)]
pub(crate) struct CgroupPlace {
    version: Version,
    folder: PathBuf,
    mount: PathBuf,
    /// Those with a limit, and which.
    limited: Vec<(PathBuf, u64)>,
}

impl MemoryCgroups {
    /// The one of this machine, if it is mounted.
    pub(crate) fn find(procfs: &Procfs) -> Option<Self> {
        let mut found = parse(&mounts::list(procfs, Pid::own()).ok()?)?;
        found.own = found.find_own().unwrap_or_default();
        Some(found)
    }

    /// The cgroup of a process.
    pub(crate) fn of(&self, procfs: &Procfs, pid: Pid) -> Option<CgroupPlace> {
        let folder = self.folder(path_of(&list(procfs, pid).ok()?, self.version)?)?;
        let (version, mount) = (self.version, self.mount.clone());
        let around = folder.ancestors().take(DEEPEST).take_while(|folder| folder.starts_with(&mount));
        let limited = around.filter_map(|folder| {
            Some((folder.to_owned(), cgroup_limit(&small(&folder.join(version.limit()))?)?))
        });
        let limited = limited.collect();
        Some(CgroupPlace { version, folder, mount, limited })
    }

    /// Where the cgroup is that our namespace calls `path`.
    fn folder(&self, path: &str) -> Option<PathBuf> {
        let is_name = |part: &&str| !part.is_empty() && *part != "..";
        let up = |path: &str| path.split('/').filter(|part| *part == "..").count();
        if up(path) == 0 && up(&self.root) == 0 {
            let below = Path::new(path).strip_prefix(&self.root).ok()?;
            return Some(self.mount.join(below));
        }
        // Both say how far it is up from our own cgroup.
        let begin = self.own.get(..up(&self.root).checked_sub(up(path))?)?;
        let mut folder = self.mount.clone();
        folder.extend(begin);
        folder.extend(path.split('/').filter(is_name));
        Some(folder)
    }

    /// The path from what is mounted to our own cgroup, which is so many steps below: that with the same inode as the one
    /// that our namespace has as its root.
    fn find_own(&self) -> Option<Vec<String>> {
        let depth = self.root.split('/').filter(|part| *part == "..").count();
        if depth == 0 {
            return None;
        }
        let root = fs::metadata("/sys/fs/cgroup").ok()?.ino();
        let mut left = MOST_FOLDERS;
        find_inode(&self.mount, depth, root, &mut left)
    }
}

/// The names on the way to the folder with this inode, which is so deep.
fn find_inode(folder: &Path, depth: usize, inode: u64, left: &mut usize) -> Option<Vec<String>> {
    for entry in fs::read_dir(folder).ok()?.flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        *left = left.checked_sub(1)?;
        let name = || entry.file_name().into_string().ok();
        if depth == 1 {
            if entry.metadata().is_ok_and(|metadata| metadata.ino() == inode) {
                return Some(vec![name()?]);
            }
        } else if let Some(rest) = find_inode(&entry.path(), depth - 1, inode, left) {
            return Some([vec![name()?], rest].concat());
        }
    }
    None
}

impl CgroupPlace {
    /// How much is used of the limit that is closest, without pages of files where that matters: from so many percent on.
    pub(crate) fn used(&self, from_percent: u32) -> Option<Level> {
        let level = |(folder, limit): &(PathBuf, u64)| {
            let used: u64 = small(&folder.join(self.version.used()))?.trim().parse().ok()?;
            let is_close = percent_of(used, *limit) >= from_percent;
            let stat = is_close.then(|| small(&folder.join("memory.stat"))).flatten();
            let cache = stat.as_deref().map_or(0, file_cache);
            Some(Level { used: used.saturating_sub(cache), limit: *limit })
        };
        tightest(self.limited.iter().filter_map(level))
    }

    /// How often the OOM killer killed in this cgroup; nothing if it is gone.
    pub(crate) fn oom_kills(&self) -> Option<u64> {
        let count = |name: &&str| event_count(&small(&self.folder.join(name))?, "oom_kill");
        self.version.events().iter().find_map(count)
    }

    /// The same in the one around it and, in version 2, all below that.
    pub(crate) fn oom_kills_around(&self) -> Option<u64> {
        let around = self.folder.parent().filter(|around| around.starts_with(&self.mount))?;
        let name = self.version.events().last()?;
        event_count(&small(&around.join(name))?, "oom_kill")
    }
}

/// How much of the machine's memory is used.
pub(crate) fn machine(procfs: &Procfs) -> Option<Level> {
    available(&small(&procfs.root().join("meminfo"))?)
}

/// The list of the cgroups of a process (cgroups(7), `/proc/PID/cgroup`).
pub(crate) fn list(procfs: &Procfs, pid: Pid) -> Result<String, ProcessError> {
    let text = procfs.read(pid, "cgroup", MOST_CGROUPS)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The level that counts for a process in `place`, and whose it is.
pub(crate) fn level(
    place: Option<&CgroupPlace>,
    procfs: &Procfs,
    from_percent: u32,
) -> Option<(MemoryOf, Level)> {
    let of_cgroup = place.and_then(|place| place.used(from_percent)).map(|level| (MemoryOf::Cgroup, level));
    of_cgroup.or_else(|| Some((MemoryOf::Machine, machine(procfs)?)))
}

/// A small file of the kernel's.
fn small(path: &Path) -> Option<String> {
    let mut text = String::with_capacity(256);
    File::open(path).ok()?.take(MOST).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The hierarchy that limits memory, in a list of mounts (proc(5), `/proc/PID/mountinfo`). Where one of version 1 has the
/// controller, that of version 2 has not. Of several mounts it is the one that shows most.
fn parse(mounts: &str) -> Option<MemoryCgroups> {
    let of_line = |line: &str| {
        let mount = Mount::parse(line)?;
        let version = match mount.kind {
            "cgroup" if mount.options.split(',').any(|option| option == "memory") => Version::One,
            "cgroup2" => Version::Two,
            _ => return None,
        };
        let (root, mount) = (mount.root.to_owned(), PathBuf::from(mount.point));
        Some(MemoryCgroups { version, mount, root, own: Vec::new() })
    };
    let shows = |found: &MemoryCgroups| {
        let up = found.root.split('/').filter(|part| *part == "..").count();
        (found.version == Version::One, up, std::cmp::Reverse(found.root.len()))
    };
    mounts.lines().filter_map(of_line).max_by_key(shows)
}

/// The path of a process's cgroup in this hierarchy, as `/proc/PID/cgroup` says it.
fn path_of(text: &str, version: Version) -> Option<&str> {
    text.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let is_it = match version {
            Version::One => controllers.split(',').any(|one| one == "memory"),
            Version::Two => controllers.is_empty(),
        };
        is_it.then_some(path)
    })
}

#[cfg(test)]
mod tests;
