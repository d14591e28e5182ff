//! What is mapped where in the target, and so where its binary was loaded.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use leaktrace_core::base::num::{Avma, Bias, FileOffset, Svma};

use super::{Pid, ProcessError, Procfs};

/// The longest that a maps file may be: 65530 mappings, the kernel's default bound, with long paths.
const BOUND: u64 = 64 << 20;

/// One line of `/proc/PID/maps`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The first address.
    pub start: Avma,
    /// The address after the last.
    pub end: Avma,
    /// Whether instructions may be fetched from it.
    pub executable: bool,
    /// Whether what the process writes to it is its own alone.
    pub private: bool,
    /// Where in the file it begins.
    pub offset: FileOffset,
    /// The device of the file, major and minor number; 0 for memory without a file.
    pub device: (u32, u32),
    /// The inode of the file; 0 for memory without one.
    pub inode: u64,
    /// The file, as seen by the target, with ` (deleted)` after it if that is so.
    pub path: PathBuf,
}

impl Mapping {
    /// Whether it is no part of any file.
    pub(crate) const fn is_anonymous(&self) -> bool {
        self.inode == 0
    }
}

impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.private { "private" } else { "shared" };
        match (self.is_anonymous(), self.path.as_os_str().is_empty()) {
            (true, true) => write!(f, "{kind} anonymous memory"),
            (true, false) => write!(f, "{kind} anonymous memory {}", self.path.display()),
            (false, _) => write!(f, "a {kind} mapping of {}", self.path.display()),
        }?;
        write!(f, " ({}-{})", self.start, self.end)
    }
}

/// Everything that a process has mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maps(Vec<Mapping>);

impl Maps {
    /// Reads those of a process.
    pub fn read(procfs: &Procfs, pid: Pid) -> Result<Self, ProcessError> {
        let bytes = procfs.read(pid, "maps", BOUND)?;
        Self::parse(&bytes).ok_or_else(|| ProcessError::Malformed {
            path: procfs.path(pid, "maps"),
            what: "not in the format that Linux writes",
        })
    }

    /// What the text of a maps file says; `None` if it is none.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(parse_line).collect::<Option<_>>().map(Self)
    }

    /// Every mapping, in the order of addresses.
    pub fn iter(&self) -> impl Iterator<Item = &Mapping> {
        self.0.iter()
    }

    /// What is mapped at this address.
    pub fn at(&self, at: Avma) -> Option<&Mapping> {
        let index = self.0.partition_point(|mapping| mapping.start <= at).checked_sub(1)?;
        self.0.get(index).filter(|mapping| at < mapping.end)
    }

    /// The mappings of the file that `/proc/PID/exe` calls `link`, or whose inode is `inode` where an
    /// overlay gives the two different names.
    pub fn of_file(&self, link: &Path, inode: u64) -> Vec<&Mapping> {
        let by_path: Vec<_> = self.iter().filter(|mapping| mapping.path == link).collect();
        if by_path.is_empty() {
            return self.iter().filter(|mapping| mapping.inode != 0 && mapping.inode == inode).collect();
        }
        by_path
    }
}

/// What the kernel added to the addresses of a binary whose segment at `stated` begins at `offset` of its
/// file, given the file's mappings.
pub fn bias(mappings: &[&Mapping], stated: Svma, offset: FileOffset) -> Option<Bias> {
    let page = rustix::param::page_size() as u64;
    let start = FileOffset(offset.0 - offset.0 % page);
    let mapping = mappings.iter().find(|mapping| mapping.offset == start)?;
    Some(Bias::between(Svma(stated.0 - stated.0 % page), mapping.start))
}

