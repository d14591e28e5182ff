//! Where a soak takes place: programs, folders, a disk with next to no room, and a mark by which its processes are known.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use leaktrace_tests::go::{self, Mode, Program, Version};
use leaktrace_tests::{Target, leaktrace};

use super::plan::TargetPlan;
use crate::step::say;

/// The variable that every process of ours has in its environment, and so have those that it starts.
const MARK: &str = "LEAKTRACE_SOAK";

/// How the program is built: mostly as the newest release does.
const BUILDS: [(Version, Mode); 4] = [
    (Version::NEWEST, Mode::Plain),
    (Version::NEWEST, Mode::Stripped),
    (Version::new(24, 11), Mode::Pie),
    (Version::OLDEST, Mode::Plain),
];

/// What all rounds share.
pub(super) struct Ground {
    pub(super) programs: Vec<PathBuf>,
    pub(super) folder: PathBuf,
    /// A folder on a file system of a few pages.
    pub(super) disk: PathBuf,
    mark: String,
}

/// A process of ours.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) parent: u32,
    pub(super) name: String,
}

impl Ground {
    /// Builds the programs and makes the folders.
    pub(super) fn prepare() -> Result<Self> {
        let build = |(version, mode)| go::build(Program::Soak, version, mode, &mut say);
        let programs = BUILDS.into_iter().map(build).collect::<Result<Vec<_>>>()?;
        // In another pid namespace there may be one with our process id.
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let mark = format!("{}-{}", std::process::id(), now.as_millis());
        let folder = std::env::temp_dir().join(format!("leaktrace-soak-{mark}"));
        let disk = folder.join("disk");
        fs::create_dir_all(&disk).with_context(|| format!("cannot make {}", disk.display()))?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=16k", "tmpfs"]).arg(&disk);
        if !mount.status().context("cannot start mount")?.success() {
            bail!("cannot mount a file system at {}", disk.display());
        }
        Ok(Self { programs, folder, disk, mark })
    }

    /// Starts one of the programs.
    ///
    /// # Panics
    /// When it does not become ready.
    pub(super) fn start(&self, plan: &TargetPlan) -> Target {
        let program = &self.programs[plan.build];
        let mut command = self.command(program);
        command.args(plan.arguments.split_whitespace());
        Target::spawn(command, program)
    }

    /// A command that runs leaktrace with `arguments`.
    pub(super) fn leaktrace(&self, arguments: &[String]) -> Command {
        let mut command = self.command(&leaktrace::binary());
        command.args(arguments);
        command
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env(MARK, &self.mark);
        command
    }

    /// All processes of this soak that have not ended, but for itself.
    pub(super) fn processes(&self) -> Vec<Process> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter_map(|pid| self.process(pid)).collect()
    }

    /// A process that has ended has no environment any more.
    fn process(&self, pid: u32) -> Option<Process> {
        let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let mark = format!("{MARK}={}", self.mark);
        let is_ours = environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes());
        let status = is_ours.then(|| fs::read_to_string(format!("/proc/{pid}/status")).ok())??;
        let field =
            |name: &str| status.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()));
        Some(Process { pid, parent: field("PPid:")?.parse().ok()?, name: field("Name:")? })
    }

    /// Takes it all away.
    pub(super) fn clear(self) -> Result<()> {
        let folder = self.folder.clone();
        drop(self);
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.disk).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            say(&format!("cannot unmount {}", self.disk.display()));
        }
    }
}
