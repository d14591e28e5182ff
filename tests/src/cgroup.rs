//! A cgroup that allows its processes only so many of them, threads included (cgroups(7)).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// One of ours; it is taken away when this is dropped.
#[derive(Debug)]
pub struct ProcessLimit {
    folder: PathBuf,
}

impl ProcessLimit {
    /// Makes one; `None` where no cgroup can be made that counts processes.
    pub fn new() -> Option<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("leaktrace-test-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        // Version 1, and version 2.
        let roots = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"].map(Path::new);
        roots.iter().find_map(|root| {
            // Those of version 2 have it only if the one around them says so.
            _ = fs::write(root.join("cgroup.subtree_control"), "+pids");
            let made = Self { folder: root.join(&name) };
            fs::create_dir(&made.folder).ok()?;
            made.folder.join("pids.max").exists().then_some(made)
        })
    }

    /// Allows so many.
    ///
    /// # Panics
    /// When that cannot be said.
    pub fn allow(&self, most: u32) {
        fs::write(self.folder.join("pids.max"), most.to_string()).expect("it is ours");
    }

    /// The file that puts a process into the cgroup when it writes 0 to it.
    pub fn door(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }
}

impl Drop for ProcessLimit {
    fn drop(&mut self) {
        // Whoever is still in it ends soon, and an empty one that stays harms nobody.
        _ = fs::remove_dir(&self.folder);
    }
}
