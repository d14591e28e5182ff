//! Which file systems are left alone.
//!
//! Whoever waits for an answer of a server in user space (FUSE) that has taken the request in cannot even be killed: the
//! kernel waits it out (`request_wait_answer` in `fs/fuse/dev.c`), and leaktrace would not end. So nothing on such a
//! file system is touched, be it mapped as code, save for that which has the process's binary: without that nothing is
//! known of the process at all.

use std::collections::BTreeSet;
use std::path::Path;

use super::maps::Maps;
use super::{Pid, ProcessError, Procfs};

/// The longest list of mounts that is read, in bytes.
const BOUND: u64 = 16 << 20;

/// The devices, major and minor number, of the file systems in user space of which process `pid` has mapped something, save
/// for that of its binary.
pub(crate) fn untouchable(maps: &Maps, procfs: &Procfs, pid: Pid) -> BTreeSet<(u32, u32)> {
    let link = procfs.link(pid, "exe").unwrap_or_default();
    let binary = maps.iter().find(|mapping| mapping.path == link).map(|mapping| mapping.device);
    let is_elsewhere = |device: &(u32, u32)| *device != (0, 0) && Some(*device) != binary;
    let mapped: BTreeSet<_> = maps.iter().map(|mapping| mapping.device).filter(is_elsewhere).collect();
    if mapped.is_empty() {
        return mapped;
    }
    // Without the list nothing is known to be safe.
    let Ok(mounts) = list(procfs, pid) else { return mapped };
    mapped.intersection(&in_user_space(&mounts)).copied().collect()
}

/// Whether the file that process `pid` has mapped as `path` is on a file system in user space. Nothing there is touched for that.
pub(crate) fn is_in_user_space(procfs: &Procfs, pid: Pid, path: &Path) -> bool {
    let device = Maps::read(procfs, pid)
        .ok()
        .and_then(|maps| maps.iter().find(|mapping| mapping.path == path).map(|mapping| mapping.device));
    let mounts = list(procfs, pid).unwrap_or_default();
    device.is_some_and(|device| in_user_space(&mounts).contains(&device))
}

/// A line of a list of mounts (proc(5), `/proc/PID/mountinfo`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Mount<'l> {
    /// Major and minor number of the device.
    device: &'l str,
    /// What of the file system is mounted, and where.
    pub(super) root: &'l str,
    pub(super) point: &'l str,
    /// The type of the file system, and the options of all its mounts.
    pub(super) kind: &'l str,
    pub(super) options: &'l str,
}

impl<'l> Mount<'l> {
    pub(super) fn parse(line: &'l str) -> Option<Self> {
        let (head, tail) = line.split_once(" - ")?;
        let (mut head, mut tail) = (head.split(' ').skip(2), tail.split(' '));
        let (device, root, point) = (head.next()?, head.next()?, head.next()?);
        let (kind, options) = (tail.next()?, tail.nth(1).unwrap_or_default());
        Some(Self { device, root, point, kind, options })
    }
}

/// The mounts that a process sees.
pub(super) fn list(procfs: &Procfs, pid: Pid) -> Result<String, ProcessError> {
    let text = procfs.read(pid, "mountinfo", BOUND)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The devices of the file systems in user space in a list of mounts.
fn in_user_space(mounts: &str) -> BTreeSet<(u32, u32)> {
    let device = |line: &str| {
        let mount = Mount::parse(line)?;
        let (major, minor) = mount.device.split_once(':')?;
        mount.kind.starts_with("fuse").then_some((major.parse().ok()?, minor.parse().ok()?))
    };
    mounts.lines().filter_map(device).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 22 0:49 / /mnt/hung rw,nosuid - fuse hung rw,user_id=0
41 22 0:50 / /mnt/user rw master:3 shared:7 - fuse.sshfs host:/ rw
42 22 8:17 / /mnt/disk rw - fuseblk /dev/sdb1 rw
43 22 0:51 / /mnt/data rw - nfs4 host:/ rw
";
    const LIST: &str = "\
00400000-00500000 r-xp 00000000 00:32 7 /mnt/user/app
00500000-00600000 r-xp 00000000 fe:00 9 /lib/c.so
00600000-00700000 r-xp 00000000 00:31 2 /mnt/hung/file
00700000-00800000 rw-p 00000000 00:00 0 
";

    #[test]
    fn file_systems_in_user_space_are_told_by_their_type() {
        assert_eq!(in_user_space(MOUNTS), BTreeSet::from([(0, 49), (0, 50), (8, 17)]));
    }

    #[test]
    fn a_file_in_user_space_is_told_from_others() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("5");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("maps"), LIST).unwrap();
        std::fs::write(folder.join("mountinfo"), MOUNTS).unwrap();
        let procfs = Procfs::at(root.path());
        let is = |path: &str| is_in_user_space(&procfs, Pid(5), Path::new(path));
        assert_eq!([is("/mnt/user/app"), is("/lib/c.so"), is("/not/mapped")], [true, false, false]);
    }

    #[test]
    fn they_are_left_alone_save_for_that_of_the_binary() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("5");
        std::fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink("/mnt/user/app", folder.join("exe")).unwrap();
        let (procfs, maps) = (Procfs::at(root.path()), Maps::parse(LIST.as_bytes()).unwrap());
        let all_but_the_binarys = BTreeSet::from([(0, 49), (254, 0)]);
        assert_eq!(untouchable(&maps, &procfs, Pid(5)), all_but_the_binarys, "nobody says what they are");
        std::fs::write(folder.join("mountinfo"), MOUNTS).unwrap();
        assert_eq!(untouchable(&maps, &procfs, Pid(5)), BTreeSet::from([(0, 49)]));
    }
}
