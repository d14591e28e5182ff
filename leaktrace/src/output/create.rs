//! Opens files to be written: whose they become, who may read them, and which ones are not to be trusted.

use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt as _, fchown};
use std::path::Path;

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;

use super::OutputError;
use super::place::{self, Place, is_own};
use crate::privilege::sudo_caller;

/// What is in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Names and numbers.
    Names,
    /// Values from a program's memory as well, which are for its owner's eyes.
    Values,
}

/// What opens a file to write to it.
const WRITE: OFlags = OFlags::WRONLY.union(OFlags::CLOEXEC);

/// Opens a file to be written, without changing what is in it. A new one belongs to whoever called `sudo`.
pub fn create(path: &Path, content: Content) -> Result<File, OutputError> {
    open(path, content).map_err(|source| OutputError::Open { path: path.to_owned(), source })
}

fn open(path: &Path, content: Content) -> io::Result<File> {
    let place = place::find(path)?;
    let mode = Mode::from_raw_mode(if content == Content::Values { 0o600 } else { 0o666 });
    let is_new = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
    match openat(&place.folder, &place.name, WRITE | is_new, mode) {
        Ok(file) => hand_over(file.into()),
        Err(Errno::EXIST) => open_old(&place),
        Err(error) => Err(error.into()),
    }
}

fn hand_over(file: File) -> io::Result<File> {
    if let Some((uid, gid)) = sudo_caller() {
        fchown(&file, Some(uid), Some(gid))?;
    }
    Ok(file)
}

/// In a shared folder somebody else may have been there first, to read what is written or to have it written elsewhere.
fn open_old(place: &Place) -> io::Result<File> {
    let links = if place.is_magic { OFlags::empty() } else { OFlags::NOFOLLOW };
    let file = File::from(openat(&place.folder, &place.name, WRITE | links, Mode::empty())?);
    let owner = file.metadata()?.uid();
    if let Some(shared) = place.shared.as_ref().filter(|_| !is_own(owner)) {
        let what =
            format!("it belongs to user {owner}, and is in {}, which others may write to", shared.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    use leaktrace_tests::privilege::{is_root, skip};

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
                let words = format!("{} is a symbolic link below ", link.display());
                assert!(source.to_string().starts_with(&words), "{source}");
            }
        }
    }

    #[test]
    fn a_folder_that_may_be_anybodys_link_is_not_written_to() {
        let (shared, elsewhere) = (folder(0o1777), folder(0o755));
        symlink(elsewhere.path(), shared.path().join("theirs")).unwrap();
        assert!(create(&shared.path().join("theirs/x"), Content::Names).is_err());
        assert!(!elsewhere.path().join("x").exists());
    }

    #[test]
    fn what_somebody_else_made_in_a_shared_folder_is_not_written_to() {
        if !is_root() {
            skip("needs root, to make a file of somebody else");
            return;
        }
        let folder = folder(0o1777);
        let path = folder.path().join("dump.txt");
        write(&path, "").unwrap();
        assert!(create(&path, Content::Values).is_ok());
        chown(&path, Some(NOBODY), None).unwrap();
        let error = create(&path, Content::Values).unwrap_err();
        let (OutputError::Open { source, .. } | OutputError::Write { source, .. }) = error;
        let folder = folder.path().display();
        let expected = format!("it belongs to user 65534, and is in {folder}, which others may write to");
        assert_eq!(source.to_string(), expected);
    }
}
