//! Containers as Kubernetes has them, made with runc.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::go::prerequisites::ensure_runc;
use crate::held::Held;
use crate::poll::{PATIENCE, poll_until};

/// A container in which one program runs; deleted when dropped.
pub struct Container {
    id: String,
    held: Option<Held>,
    pid: u32,
    _bundle: TempDir,
}

impl Container {
    /// The name of the file that is run.
    pub const PROGRAM: &'static str = "contained";

    /// Starts a program that needs no file but its own, with one argument, and waits until it holds. Its cgroup has the path
    /// that the kubelet's cgroupfs driver gives to a pod of the class `Burstable`.
    pub fn start(program: &Path, argument: &str, say: &mut dyn FnMut(&str)) -> Result<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        ensure_runc(say)?;
        let bundle = tempfile::tempdir()?;
        let root = bundle.path().join("rootfs");
        fs::create_dir(&root)?;
        fs::copy(program, root.join(Self::PROGRAM))?;
        let id = format!("{:032x}{:032x}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        fs::write(bundle.path().join("config.json"), config(&id, argument).to_string())?;
        let pid_file = bundle.path().join("pid");
        let mut runc = Command::new("runc");
        runc.arg("run").arg("--bundle").arg(bundle.path()).arg("--pid-file").arg(&pid_file).arg(&id);
        // From here on it is deleted, however far it comes.
        let mut container = Self { id, held: None, pid: 0, _bundle: bundle };
        container.held = Some(Held::start(&mut runc)?);
        // It is written when the program runs already, and as a whole.
        container.pid = poll_until(PATIENCE, "runc says the pid", || {
            fs::read_to_string(&pid_file).ok()?.trim().parse().ok()
        });
        Ok(container)
    }

    /// What its program's process is called outside.
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Its id, 64 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let mut delete = Command::new("runc");
        delete.args(["delete", "--force", &self.id]).stderr(Stdio::null());
        // What is left of it is taken away with the machine.
        drop(delete.status());
        drop(self.held.take());
    }
}

/// What runc is told: namespaces of its own for all that containers have their own of, and no capabilities.
fn config(id: &str, argument: &str) -> Value {
    let namespaces = ["pid", "network", "ipc", "uts", "mount"].map(|kind| json!({ "type": kind }));
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": { "uid": 65534, "gid": 65534 },
            "args": [&format!("/{}", Container::PROGRAM), argument],
            "cwd": "/",
            "noNewPrivileges": true,
        },
        "root": { "path": "rootfs", "readonly": true },
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs" },
        ],
        "linux": {
            "namespaces": namespaces,
            "cgroupsPath": format!("/kubepods/burstable/pod{}/{id}", uid(id)),
        },
    })
}

/// A pod's uid, made of a container's id.
fn uid(id: &str) -> String {
    let last = &id[32..];
    [&last[..8], &last[8..12], &last[12..16], &last[16..20], &last[20..]].join("-")
}
