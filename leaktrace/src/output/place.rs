//! Finds the folder of a file, following no link that somebody else may have made to lead us elsewhere.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, Stat, fstat, fstatfs, mkdirat, openat, readlinkat};
use rustix::io::Errno;

use crate::privilege::sudo_caller;

/// How many links a path may lead over, as the kernel counts.
const MAX_LINKS: usize = 40;

/// What opens a folder to go on from there.
const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A folder in which others may make files, if they may take away those of others (`/tmp` is also sticky) or not.
const FOR_ALL: u32 = 0o002;
const FOR_A_GROUP: u32 = 0o1020;

/// Where a file is, or is to be.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) folder: OwnedFd,
    pub(super) name: OsString,
    /// The folder that others may write to, if one is on the way: somebody else may have made what is here.
    pub(super) shared: Option<PathBuf>,
    /// Whether the kernel alone knows what the file is, as with `/dev/stdout`.
    pub(super) is_magic: bool,
}

/// Who a file may belong to that we made, or whoever called `sudo`.
pub(super) fn is_own(uid: u32) -> bool {
    let own = [Some(0), Some(rustix::process::geteuid().as_raw()), sudo_caller().map(|(uid, _)| uid)];
    own.contains(&Some(uid))
}

/// Goes to the folder of the file at `path`.
pub(super) fn find(path: &Path) -> io::Result<Place> {
    let typed = path.as_os_str().as_bytes();
    if typed.is_empty() {
        return Err(Errno::NOENT.into());
    }
    if typed.ends_with(b"/") || path.file_name().is_none() {
        return Err(Errno::ISDIR.into());
    }
    let mut walk = Walk::begin(path)?;
    loop {
        match walk.todo.pop() {
            Some(name) if walk.todo.is_empty() => {
                if let Some(place) = walk.arrive(name)? {
                    return Ok(place);
                }
            }
            Some(name) => walk.enter(&name)?,
            // The last link leads to a folder itself.
            None => return Err(Errno::ISDIR.into()),
        }
    }
}

