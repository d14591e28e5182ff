//! What a user sees who may do nothing to the processes of others.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::leaktrace::{Outcome, Running, binary};

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
        let directory = tempfile::tempdir().expect("a directory can be made");
        permit(directory.path());
        Self { directory }
    }

    /// A command of this user that runs a copy of `program`.
    ///
    /// # Panics
    /// When it cannot be copied.
    #[track_caller]
    pub fn command(&self, program: &Path) -> Command {
        const NOBODY: u32 = 65534;
        let copy = self.copy(program);
        let mut command = Command::new(copy);
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
        command
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

    fn copy(&self, program: &Path) -> PathBuf {
        let copy = self.directory.path().join(program.file_name().expect("it is a file"));
        fs::copy(program, &copy).expect("it can be copied");
        permit(&copy);
        copy
    }
}

fn permit(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
}
