use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::time::Duration;

use leaktrace_core::schema::{
    BLACK_BOX_SCHEMA_VERSION, BlackBoxReason, BlackBoxSnapshot, NodeProcess, ProcessId,
};

use super::*;

const BOUNDS: Bounds = Bounds { bytes: 1 << 20, age: Duration::from_hours(1), entries: 100 };

fn event(pid: u32, second: u64, snapshot: Option<&str>) -> BlackBoxEvent {
    let id = ProcessId { pid, start_ticks: 88_123 };
    let unix_ns = second * 1_000_000_000;
    let snapshot =
        snapshot.map(|file| BlackBoxSnapshot { file: file.to_owned(), unix_ns, why: String::new() });
    BlackBoxEvent {
        schema_version: BLACK_BOX_SCHEMA_VERSION,
        leaktrace: "0.1.0".to_owned(),
        name: BlackBoxName { unix_s: 5, id },
        unix_ns,
        reason: BlackBoxReason::Memory,
        ending: None,
        process: process(id),
        memory: None,
        looks: Vec::new(),
        changes: Vec::new(),
        snapshot,
        no_snapshot: None,
        report: None,
    }
}

fn process(id: ProcessId) -> NodeProcess {
    let process = serde_json::json!({
        "id": id.to_string(), "exe": "order", "state": "watched", "sites": [], "other_sites": 0, "is_studied": false,
        "incidents": [],
    });
    serde_json::from_value(process).unwrap()
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn write(folder: &mut Folder, event: &BlackBoxEvent, snapshot: Option<&[u8]>) -> Vec<u32> {
    let gone = folder.write(&mut event.clone(), snapshot).unwrap();
    gone.into_iter().map(|name| name.id.pid).collect()
}

#[test]
fn an_entry_is_replaced_whole_and_only_its_owner_may_read_it() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("black-box");
    let mut folder = Folder::open(&path, BOUNDS).unwrap();
    write(&mut folder, &event(7, 10, Some("snapshot-1.ltr")), Some(b"one"));
    let entry = path.join("7-88123-5");
    assert_eq!(names(&entry), [EVENT, "snapshot-1.ltr"]);
    write(&mut folder, &event(7, 11, Some("snapshot-2.ltr")), Some(b"two"));
    write(&mut folder, &event(7, 12, Some("snapshot-2.ltr")), None);
    assert_eq!(names(&entry), [EVENT, "snapshot-2.ltr"]);
    let name = event(7, 0, None).name;
    assert_eq!(folder.read(name, true).unwrap().unwrap(), b"two");
    let read = decode(&folder.read(name, false).unwrap().unwrap()).unwrap();
    assert_eq!((read.unix_ns, read.snapshot.unwrap().file.as_str()), (12_000_000_000, "snapshot-2.ltr"));
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(&path), mode(&entry)), (0o700, 0o700));
    assert_eq!((mode(&entry.join(EVENT)), mode(&entry.join("snapshot-2.ltr"))), (0o600, 0o600));
    assert_eq!(folder.read(event(8, 0, None).name, false).unwrap(), None);
}

#[test]
fn a_snapshot_that_is_not_there_is_not_named() {
    let root = tempfile::tempdir().unwrap();
    let mut folder = Folder::open(&root.path().join("b"), BOUNDS).unwrap();
    let mut lost = event(7, 10, Some("snapshot-1.ltr"));
    folder.write(&mut lost, None).unwrap();
    assert_eq!(lost.snapshot, None);
    assert_eq!(lost.no_snapshot.as_deref(), Some("the last one could not be written"));
    let mut large = event(8, 10, Some("snapshot-1.ltr"));
    folder.write(&mut large, Some(&vec![0; 600 << 10])).unwrap();
    assert_eq!(large.snapshot, None);
    assert!(large.no_snapshot.unwrap().contains("600 KiB"));
    assert_eq!(names(&root.path().join("b/8-88123-5")), [EVENT]);
}

#[test]
fn the_oldest_make_room_also_those_of_an_earlier_agent() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("b");
    let snapshot = vec![0; 400 << 10];
    let mut folder = Folder::open(&path, BOUNDS).unwrap();
    write(&mut folder, &event(1, 10, Some("snapshot-1.ltr")), Some(&snapshot));
    write(&mut folder, &event(2, 20, Some("snapshot-1.ltr")), Some(&snapshot));
    // Of an agent that was killed while it wrote, and of somebody else.
    fs::create_dir(path.join("3-88123-5")).unwrap();
    fs::write(path.join("3-88123-5/snapshot-1.ltr"), "half").unwrap();
    fs::write(path.join("notes"), "mine").unwrap();
    let mut folder = Folder::open(&path, BOUNDS).unwrap();
    let mut listed: Vec<u32> = folder.list().unwrap().into_iter().map(|entry| entry.name.id.pid).collect();
    listed.sort_unstable();
    assert_eq!(listed, [1, 2]);
    assert_eq!(names(&path), ["1-88123-5", "2-88123-5", "notes"]);
    let gone = write(&mut folder, &event(4, 30, Some("snapshot-1.ltr")), Some(&snapshot));
    assert_eq!(gone, [1]);
    assert_eq!(names(&path), ["2-88123-5", "4-88123-5", "notes"]);
    let expired = folder.make_room(None, 3_625_000_000_000).unwrap();
    assert_eq!(expired.iter().map(|name| name.id.pid).collect::<Vec<_>>(), [2]);
}

