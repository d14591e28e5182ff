//! Ring 2: files that are not what they should be are refused with a hint, or opened as far as they are right.

use std::fs;
use std::path::{Path, PathBuf};

use leaktrace_tests::leaktrace::{Outcome, leaktrace};
use leaktrace_tests::{Mode, Target, Version};
use tempfile::TempDir;

/// Where both kinds of files have the version of their format.
const VERSION_AT: usize = 8;

/// A good file, and worse ones made of it.
struct Files {
    folder: TempDir,
    good: Vec<u8>,
}

impl Files {
    /// What leaktrace writes with `arguments`, which end before the name of a file.
    #[track_caller]
    fn written(arguments: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let target = Target::start(Version::NEWEST, Mode::Stripped, "leak_chan_send=20 mutex=3");
        let file = folder.path().join("good");
        let whole = format!("{arguments} {}", file.display()).replace("PID", &target.pid().to_string());
        let outcome = leaktrace(&whole);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        Self { good: fs::read(file).expect("it was written"), folder }
    }

    fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join("bad");
        fs::write(&path, bytes).expect("it can be written");
        path
    }

    fn open(&self, bytes: &[u8]) -> Outcome {
        report(&self.file(bytes))
    }

    #[track_caller]
    fn refused(&self, bytes: &[u8], words: &str) {
        self.open(bytes).refused(2, words);
    }

    fn with(&self, at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut changed = self.good.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        changed
    }

    /// Some places in the file, the first and the last byte among them.
    fn places(&self) -> impl Iterator<Item = usize> {
        let last = self.good.len() - 1;
        (0..16).map(move |part| last * part / 15)
    }
}

fn report(path: &Path) -> Outcome {
    leaktrace(&format!("report {}", path.display()))
}

fn snapshot() -> Files {
    Files::written("dump --pid PID --format ltr --output")
}

fn recording() -> Files {
    Files::written("--pid PID --probes none --interval 100ms --duration 1s --output /dev/null --record")
}

#[test]
fn foreign_files_are_told_from_ours() {
    let files = snapshot();
    let neither = "is neither a leaktrace snapshot nor a recording";
    for foreign in
        [&b""[..], b"goroutine 1 [running]:\n", b"\x1f\x8b\x08\0\0", &fs::read("/bin/true").unwrap()]
    {
        files.refused(foreign, neither);
    }
    // Which never ends.
    report(Path::new("/dev/zero")).refused(2, neither);
    let good = files.file(&files.good);
    leaktrace(&format!("diff {} /dev/zero", good.display())).refused(2, neither);
}

#[test]
fn snapshots_are_whole_or_refused() {
    let files = snapshot();
    files.refused(
        &files.with(VERSION_AT, &[3, 0]),
        "has format version 3, and this leaktrace reads versions up to 2",
    );
    let len = files.good.len();
    for places in [1, 2, 16, 64, len / 2, len - 1] {
        files.refused(&files.good[..len - places], "snapshot");
    }
    for at in files.places() {
        let changed = files.with(at, &[files.good[at] ^ 0x10]);
        let outcome = files.open(&changed);
        assert_eq!(outcome.code, Some(2), "byte {at}: {}", outcome.stderr);
        assert!(outcome.stderr.contains("\nhint: "), "byte {at}: {}", outcome.stderr);
    }
    let bare = files.good.iter().filter(|byte| **byte != b'\r').copied().collect::<Vec<_>>();
    files.refused(&bare, "line endings were converted");
}

#[test]
fn recordings_open_as_far_as_they_are_right() {
    let files = recording();
    files.refused(
        &files.with(VERSION_AT, &[2, 0]),
        "has format version 2, and this leaktrace reads versions up to 1",
    );
    let len = files.good.len();
    let header = 16 + u32::from_le_bytes(files.good[12..16].try_into().unwrap()) as usize + 4;
    for end in [12, 20, header - 1] {
        files.refused(&files.good[..end], "recording");
    }
    for end in [header, header + 7, len / 2, len - 1] {
        let outcome = files.open(&files.good[..end]);
        assert_eq!(outcome.code, Some(0), "{end} of {len}: {}", outcome.stderr);
        assert!(outcome.stdout.contains("its writer was stopped"), "{end} of {len}: {}", outcome.stdout);
    }
    for at in files.places().filter(|at| *at >= header) {
        let outcome = files.open(&files.with(at, &[files.good[at] ^ 0x10]));
        assert_eq!(outcome.code, Some(0), "byte {at}: {}", outcome.stderr);
        let told = ["is damaged", "cannot be read"].iter().any(|words| outcome.stdout.contains(words));
        assert!(told, "byte {at} of {len}, {header}: {}", outcome.stdout);
    }
}
