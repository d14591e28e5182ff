//! The kernel's tracing, where no tracefs is mounted too, as on a fresh machine and in a container.

use std::fs;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

/// A folder of tracefs for one who wants to trace, removed when this is dropped.
///
/// It is reached through a mount of our own that is at no path: there is nothing to take away again, also when we are
/// killed, and whether somebody has mounted tracefs makes no difference and is not changed.
pub(super) struct Instance {
    folder: PathBuf,
    /// The mount lives as long as this is open.
    _tracefs: OwnedFd,
}

impl Instance {
    /// Makes the instance `name`, which must not be there yet.
    pub(super) fn new(name: &str) -> Result<Self> {
        let tracefs = mounted().context("cannot mount tracefs")?;
        let folder = PathBuf::from(format!("/proc/self/fd/{}/instances/{name}", tracefs.as_raw_fd()));
        fs::create_dir(&folder).with_context(|| format!("cannot make instance {name}"))?;
        Ok(Self { folder, _tracefs: tracefs })
    }

    /// The path of one of its files, for this process.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Left behind it would cost room, but nothing else.
        drop(fs::remove_dir(&self.folder));
    }
}

/// tracefs, mounted nowhere (Linux 5.2 or later).
fn mounted() -> rustix::io::Result<OwnedFd> {
    let context = fsopen("tracefs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privilege::can_probe;

    #[test]
    fn an_instance_is_there_until_it_is_dropped_and_no_mount_is_left() {
        if !can_probe() {
            return;
        }
        let mounted = || fs::read_to_string("/proc/self/mountinfo").unwrap().matches(" - tracefs ").count();
        let before = mounted();
        let name = format!("leaktrace-tests-own-{}", std::process::id());
        let instance = Instance::new(&name).unwrap();
        fs::write(instance.file("tracing_on"), "0").unwrap();
        assert_eq!(fs::read_to_string(instance.file("tracing_on")).unwrap().trim(), "0");
        assert!(Instance::new(&name).is_err(), "there is one already");
        drop(instance);
        assert!(Instance::new(&name).is_ok(), "it is gone");
        assert_eq!(mounted(), before);
    }
}
