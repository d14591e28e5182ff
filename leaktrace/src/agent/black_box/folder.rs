//! The folder of the black box: a folder for each process, with `event.json` and the snapshot that it names.
//!
//! **Invariant:** at whatever moment this is cut off, each `event.json` is whole, and so is the snapshot that it names.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use leaktrace_core::base::human;
use leaktrace_core::node::black_box::{Bounds, EVENT_FILE, Kept, MAX_EVENT, decode, encode, surplus};
use leaktrace_core::schema::{BlackBoxEntry, BlackBoxEvent, BlackBoxName, BlackBoxSnapshot};
use rustix::fs::{Mode, OFlags, fstat};
use thiserror::Error;

use crate::output;

/// The file with the event, and what it is called before it is whole.
const EVENT: &str = EVENT_FILE;
const UNFINISHED: &str = "event.json.new";

/// The most that is read of a snapshot to be served, in bytes.
const MOST_SNAPSHOT: u64 = 64 << 20;

/// Why the folder cannot be used.
#[derive(Debug, Error)]
pub(crate) enum FolderError {
    /// It cannot be made or opened.
    #[error("cannot use the black box in {}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others could read what is in it, or put something there.
    #[error("{} belongs to user {owner} with mode {mode:o}: others could change the black box", path.display())]
    Open {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Its mode.
        mode: u32,
    },
}

/// The folder, and what is in it.
pub(super) struct Folder {
    /// Leads to what was opened, whoever may put something else in its place.
    path: PathBuf,
    #[expect(dead_code, reason = "`path` leads through it")]
    open: OwnedFd,
    bounds: Bounds,
    kept: BTreeMap<BlackBoxName, Kept>,
}