/// Opens the folder at `path` to reach what is in it, and makes it with this mode if it is not there.
pub(crate) fn folder(path: &Path, mode: Mode) -> io::Result<OwnedFd> {
    let mut walk = Walk::begin(path)?;
    while let Some(name) = walk.todo.pop() {
        if walk.todo.is_empty() {
            match mkdirat(&walk.folder, &name, mode) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        walk.enter(&name)?;
    }
    Ok(walk.folder)
}

/// On the way.
struct Walk {
    folder: OwnedFd,
    /// What the folder is called in messages.
    path: PathBuf,
    shared: Option<Shared>,
    /// Who owns the folder.
    owner: u32,
    /// Who owns `/`: root, or whoever is root where a user namespace came from.
    owner_of_all: u32,
    /// What is still to be entered, the next one last.
    todo: Vec<OsString>,
    links: usize,
}

/// The folder that others may write to.
struct Shared {
    path: PathBuf,
    /// Its file system. Who has mounted another one below may say what they like about it.
    device: u64,
}

impl Walk {
    fn begin(path: &Path) -> io::Result<Self> {
        let root = openat(CWD, "/", FOLDER, Mode::empty())?;
        let owner = fstat(&root)?.st_uid;
        let mut walk = Self {
            folder: root,
            path: PathBuf::from("/"),
            shared: None,
            owner,
            owner_of_all: owner,
            todo: Vec::new(),
            links: 0,
        };
        walk.look()?;
        if path.is_relative() {
            let folder = openat(CWD, ".", FOLDER, Mode::empty())?;
            let here = fstat(&folder)?;
            // It may be a folder that cannot be reached by its path any more. Who made what is in it is not known then.
            if walk.go_to_current().is_err() || !is_same(&fstat(&walk.folder)?, &here) {
                let shared = Some(Shared { path: PathBuf::from("."), device: here.st_dev });
                walk = Self {
                    folder,
                    path: PathBuf::new(),
                    shared,
                    todo: Vec::new(),
                    owner: here.st_uid,
                    ..walk
                };
            }
        }
        walk.plan(path);
        Ok(walk)
    }

    /// The current folder's path has no links.
    fn go_to_current(&mut self) -> io::Result<()> {
        self.plan(&std::env::current_dir()?);
        while let Some(name) = self.todo.pop() {
            self.enter(&name)?;
        }
        Ok(())
    }

    fn plan(&mut self, path: &Path) {
        let names = path.components().filter_map(|component| match component {
            Component::Normal(name) => Some(name),
            Component::ParentDir => Some(OsStr::new("..")),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
        });
        self.todo.extend(names.rev().map(OsStr::to_owned));
    }

    fn enter(&mut self, name: &OsStr) -> io::Result<()> {
        match openat(&self.folder, name, FOLDER | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(folder) => self.step(folder, name),
            Err(error @ (Errno::NOTDIR | Errno::LOOP)) => match self.link(name)? {
                None => Err(error.into()),
                Some(_) if self.is_magic()? => {
                    let folder = openat(&self.folder, name, FOLDER, Mode::empty())?;
                    self.step(folder, name)
                }
                Some(target) => self.follow(&target),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// The place of the file, unless it is a link that has to be followed.
    fn arrive(&mut self, name: OsString) -> io::Result<Option<Place>> {
        let mut is_magic = false;
        if name == ".." {
            return Err(Errno::ISDIR.into());
        }
        if let Some(target) = self.link(&name)? {
            is_magic = self.is_magic()?;
            if !is_magic {
                self.follow(&target)?;
                return Ok(None);
            }
        }
        let folder = self.folder.try_clone()?;
        Ok(Some(Place {
            folder,
            name,
            shared: self.shared.as_ref().map(|shared| shared.path.clone()),
            is_magic,
        }))
    }

    /// Where a link leads. Others may have made it only to have us follow it.
    fn link(&self, name: &OsStr) -> io::Result<Option<PathBuf>> {
        match readlinkat(&self.folder, name, Vec::new()) {
            Ok(target) => match &self.shared {
                Some(shared) => {
                    let whose =
                        format!("below {}, which others may write to: anybody", shared.path.display());
                    Err(refused(&self.path.join(name), &whose))
                }
                None if !is_own(self.owner) && self.owner != self.owner_of_all => {
                    let whose = format!("in a folder of user {}, who", self.owner);
                    Err(refused(&self.path.join(name), &whose))
                }
                None => Ok(Some(OsString::from_vec(target.into_bytes()).into())),
            },
            Err(Errno::INVAL | Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn follow(&mut self, target: &Path) -> io::Result<()> {
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(Errno::LOOP.into());
        }
        if target.is_absolute() {
            self.folder = openat(CWD, "/", FOLDER, Mode::empty())?;
            self.path = PathBuf::from("/");
            self.look()?;
        }
        self.plan(target);
        Ok(())
    }

    fn step(&mut self, folder: OwnedFd, name: &OsStr) -> io::Result<()> {
        self.folder = folder;
        if name == ".." {
            self.path.pop();
        } else {
            self.path.push(name);
        }
        self.look()
    }

    /// Whether others may have made what is in the folder that we are in now.
    fn look(&mut self) -> io::Result<()> {
        let stat = fstat(&self.folder)?;
        self.owner = stat.st_uid;
        if is_for_others(&stat) {
            self.shared = Some(Shared { path: self.path.clone(), device: stat.st_dev });
        } else if self.shared.as_ref().is_some_and(|shared| shared.device == stat.st_dev)
            && is_own(stat.st_uid)
            && stat.st_mode & 0o022 == 0
        {
            self.shared = None;
        }
        Ok(())
    }

    /// Whether what links lead to here is not what they say.
    fn is_magic(&self) -> io::Result<bool> {
        Ok(fstatfs(&self.folder)?.f_type == libc::PROC_SUPER_MAGIC)
    }
}

fn is_same(one: &Stat, other: &Stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

fn is_for_others(folder: &Stat) -> bool {
    let all = folder.st_mode & FOR_ALL == FOR_ALL;
    all || folder.st_mode & FOR_A_GROUP == FOR_A_GROUP
}

fn refused(link: &Path, whose: &str) -> io::Error {
    let link = link.display();
    let why = format!("{link} is a symbolic link {whose} may have made it to have another file overwritten");
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

#[cfg(test)]
mod tests;