fn parse_line(line: &[u8]) -> Option<Mapping> {
    let mut rest = line;
    let mut field = || {
        let end = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        rest = tail.get(1..).unwrap_or_default();
        std::str::from_utf8(word).ok()
    };
    let (start, end) = field()?.split_once('-')?;
    let permissions = field()?;
    let offset = field()?;
    let (major, minor) = field()?.split_once(':')?;
    let inode = field()?;
    let path = rest.trim_ascii_start().to_vec();
    Some(Mapping {
        start: Avma(u64::from_str_radix(start, 16).ok()?),
        end: Avma(u64::from_str_radix(end, 16).ok()?),
        executable: permissions.contains('x'),
        private: permissions.ends_with('p'),
        offset: FileOffset(u64::from_str_radix(offset, 16).ok()?),
        device: (u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?),
        inode: inode.parse().ok()?,
        path: PathBuf::from(OsString::from_vec(path)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIE: &[u8] = b"\
55d0c0000000-55d0c0001000 r--p 00000000 08:01 777 /srv/my app (deleted)
55d0c0001000-55d0c0100000 r-xp 00001000 08:01 777 /srv/my app (deleted)
7f0000000000-7f0000001000 rw-p 00000000 00:00 0
7ffd00000000-7ffd00001000 rw-p 00000000 00:00 0                          [stack]
";

    fn maps(text: &[u8]) -> Result<Maps, ProcessError> {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("5")).unwrap();
        std::fs::write(root.path().join("5/maps"), text).unwrap();
        Maps::read(&Procfs::at(root.path()), Pid(5))
    }

    #[test]
    fn a_path_may_hold_spaces_and_be_deleted() {
        let maps = maps(PIE).unwrap();
        let files = maps.of_file(Path::new("/srv/my app (deleted)"), 0);
        assert_eq!(files.len(), 2);
        assert!(files[1].executable && !files[0].executable);
        assert_eq!(maps.iter().last().unwrap().path, Path::new("[stack]"));
    }

    #[test]
    fn the_inode_finds_a_file_that_an_overlay_calls_otherwise() {
        assert_eq!(maps(PIE).unwrap().of_file(Path::new("/elsewhere"), 777).len(), 2);
        assert_eq!(maps(PIE).unwrap().of_file(Path::new("/elsewhere"), 0).len(), 0);
    }

    #[test]
    fn gos_own_pie_begins_at_4_mib_and_not_at_0() {
        let maps = maps(PIE).unwrap();
        let files = maps.of_file(Path::new("/srv/my app (deleted)"), 777);
        let bias = bias(&files, Svma(0x0040_0040), FileOffset(0x40)).unwrap();
        assert_eq!(bias.to_avma(Svma(0x0040_1000)), Avma(0x55d0_c000_1000));
    }

    #[test]
    fn users_are_told_what_is_mapped_where() {
        let maps = maps(PIE).unwrap();
        let shown = |at| maps.at(Avma(at)).map(ToString::to_string);
        assert_eq!(
            shown(0x55d0_c000_0fff).unwrap(),
            "a private mapping of /srv/my app (deleted) (0x55d0c0000000-0x55d0c0001000)"
        );
        assert_eq!(
            shown(0x7f00_0000_0000).unwrap(),
            "private anonymous memory (0x7f0000000000-0x7f0000001000)"
        );
        assert_eq!(
            shown(0x7ffd_0000_0000).unwrap(),
            "private anonymous memory [stack] (0x7ffd00000000-0x7ffd00001000)"
        );
        assert_eq!((shown(0x7f00_0000_1000), shown(0)), (None, None));
    }

    #[test]
    fn foreign_text_is_an_error() {
        assert!(matches!(maps(b"hello\n"), Err(ProcessError::Malformed { .. })));
        assert!(matches!(maps(b"10-zz r-xp 0 0:0 0\n"), Err(ProcessError::Malformed { .. })));
    }

    #[test]
    fn our_own_maps_parse() {
        let maps = Maps::read(&Procfs::system(), Pid::own()).unwrap();
        let own = std::env::current_exe().unwrap();
        assert!(maps.of_file(&own, 0).iter().any(|mapping| mapping.executable));
    }
}