impl Folder {
    /// Makes the folder if it is not there, follows no link to it that somebody else may have made, and sees that nobody
    /// else may write to it.
    pub(super) fn open(path: &Path, bounds: Bounds) -> Result<Self, FolderError> {
        let failed = |source| FolderError::Io { path: path.to_owned(), source };
        let open = output::folder(path, Mode::RWXU).map_err(failed)?;
        let stat = fstat(&open).map_err(|error| failed(error.into()))?;
        let (owner, mode) = (stat.st_uid, stat.st_mode & 0o7777);
        let is_ours = owner == 0 || owner == rustix::process::geteuid().as_raw();
        if !is_ours || mode & 0o022 != 0 {
            return Err(FolderError::Open { path: path.to_owned(), owner, mode });
        }
        let path = PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd()));
        Ok(Self { path, open, bounds, kept: BTreeMap::new() })
    }

    /// What is there already, in lines; what was not finished goes.
    pub(super) fn list(&mut self) -> io::Result<Vec<BlackBoxEntry>> {
        let mut entries = Vec::new();
        for found in fs::read_dir(&self.path)?.flatten() {
            let Some(name) = found.file_name().to_str().and_then(|name| name.parse::<BlackBoxName>().ok())
            else {
                continue;
            };
            let folder = self.of(name);
            // What cannot be read counts with its size, and goes when it is its turn.
            let event = match read(&folder.join(EVENT), MAX_EVENT) {
                Ok(Some(event)) => decode(&event).ok(),
                Ok(None) if fs::remove_dir_all(&folder).is_ok() => continue,
                Ok(None) | Err(_) => None,
            };
            let unix_ns =
                event.as_ref().map_or(name.unix_s.saturating_mul(1_000_000_000), |event| event.unix_ns);
            self.kept.insert(name, Kept { name, unix_ns, bytes: size(&folder).unwrap_or(0) });
            entries.extend(event.filter(|event| event.name == name).map(|event| event.entry()));
        }
        Ok(entries)
    }

    fn of(&self, name: BlackBoxName) -> PathBuf {
        self.path.join(name.to_string())
    }

    /// Deletes what is too old, and what is in the way of an entry of so many bytes.
    pub(super) fn make_room(
        &mut self,
        written: Option<(BlackBoxName, u64)>,
        unix_ns: u64,
    ) -> io::Result<Vec<BlackBoxName>> {
        let kept: Vec<Kept> = self.kept.values().copied().collect();
        let gone = surplus(&kept, written, unix_ns, &self.bounds);
        for name in &gone {
            match fs::remove_dir_all(self.of(*name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => _ = self.kept.remove(name),
            }
        }
        Ok(gone)
    }

    /// Writes an event, and the snapshot that it names if that is new. Says what had to go for it.
    pub(super) fn write(
        &mut self,
        event: &mut BlackBoxEvent,
        snapshot: Option<&[u8]>,
    ) -> io::Result<Vec<BlackBoxName>> {
        let folder = self.of(event.name);
        let snapshot = snapshot.filter(|bytes| {
            let fits = bytes.len() as u64 <= self.bounds.bytes / 2;
            if !fits {
                let [size, most] = [bytes.len() as u64, self.bounds.bytes].map(human::bytes);
                event.snapshot = None;
                event.no_snapshot =
                    Some(format!("the last one has {size}, which is too much where all may have {most}"));
            }
            fits
        });
        if snapshot.is_none() {
            self.name_what_is_there(event);
        }
        let bytes = encode(event);
        let before = if snapshot.is_some() { 0 } else { size(&folder).unwrap_or(0) };
        let total = before + (bytes.len() + snapshot.map_or(0, <[u8]>::len)) as u64;
        let gone = self.make_room(Some((event.name, total)), event.unix_ns)?;
        let written = self.replace(&folder, event, &bytes, snapshot);
        if written.is_err() && !folder.join(EVENT).is_file() {
            // What is left of it is found at the next start.
            _ = fs::remove_dir_all(&folder);
        }
        written?;
        let kept = Kept { name: event.name, unix_ns: event.unix_ns, bytes: size(&folder)? };
        self.kept.insert(event.name, kept);
        Ok(gone)
    }

    /// A snapshot that could not be written is not named, but the one before it, if there is one.
    fn name_what_is_there(&self, event: &mut BlackBoxEvent) {
        let folder = self.of(event.name);
        let is_there = |one: &BlackBoxSnapshot| folder.join(&one.file).is_file();
        if event.snapshot.as_ref().is_some_and(is_there) {
            return;
        }
        if event.snapshot.is_some() {
            event.no_snapshot.get_or_insert_with(|| "the last one could not be written".to_owned());
        }
        let before = read(&folder.join(EVENT), MAX_EVENT).ok().flatten();
        let before = before.and_then(|bytes| decode(&bytes).ok());
        // A name is believed only if it is one of ours.
        let before = before.filter(|before| before.snapshot_file().is_some());
        event.snapshot = before.and_then(|before| before.snapshot).filter(is_there);
    }

    fn replace(
        &self,
        folder: &Path,
        event: &BlackBoxEvent,
        bytes: &[u8],
        snapshot: Option<&[u8]>,
    ) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let named = event.snapshot.as_ref().map(|snapshot| snapshot.file.as_str());
        if let (Some(named), Some(snapshot)) = (named, snapshot) {
            put(&folder.join(named), snapshot)?;
        }
        put(&folder.join(UNFINISHED), bytes)?;
        fs::rename(folder.join(UNFINISHED), folder.join(EVENT))?;
        File::open(folder)?.sync_all()?;
        File::open(&self.path)?.sync_all()?;
        for other in fs::read_dir(folder)?.flatten() {
            let name = other.file_name();
            if name != EVENT && name.to_str() != named {
                fs::remove_file(other.path())?;
            }
        }
        Ok(())
    }

    /// The event of an entry, or the snapshot that it names; nothing if there is none.
    pub(super) fn read(&self, name: BlackBoxName, is_snapshot: bool) -> io::Result<Option<Vec<u8>>> {
        let folder = self.of(name);
        let event = read(&folder.join(EVENT), MAX_EVENT)?;
        if !is_snapshot {
            return Ok(event);
        }
        let event = event.and_then(|event| decode(&event).ok());
        let Some(file) = event.and_then(|event| event.snapshot_file().map(str::to_owned)) else {
            return Ok(None);
        };
        read(&folder.join(file), MOST_SNAPSHOT)
    }
}

/// Writes a file that only its owner may read, in place of one that was not finished.
fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        // It takes room that others need.
        _ = fs::remove_file(path);
    }
    written
}

/// All of a file of at most so many bytes; nothing if it is not there.
fn read(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = match File::options().read(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("{} is larger than {most} bytes", path.display())));
    }
    Ok(Some(bytes))
}

/// The size of an entry in bytes.
fn size(folder: &Path) -> io::Result<u64> {
    let mut sum = 0_u64;
    for file in fs::read_dir(folder)? {
        sum = sum.saturating_add(file?.metadata()?.len());
    }
    Ok(sum)
}

#[cfg(test)]
mod tests;
