//! Cgroups that allow their processes only so many of them, threads included, or so much memory (cgroups(7)).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// One of ours; it is taken away when this is dropped.
#[derive(Debug)]
struct Cgroup {
    folder: PathBuf,
}

impl Cgroup {
    /// Makes one that has one of these `files`; `None` where the `controller` has none.
    fn new(controller: &str, files: [&str; 2]) -> Option<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let made = MADE.fetch_add(1, Ordering::Relaxed);
        Self::named(&format!("leaktrace-test-{}-{made}", std::process::id()), controller, files)
    }

    /// The same, and what it is called.
    fn named(name: &str, controller: &str, files: [&str; 2]) -> Option<Self> {
        // Version 1, and version 2.
        let around = Path::new("/sys/fs/cgroup");
        [around.join(controller), around.to_owned()].into_iter().find_map(|root| {
            // Those of version 2 have it only if the one around them says so.
            _ = fs::write(root.join("cgroup.subtree_control"), format!("+{controller}"));
            let made = Self { folder: root.join(name) };
            fs::create_dir(&made.folder).ok()?;
            files.iter().any(|file| made.folder.join(file).exists()).then_some(made)
        })
    }

    /// The file that puts a process into the cgroup when it writes 0 to it.
    fn door(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }
}

/// A limit of processes.
#[derive(Debug)]
pub struct ProcessLimit {
    cgroup: Cgroup,
}

impl ProcessLimit {
    /// Makes one; `None` where no cgroup can be made that counts processes.
    pub fn new() -> Option<Self> {
        Some(Self { cgroup: Cgroup::new("pids", ["pids.max"; 2])? })
    }

    /// Allows so many.
    ///
    /// # Panics
    /// When that cannot be said.
    pub fn allow(&self, most: u32) {
        fs::write(self.cgroup.folder.join("pids.max"), most.to_string()).expect("it is ours");
    }

    /// The file that puts a process into the cgroup when it writes 0 to it.
    pub fn door(&self) -> PathBuf {
        self.cgroup.door()
    }
}

/// The cgroup of a container, called as containerd calls it, without a pod's around it, as its name is all that counts.
#[derive(Debug)]
pub struct Container {
    cgroup: Cgroup,
    id: String,
}

impl Container {
    /// Makes one; `None` where no cgroup can be made.
    pub fn new() -> Option<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let id = format!("{:032x}{:032x}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let cgroup = Cgroup::named(&format!("cri-containerd-{id}.scope"), "pids", ["pids.max"; 2])?;
        Some(Self { cgroup, id })
    }

    /// The id of the container.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The file that puts a process into the cgroup when it writes 0 to it.
    pub fn door(&self) -> PathBuf {
        self.cgroup.door()
    }
}

/// A limit of memory.
#[derive(Debug)]
pub struct MemoryLimit {
    cgroup: Cgroup,
    used: PathBuf,
}

impl MemoryLimit {
    /// Allows so many bytes, swapped out or not; `None` where no cgroup can be made that counts memory.
    ///
    /// # Panics
    /// When that cannot be said.
    pub fn new(bytes: u64) -> Option<Self> {
        let cgroup = Cgroup::new("memory", ["memory.limit_in_bytes", "memory.max"])?;
        let file = |name| cgroup.folder.join(name);
        let (limit, used, swap) = if file("memory.max").exists() {
            ("memory.max", "memory.current", ("memory.swap.max", 0))
        } else {
            ("memory.limit_in_bytes", "memory.usage_in_bytes", ("memory.memsw.limit_in_bytes", bytes))
        };
        fs::write(file(limit), bytes.to_string()).expect("it is ours");
        // Only where swapping is counted.
        if file(swap.0).exists() {
            fs::write(file(swap.0), swap.1.to_string()).expect("it is ours");
        }
        let used = file(used);
        Some(Self { cgroup, used })
    }

    /// How many bytes are used.
    ///
    /// # Panics
    /// When that is not told.
    pub fn used(&self) -> u64 {
        let text = fs::read_to_string(&self.used).expect("it is there");
        text.trim().parse().expect("it is a number")
    }

    /// The file that puts a process into the cgroup when it writes 0 to it.
    pub fn door(&self) -> PathBuf {
        self.cgroup.door()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Whoever is still in it ends soon, and an empty one that stays harms nobody.
        _ = fs::remove_dir(&self.folder);
    }
}
