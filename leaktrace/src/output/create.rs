//! Opens files to be written: whose they become, who may read them, and which ones are not to be trusted.

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
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

/// What those may do to a file who do not own it.
const OTHERS: u32 = 0o077;

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
        Err(Errno::EXIST) => open_old(&place, content),
        Err(error) => Err(error.into()),
    }
}

fn hand_over(file: File) -> io::Result<File> {
    if let Some((uid, gid)) = sudo_caller() {
        fchown(&file, Some(uid), Some(gid))?;
    }
    Ok(file)
}

/// Somebody else may have made it in a shared folder, to read what is written or to have it written elsewhere.
fn open_old(place: &Place, content: Content) -> io::Result<File> {
    let links = if place.is_magic { OFlags::empty() } else { OFlags::NOFOLLOW };
    let open = |flags| openat(&place.folder, &place.name, flags | links, Mode::empty()).map(File::from);
    // To open a named pipe takes until its other end is opened as well.
    refuse_others(place, &open(OFlags::PATH | OFlags::CLOEXEC)?.metadata()?)?;
    let file = open(WRITE)?;
    let metadata = file.metadata()?;
    refuse_others(place, &metadata)?;
    // What a shell has opened is as whoever typed the command wants it.
    if content == Content::Values && metadata.is_file() && !place.is_magic {
        keep_private(&file, &metadata)?;
    }
    Ok(file)
}

/// Refuses what somebody else has made in a shared folder.
fn refuse_others(place: &Place, metadata: &Metadata) -> io::Result<()> {
    let owner = metadata.uid();
    match &place.shared {
        Some(shared) if !is_own(owner) => {
            let shared = shared.display();
            Err(refused(format!("it belongs to user {owner}, and is in {shared}, which others may write to")))
        }
        _ => Ok(()),
    }
}

/// Takes away what others may do to a file that is to hold values.
fn keep_private(file: &File, metadata: &Metadata) -> io::Result<()> {
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    if !is_own(owner) {
        let what =
            format!("it belongs to user {owner}, who could read the values of arguments that it is to hold");
        return Err(refused(what));
    }
    if mode & OTHERS == 0 {
        return Ok(());
    }
    file.set_permissions(Permissions::from_mode(mode & !OTHERS)).map_err(|error| {
        refused(format!(
            "it is to hold values of arguments, and its mode cannot be changed from {mode:o}: {error}"
        ))
    })
}

fn refused(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

#[cfg(test)]
mod tests {
    use std::fs::{set_permissions, write};
    use std::os::unix::fs::{chown, symlink};
    use std::path::PathBuf;

    use leaktrace_tests::privilege::{is_root, skip};
    use rustix::fs::{CWD, FileType};

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

    /// A file that all may read already, of which somebody may own the folder.
    fn old(folder: &Path, owner: u32) -> PathBuf {
        let path = folder.join("old.ltr");
        write(&path, "").unwrap();
        set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        chown(&path, Some(owner), None).unwrap();
        path
    }

    #[test]
    fn an_old_file_of_ours_becomes_its_owners_alone_before_values_are_written_to_it() {
        let folder = folder(0o755);
        let path = old(folder.path(), rustix::process::geteuid().as_raw());
        let mode = |content| create(&path, content).unwrap().metadata().unwrap().mode() & 0o777;
        assert_eq!(mode(Content::Names), 0o644);
        assert_eq!(mode(Content::Values), 0o600);
    }

    #[test]
    fn no_values_are_written_to_an_old_file_of_somebody_else() {
        if !is_root() {
            skip("needs root, to make a file of somebody else");
            return;
        }
        let folder = folder(0o755);
        let path = old(folder.path(), NOBODY);
        assert!(create(&path, Content::Names).is_ok());
        let error = create(&path, Content::Values).unwrap_err();
        let (OutputError::Open { source, .. } | OutputError::Write { source, .. }) = error;
        let expected = "it belongs to user 65534, who could read the values of arguments that it is to hold";
        assert_eq!(source.to_string(), expected);
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o644);
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
        // A named pipe that nobody reads, which would hold us up.
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        chown(&pipe, Some(NOBODY), None).unwrap();
        let expected = format!(
            "it belongs to user 65534, and is in {}, which others may write to",
            folder.path().display()
        );
        for path in [path, pipe] {
            let error = create(&path, Content::Values).unwrap_err();
            let (OutputError::Open { source, .. } | OutputError::Write { source, .. }) = error;
            assert_eq!(source.to_string(), expected);
        }
    }
}
