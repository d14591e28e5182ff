use std::fs::{DirBuilder, Permissions, set_permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown, symlink};

use leaktrace_tests::privilege::{is_root, skip};

use super::*;

const NOBODY: u32 = 65534;

/// A folder of ours with one in it, which others may write to.
fn shared() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let shared = folder.path().join("open");
    make(&shared, 0o1777);
    (folder, shared)
}

fn make(folder: &Path, mode: u32) {
    DirBuilder::new().mode(0o755).create(folder).unwrap();
    set_permissions(folder, Permissions::from_mode(mode)).unwrap();
}

fn refusal(path: &Path) -> String {
    find(path).unwrap_err().to_string()
}

#[test]
fn a_folder_that_is_a_link_below_a_shared_one_is_named() {
    let (ours, shared) = shared();
    make(&ours.path().join("private"), 0o755);
    let link = shared.join("theirs");
    symlink(ours.path().join("private"), &link).unwrap();
    let expected = format!(
        "{} is a symbolic link below {}, which others may write to: anybody may have made it to have another file \
         overwritten",
        link.display(),
        shared.display()
    );
    assert_eq!(refusal(&link.join("x")), expected);
    // Also where a link of ours leads there.
    symlink(&shared, ours.path().join("ours")).unwrap();
    assert_eq!(refusal(&ours.path().join("ours/theirs/x")), expected);
    symlink("open/theirs/x", ours.path().join("file")).unwrap();
    assert_eq!(refusal(&ours.path().join("file")), expected);
    assert_eq!(refusal(&ours.path().join("private/../open/theirs/x")), expected);
}

#[test]
fn links_of_ours_lead_where_they_say() {
    let (ours, shared) = shared();
    make(&ours.path().join("private"), 0o755);
    symlink("private", ours.path().join("relative")).unwrap();
    symlink(ours.path().join("relative"), ours.path().join("absolute")).unwrap();
    symlink("../private/x", ours.path().join("private/file")).unwrap();
    let expected = fstat(openat(CWD, ours.path().join("private"), FOLDER, Mode::empty()).unwrap()).unwrap();
    for path in ["private/x", "relative/x", "absolute/x", "absolute/file", "open/../absolute/x"] {
        let place = find(&ours.path().join(path)).unwrap();
        assert!(is_same(&fstat(&place.folder).unwrap(), &expected), "{path}");
        assert_eq!((place.name.as_os_str(), place.shared), (OsStr::new("x"), None), "{path}");
    }
    // A folder of ours in a shared one is for us alone.
    make(&shared.join("private"), 0o700);
    symlink(ours.path(), shared.join("private/link")).unwrap();
    assert_eq!(find(&shared.join("private/link/x")).unwrap().shared, None);
}

#[test]
fn what_somebody_elses_folder_in_a_shared_one_holds_is_theirs() {
    if !is_root() {
        skip("needs root, to make a folder of somebody else");
        return;
    }
    let (ours, shared) = shared();
    let theirs = shared.join("theirs");
    make(&theirs, 0o755);
    symlink(ours.path(), theirs.join("link")).unwrap();
    chown(&theirs, Some(NOBODY), None).unwrap();
    assert_eq!(find(&theirs.join("x")).unwrap().shared, Some(shared));
    assert!(refusal(&theirs.join("link/x")).contains("theirs/link is a symbolic link below"));
    assert!(refusal(&theirs.join("link")).contains("theirs/link is a symbolic link below"));
}

#[test]
fn a_link_in_somebody_elses_folder_is_not_followed() {
    if !is_root() {
        skip("needs root, to make a folder of somebody else");
        return;
    }
    let ours = tempfile::tempdir().unwrap();
    let theirs = ours.path().join("theirs");
    make(&theirs, 0o755);
    symlink(ours.path().join("private"), theirs.join("link")).unwrap();
    assert!(find(&theirs.join("link")).is_ok(), "it is ours");
    chown(&theirs, Some(NOBODY), None).unwrap();
    let expected = format!(
        "{} is a symbolic link in a folder of user 65534, who may have made it to have another file overwritten",
        theirs.join("link").display()
    );
    assert_eq!(refusal(&theirs.join("link")), expected);
    assert_eq!(refusal(&theirs.join("link/x")), expected);
    assert!(find(&theirs.join("x")).is_ok());
}

#[test]
fn what_is_for_all_or_for_a_group_is_shared() {
    let folder = tempfile::tempdir().unwrap();
    for (mode, is_shared) in
        [(0o755, false), (0o775, false), (0o1755, false), (0o777, true), (0o1777, true), (0o1770, true)]
    {
        set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
        let shared = find(&folder.path().join("x")).unwrap().shared;
        // A folder that a group may write to is as shared as the one that it is in.
        let is_below = mode == 0o775 && shared.as_deref() == folder.path().parent();
        assert!(is_below || (shared.as_deref() == Some(folder.path())) == is_shared, "{mode:o}: {shared:?}");
    }
}

#[test]
fn what_the_kernel_alone_can_follow_is_left_to_it() {
    for path in ["/dev/stdout", "/proc/self/fd/1"] {
        assert!(find(Path::new(path)).unwrap().is_magic, "{path}");
    }
    let place = find(Path::new("/proc/self/cwd/x")).unwrap();
    let here = fstat(openat(CWD, ".", FOLDER, Mode::empty()).unwrap()).unwrap();
    assert!(is_same(&fstat(&place.folder).unwrap(), &here));
    assert!(is_same(&fstat(&find(Path::new("x")).unwrap().folder).unwrap(), &here));
}

#[test]
fn what_is_no_file_is_what_the_system_calls_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    symlink("loop", path("loop")).unwrap();
    symlink("..", path("up")).unwrap();
    std::fs::write(path("file"), "").unwrap();
    for (path, expected) in [
        (PathBuf::new(), Errno::NOENT),
        (PathBuf::from("/"), Errno::ISDIR),
        (path("new/"), Errno::ISDIR),
        (path("up"), Errno::ISDIR),
        (path("loop"), Errno::LOOP),
        (path("loop/x"), Errno::LOOP),
        (path("none/x"), Errno::NOENT),
        (path("file/x"), Errno::NOTDIR),
    ] {
        let error = find(&path).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(expected.raw_os_error()), "{}", path.display());
    }
}
