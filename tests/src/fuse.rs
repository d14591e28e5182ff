//! A file system in user space whose server lists its one file and never reads it, as one whose server has hung.
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
const INIT: u32 = 26;
const BATCH_FORGET: u32 = 42;

const ROOT: u64 = 1;
const ENOSYS: i32 = 38;

/// A mounted one. Dropping it takes it away; whoever waits for it then gets an error.
#[derive(Debug)]
pub struct HungFileSystem {
    root: TempDir,
}

impl HungFileSystem {
    /// Mounts one; `None` where the machine has no FUSE.
    ///
    /// # Panics
    /// If it cannot be mounted all the same.
    pub fn mount() -> Option<Self> {
        let device = File::options().read(true).write(true).open("/dev/fuse").ok()?;
        let root = tempfile::tempdir().expect("a directory can be made");
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", device.as_raw_fd());
        let options = CString::new(options).expect("it has no zero");
        mount("hung", root.path(), "fuse", MountFlags::NODEV | MountFlags::NOSUID, options.as_c_str())
            .expect("root may mount");
        thread::spawn(move || serve(device));
        Some(Self { root })
    }

    /// Its one file: 64 KiB that nobody ever gets.
    pub fn file(&self) -> PathBuf {
        self.root.path().join("file")
    }
}

impl Drop for HungFileSystem {
    fn drop(&mut self) {
        // The directory cannot be removed before.
        unmount(self.root.path(), UnmountFlags::FORCE | UnmountFlags::DETACH).expect("it is mounted");
    }
}

/// Answers until the file system is gone.
fn serve(mut device: File) {
    let mut request = vec![0; LONGEST];
    while let Ok(len) = device.read(&mut request) {
        let number = |at: usize| u32::from_le_bytes(request[at..at + 4].try_into().expect("four bytes"));
        let long = |at: usize| u64::from_le_bytes(request[at..at + 8].try_into().expect("eight bytes"));
        assert!(len >= HEADER, "the kernel sends whole requests");
        let (operation, unique, node) = (number(4), long(8), long(16));
        let answer = match operation {
            FORGET | BATCH_FORGET | READ => continue,
            INIT => Ok(words(&[7, 31, 0, 0, 0, 4096, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
            LOOKUP => Ok([words(&[2, 0, 0, 0, 60, 0, 60, 0, 0, 0]), attributes(2)].concat()),
            GETATTR => Ok([words(&[60, 0, 0, 0]), attributes(node)].concat()),
            OPEN => Ok(vec![0; 16]),
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
fn attributes(node: u64) -> Vec<u8> {
    let (mode, size) = if node == ROOT { (0o040_755, 0) } else { (0o100_755, 64 << 10) };
    let longs = [node, size, 0, 0, 0, 0].map(u64::to_le_bytes).concat();
    [longs, words(&[0, 0, 0, mode, 1, 0, 0, 0, 4096, 0])].concat()
}
