//! What a user sees who may do nothing to the processes of others.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{StatVfsMountFlags, statvfs};
use tempfile::TempDir;

use crate::install;
use crate::leaktrace::{Outcome, Running, binary};

/// The number of the user and of its group.
pub const NOBODY: u32 = 65534;

/// The user `nobody`, with a directory of copies that this user can reach.
#[derive(Debug)]
pub struct Nobody {
    directory: TempDir,
}

impl Default for Nobody {
    fn default() -> Self {
        Self::new()
    }
}

impl Nobody {
    /// Makes the directory.
    ///
    /// # Panics
    /// When it cannot be made.
    #[track_caller]
    pub fn new() -> Self {
        let places = [std::env::temp_dir(), "/tmp".into(), "/var/tmp".into(), "/dev/shm".into()];
        let place =
            places.iter().find(|place| is_open_to_all(place)).expect("a directory that all can reach");
        let directory = TempDir::new_in(place).expect("a directory can be made");
        permit(directory.path());
        Self { directory }
    }

    /// A command of this user that runs a copy of `program`.
    ///
    /// # Panics
    /// When it cannot be copied.
    #[track_caller]
    pub fn command(&self, program: &Path) -> Command {
        let copy = self.copy(program);
        let mut command = Command::new(copy);
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
        command
    }

    /// Lends the capabilities that tracing needs to the leaktrace that this user runs, whose file has this mode. `None` if
    /// the system cannot.
    ///
    /// # Panics
    /// When the file is not ours to change.
    #[track_caller]
    pub fn lend(&self, mode: u32) -> Option<()> {
        const ALL: &str = "cap_bpf,cap_perfmon,cap_sys_ptrace,cap_dac_read_search+ep";
        let copy = self.copy(&binary());
        // This takes capabilities away, so it comes first.
        chown(&copy, Some(0), Some(NOBODY)).expect("it is ours");
        fs::set_permissions(&copy, fs::Permissions::from_mode(mode)).expect("it is ours");
        let lent = Command::new("setcap").arg(ALL).arg(&copy).status();
        lent.is_ok_and(|status| status.success()).then_some(())
    }

    /// Runs leaktrace to its end as this user.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn leaktrace(&self, arguments: &str) -> Outcome {
        let mut command = self.command(&binary());
        command.args(arguments.split_whitespace());
        Running::start(command).finish()
    }

    /// A copy of a program that this user can reach.
    ///
    /// # Panics
    /// When it cannot be copied.
    #[track_caller]
    pub fn copy(&self, program: &Path) -> PathBuf {
        let copy = self.directory.path().join(program.file_name().expect("it is a file"));
        if !copy.exists() {
            install::copy(program, &copy);
        }
        copy
    }
}

fn permit(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
}

/// Whether every user can run a program that is somewhere below.
fn is_open_to_all(directory: &Path) -> bool {
    const SEARCH_BY_OTHERS: u32 = 0o001;
    let can_search = |path: &Path| {
        path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & SEARCH_BY_OTHERS != 0)
    };
    let can_run = |mount: rustix::fs::StatVfs| !mount.f_flag.contains(StatVfsMountFlags::NOEXEC);
    let whole = directory.canonicalize();
    whole.is_ok_and(|whole| whole.ancestors().all(can_search)) && statvfs(directory).is_ok_and(can_run)
}
