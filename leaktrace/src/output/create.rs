//! Opens files to be written: whose they become, who may read them, and which ones are not to be trusted.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::Path;

use super::OutputError;
use crate::privilege::sudo_caller;

/// What is in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Names and numbers.
    Names,
    /// Values from a program's memory as well, which are for its owner's eyes.
    Values,
}

/// A folder in which all may make files and nobody may take away another's: `/tmp`.
const SHARED: u32 = 0o1002;

/// Opens a file to be written, without changing what is in it. A new one belongs to whoever called `sudo`.
pub fn create(path: &Path, content: Content) -> Result<File, OutputError> {
    open(path, content).map_err(|source| OutputError::Open { path: path.to_owned(), source })
}

fn open(path: &Path, content: Content) -> io::Result<File> {
    let is_shared = is_in_shared_folder(path);
    let mut options = File::options();
    options.write(true).mode(if content == Content::Values { 0o600 } else { 0o666 });
    if is_shared {
        options.custom_flags(libc::O_NOFOLLOW);
    }
    match options.clone().create_new(true).open(path) {
        Ok(file) => hand_over(file),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => open_old(path, &mut options, is_shared),
        Err(error) => Err(error),
    }
}

fn hand_over(file: File) -> io::Result<File> {
    if let Some((uid, gid)) = sudo_caller() {
        fchown(&file, Some(uid), Some(gid))?;
    }
    Ok(file)
}

/// In a shared folder somebody else may have been there first, to read what is written or to have it written elsewhere.
fn open_old(path: &Path, options: &mut OpenOptions, is_shared: bool) -> io::Result<File> {
    let file = options.create(!is_shared).truncate(false).open(path).map_err(|error| {
        if is_shared && error.raw_os_error() == Some(libc::ELOOP) { refused_link() } else { error }
    })?;
    let owner = file.metadata()?.uid();
    let own = [Some(0), Some(rustix::process::geteuid().as_raw()), sudo_caller().map(|(uid, _)| uid)];
    if is_shared && !own.contains(&Some(owner)) {
        let what = format!("it belongs to user {owner}, in a folder that all may write to");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    }
    Ok(file)
}

fn refused_link() -> io::Error {
    let why = "it is a symbolic link in a folder that all may write to, and anybody may have made it to have another file \
               overwritten";
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

fn is_in_shared_folder(path: &Path) -> bool {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    folder.metadata().is_ok_and(|folder| folder.mode() & SHARED == SHARED)
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    use super::*;

    const NOBODY: u32 = 65534;

    fn folder(mode: u32) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
        folder
    }

    #[test]
    fn values_are_for_their_owner() {
        let folder = folder(0o700);
        let mode = |name: &str, content| {
            create(&folder.path().join(name), content).unwrap().metadata().unwrap().mode() & 0o077
        };
        assert_eq!(mode("values", Content::Values), 0);
        assert_ne!(mode("names", Content::Names), 0);
    }

    #[test]
    fn links_are_followed_where_nobody_else_could_have_made_them() {
        for (mode, is_followed) in [(0o755, true), (0o1777, false)] {
            let (folder, elsewhere) = (folder(mode), tempfile::tempdir().unwrap());
            let (link, file) = (folder.path().join("link"), elsewhere.path().join("file"));
            write(&file, "x").unwrap();
            symlink(&file, &link).unwrap();
            let opened = create(&link, Content::Names);
            assert_eq!(opened.is_ok(), is_followed, "{mode:o}");
            if let Err(OutputError::Open { source, .. }) = opened {
                assert!(source.to_string().starts_with("it is a symbolic link in a folder"), "{source}");
            }
        }
    }

    #[test]
    fn what_somebody_else_made_in_a_shared_folder_is_not_written_to() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let folder = folder(0o1777);
        let path = folder.path().join("dump.txt");
        write(&path, "").unwrap();
        assert!(create(&path, Content::Values).is_ok());
        chown(&path, Some(NOBODY), None).unwrap();
        let error = create(&path, Content::Values).unwrap_err();
        let (OutputError::Open { source, .. } | OutputError::Write { source, .. }) = error;
        assert_eq!(source.to_string(), "it belongs to user 65534, in a folder that all may write to");
    }
}
