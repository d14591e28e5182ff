//! File systems in user space with one file: one whose server never reads it, as one that has hung, and one of a user's own.
//!
//! The protocol is that of Linux's `include/uapi/linux/fuse.h`, version 7.31.

use std::ffi::CString;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;
use std::thread;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

/// The longest request: a page more than what the kernel may write at a time.
const LONGEST: usize = 132 << 10;
/// How long a request's header is.
const HEADER: usize = 40;

const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const READ: u32 = 15;
const STATFS: u32 = 17;
const INIT: u32 = 26;
const BATCH_FORGET: u32 = 42;

const ROOT: u64 = 1;
/// How long a file is that nobody ever gets.
const HUNG: u64 = 64 << 10;
const ENOSYS: i32 = 38;

/// A mounted one that has hung. Dropping it takes it away; whoever waits for it then gets an error.
#[derive(Debug)]
pub struct HungFileSystem(Mounted);

/// One that only the user who mounted it may look at, not even root.
#[derive(Debug)]
pub struct PrivateFileSystem(Mounted);

#[derive(Debug)]
struct Mounted {
    root: TempDir,
}

impl HungFileSystem {
    /// Mounts one; `None` where the machine has no FUSE.
    ///
    /// # Panics
    /// If it cannot be mounted all the same.
    pub fn mount() -> Option<Self> {
        Mounted::mount("user_id=0,group_id=0,allow_other", None).map(Self)
    }

    /// Its one file: 64 KiB that nobody ever gets.
    pub fn file(&self) -> PathBuf {
        self.0.file()
    }
}

impl PrivateFileSystem {
    /// Mounts one of a user, who may execute what is in its file; `None` where the machine has no FUSE.
    ///
    /// # Panics
    /// If it cannot be mounted all the same.
    pub fn mount(user: u32, content: Vec<u8>) -> Option<Self> {
        Mounted::mount(&format!("user_id={user},group_id={user}"), Some(content)).map(Self)
    }

    /// Its one file.
    pub fn file(&self) -> PathBuf {
        self.0.file()
    }
}

impl Mounted {
    fn mount(whose: &str, content: Option<Vec<u8>>) -> Option<Self> {
        let device = File::options().read(true).write(true).open("/dev/fuse").ok()?;
        let root = tempfile::tempdir().expect("a directory can be made");
        let options = format!("fd={},rootmode=40000,{whose}", device.as_raw_fd());
        let options = CString::new(options).expect("it has no zero");
        mount("test", root.path(), "fuse", MountFlags::NODEV | MountFlags::NOSUID, options.as_c_str())
            .expect("root may mount");
        thread::spawn(move || serve(device, content.as_deref()));
        Some(Self { root })
    }

    fn file(&self) -> PathBuf {
        self.root.path().join("file")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // The directory cannot be removed before.
        unmount(self.root.path(), UnmountFlags::FORCE | UnmountFlags::DETACH).expect("it is mounted");
    }
}

/// Answers until the file system is gone; without content, all but reads.
fn serve(mut device: File, content: Option<&[u8]>) {
    let mut request = vec![0; LONGEST];
    while let Ok(len) = device.read(&mut request) {
        let number = |at: usize| u32::from_le_bytes(request[at..at + 4].try_into().expect("four bytes"));
        let long = |at: usize| u64::from_le_bytes(request[at..at + 8].try_into().expect("eight bytes"));
        assert!(len >= HEADER, "the kernel sends whole requests");
        let (operation, unique, node) = (number(4), long(8), long(16));
        let size = content.map_or(HUNG, |content| content.len() as u64);
        let answer = match (operation, content) {
            (FORGET | BATCH_FORGET, _) | (READ, None) => continue,
            (READ, Some(content)) => {
                let at = |number: u64| usize::try_from(number).expect("64 bits").min(content.len());
                let (from, len) = (long(HEADER + 8), u64::from(number(HEADER + 16)));
                Ok(content[at(from)..at(from + len)].to_vec())
            }
            (INIT, _) => Ok(words(&[7, 31, 0, 0, 0, 4096, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
            (LOOKUP, _) => Ok([words(&[2, 0, 0, 0, 60, 0, 60, 0, 0, 0]), attributes(2, size)].concat()),
            (GETATTR, _) => Ok([words(&[60, 0, 0, 0]), attributes(node, size)].concat()),
            (OPEN, _) => Ok(vec![0; 16]),
            (STATFS, _) => Ok(vec![0; 80]),
            _ => Err(ENOSYS),
        };
        let (error, payload) = answer.map_or_else(|error| (-error, Vec::new()), |payload| (0, payload));
        let len = u32::try_from(16 + payload.len()).expect("it is short");
        let header = [len, error.cast_unsigned()].map(u32::to_le_bytes).concat();
        let answer = [header, unique.to_le_bytes().to_vec(), payload].concat();
        // Whoever asked may be gone.
        _ = device.write(&answer);
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// `struct fuse_attr`.
fn attributes(node: u64, size: u64) -> Vec<u8> {
    let (mode, size) = if node == ROOT { (0o040_755, 0) } else { (0o100_755, size) };
    let longs = [node, size, 0, 0, 0, 0].map(u64::to_le_bytes).concat();
    [longs, words(&[0, 0, 0, mode, 1, 0, 0, 0, 4096, 0])].concat()
}