#[test]
fn what_cannot_be_written_leaves_nothing_half() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("b");
    let mut folder = Folder::open(&path, BOUNDS).unwrap();
    write(&mut folder, &event(1, 10, None), None);
    // A folder where a file is to be: root may write anywhere else.
    fs::create_dir(path.join("1-88123-5").join(UNFINISHED)).unwrap();
    assert!(folder.write(&mut event(1, 20, None), None).is_err());
    let read = decode(&folder.read(event(1, 0, None).name, false).unwrap().unwrap()).unwrap();
    assert_eq!(read.unix_ns, 10_000_000_000, "the old one is whole");
    fs::write(path.join("2-88123-5"), "in the way").unwrap();
    assert!(folder.write(&mut event(2, 20, None), None).is_err());
}

#[test]
fn a_link_is_not_followed() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("b");
    let folder = Folder::open(&path, BOUNDS).unwrap();
    let entry = path.join("7-88123-5");
    fs::create_dir(&entry).unwrap();
    symlink("/etc/passwd", entry.join(EVENT)).unwrap();
    assert!(folder.read(event(7, 0, None).name, false).is_err());
}

#[test]
fn a_folder_that_others_may_write_to_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("b");
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    let refused = Folder::open(&path, BOUNDS).err().unwrap();
    assert!(matches!(refused, FolderError::Open { mode: 0o777, .. }), "{refused}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(Folder::open(&path, BOUNDS).is_ok());
    for wrong in [root.path().join("no/such"), Path::new("/dev/null").to_owned()] {
        assert!(matches!(Folder::open(&wrong, BOUNDS), Err(FolderError::Io { .. })), "{}", wrong.display());
    }
}

#[test]
fn a_snapshot_that_could_not_be_written_does_not_take_the_one_before_with_it() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("black-box");
    let mut folder = Folder::open(&path, BOUNDS).unwrap();
    write(&mut folder, &event(7, 10, Some("snapshot-1.ltr")), Some(b"one"));
    let entry = path.join("7-88123-5");
    let kept = || {
        let event = decode(&fs::read(entry.join(EVENT)).unwrap()).unwrap();
        (event.snapshot.map(|snapshot| snapshot.file), event.no_snapshot.is_some(), names(&entry).len())
    };
    let one = Some("snapshot-1.ltr".to_owned());
    write(&mut folder, &event(7, 11, Some("snapshot-2.ltr")), Some(&vec![0; 600 << 10]));
    assert_eq!(kept(), (one.clone(), true, 2), "it was too large");
    write(&mut folder, &event(7, 12, Some("snapshot-3.ltr")), None);
    assert_eq!(kept(), (one, true, 2), "it never came to the folder");
}

#[test]
fn one_that_cannot_be_read_does_not_hide_the_others() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("black-box");
    let mut folder = Folder::open(&path, BOUNDS).unwrap();
    write(&mut folder, &event(7, 10, None), None);
    fs::write(path.join("1-2-3"), "no folder").unwrap();
    fs::create_dir(path.join("2-2-3")).unwrap();
    symlink("/etc/passwd", path.join("2-2-3").join(EVENT)).unwrap();
    let mut folder = Folder::open(&path, BOUNDS).unwrap();
    let found: Vec<u32> = folder.list().unwrap().into_iter().map(|entry| entry.name.id.pid).collect();
    assert_eq!(found, [7]);
}

/// A folder that all may write to, and one of ours elsewhere with what looks like an entry that was not finished.
fn shared(mode: u32) -> (tempfile::TempDir, tempfile::TempDir) {
    let (shared, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::set_permissions(shared.path(), fs::Permissions::from_mode(mode)).unwrap();
    fs::create_dir(ours.path().join("1-1-1")).unwrap();
    (shared, ours)
}

#[test]
fn a_link_that_somebody_else_may_have_made_is_not_followed() {
    let (shared, ours) = shared(0o1777);
    let link = shared.path().join("box");
    symlink(ours.path(), &link).unwrap();
    let refused = Folder::open(&link, BOUNDS).err().expect("it is refused");
    let why = std::error::Error::source(&refused).unwrap().to_string();
    assert!(why.starts_with(&format!("{} is a symbolic link below ", link.display())), "{why}");
    // Where nobody else could have made it, it is as good as a folder.
    fs::set_permissions(shared.path(), fs::Permissions::from_mode(0o755)).unwrap();
    Folder::open(&link, BOUNDS).unwrap().list().unwrap();
    assert_eq!(names(ours.path()), [""; 0]);
}

#[test]
fn what_takes_the_place_of_an_open_folder_is_left_alone() {
    let (shared, ours) = shared(0o777);
    let path = shared.path().join("box");
    let mut folder = Folder::open(&path, BOUNDS).unwrap();
    fs::rename(&path, shared.path().join("away")).unwrap();
    symlink(ours.path(), &path).unwrap();
    folder.list().unwrap();
    assert_eq!(names(ours.path()), ["1-1-1"]);
    write(&mut folder, &event(7, 10, None), None);
    assert_eq!(names(&shared.path().join("away")), ["7-88123-5"]);
}
