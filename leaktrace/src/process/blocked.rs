//! What a user is told when a read of a process does not return: where, why as far as the kernel says, and what to do.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::time::Duration;

use leaktrace_core::base::memory::Span;
use leaktrace_core::base::num::Avma;

use super::maps::{Mapping, Maps};
use super::{Pid, Procfs};
use crate::privilege::toward;

/// That a page is in memory, or swapped out (`Documentation/admin-guide/mm/pagemap.rst`).
const PRESENT_OR_SWAPPED: u64 = 3 << 62;

/// That a read of a process does not return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// Which process, if it was its memory.
    pub pid: Option<Pid>,
    /// What was read.
    pub place: BlockedAt,
    /// What the read waits for.
    pub cause: Cause,
    /// How long it had waited when it was given up.
    pub waited: Duration,
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockedAt {
    /// Memory of the process.
    Memory {
        /// The first address of it that cannot be read.
        at: Avma,
        /// What is mapped there, if that could be found out.
        mapping: Option<Mapping>,
    },
    /// A file.
    File(PathBuf),
    /// Something else: a file that we have mapped, such as the process's binary.
    Elsewhere,
}

/// What a read waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// That somebody serves a page.
    Userfaultfd,
    /// The server of a file system.
    FileServer,
    /// The lock of the process's memory map.
    MapLock,
    /// Something else; the function of the kernel, if that says its name.
    Other(Option<String>),
}

impl Cause {
    /// What waits in this function of the kernel (`fs/userfaultfd.c`, `fs/fuse/dev.c`, `net/sunrpc/sched.c`, `mm/filemap.c`,
    /// `kernel/locking/rwsem.c`).
    fn of(wchan: Option<&str>) -> Self {
        let server = ["request_wait_answer", "fuse_", "rpc_", "nfs", "folio_wait_bit", "wait_on_page_bit"];
        match wchan.map(str::trim) {
            Some(name) if name.starts_with("handle_userfault") => Self::Userfaultfd,
            Some(name) if server.iter().any(|known| name.contains(known)) => Self::FileServer,
            Some(name) if name.contains("rwsem_") || name.starts_with("down_read") => Self::MapLock,
            Some("0") | None => Self::Other(None),
            Some(name) => Self::Other(Some(name.to_owned())),
        }
    }

    /// What can be done about it.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Userfaultfd => {
                "whoever handles the userfaultfd (the process itself, or a tool that restores it page by page) has to \
                 supply that page; try again then"
            }
            Self::FileServer => "try again when the server of that file system answers",
            Self::MapLock => {
                "a thread of the process holds the lock of its memory map; try again when it has released it"
            }
            Self::Other(_) => "try again when the process's memory can be read",
        }
    }
}

impl std::error::Error for Blocked {}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.place, self.pid) {
            (BlockedAt::Memory { at, .. }, Some(pid)) => {
                write!(f, "process {pid} blocks reads of its memory: the read at {at}")
            }
            (BlockedAt::Memory { at, .. }, None) => write!(f, "the read at {at}"),
            (BlockedAt::File(path), _) => write!(f, "the read of {}", path.display()),
            (BlockedAt::Elsewhere, _) => f.write_str("the read of a file, perhaps of the process's binary,"),
        }?;
        write!(f, " has not returned for {:.1} s", self.waited.as_secs_f64())?;
        if let BlockedAt::Memory { mapping: Some(mapping), .. } = &self.place {
            write!(f, ", in {mapping}")?;
        }
        match &self.cause {
            Cause::Userfaultfd => f.write_str(", whose pages a userfaultfd handler must supply"),
            Cause::FileServer => f.write_str(", which waits for the server of a file system"),
            Cause::MapLock => f.write_str(", which waits for the lock of the process's memory map"),
            Cause::Other(Some(name)) => write!(f, ", which waits in the kernel's {name}"),
            Cause::Other(None) => Ok(()),
        }
    }
}

/// What is known of a read that does not return without looking any further.
#[derive(Clone, Debug)]
pub(super) struct Circumstances {
    pub(super) pid: Option<Pid>,
    pub(super) spans: Vec<Span>,
    pub(super) file: Option<PathBuf>,
    pub(super) waited: Duration,
}

impl Circumstances {
    /// What a user can be told in any case.
    pub(super) fn unexplained(&self) -> Blocked {
        let place = match (self.spans.first(), &self.file) {
            (Some(span), _) => BlockedAt::Memory { at: span.at, mapping: None },
            (None, Some(file)) => BlockedAt::File(file.clone()),
            (None, None) => BlockedAt::Elsewhere,
        };
        Blocked { pid: self.pid, place, cause: Cause::Other(None), waited: self.waited }
    }

    /// What a user can be told after a look at the process, which may take for ever. `wchan` is the function of the kernel
    /// in which the reading thread waits.
    pub(super) fn explain(&self, wchan: Option<&str>) -> Blocked {
        let mut blocked = Blocked { cause: Cause::of(wchan), ..self.unexplained() };
        if let (BlockedAt::Memory { at, mapping }, Some(pid)) = (&mut blocked.place, self.pid) {
            let procfs = Procfs::system();
            *at = self.first_missing(&procfs, pid).unwrap_or(*at);
            *mapping = Maps::read(&procfs, pid).ok().and_then(|maps| maps.at(*at).cloned());
        }
        blocked
    }

    /// The first address whose page is not there: what comes before it was read, so that its pages are.
    fn first_missing(&self, procfs: &Procfs, pid: Pid) -> Option<Avma> {
        let pages = toward(pid.0, || File::open(procfs.path(pid, "pagemap"))).ok()?;
        let page_size = rustix::param::page_size() as u64;
        let addresses = self.spans.iter().filter(|span| span.len > 0).flat_map(|span| {
            let (first, last) =
                (span.at.0 / page_size, span.at.0.saturating_add(span.len as u64 - 1) / page_size);
            (first..=last).map(move |page| (page, Avma((page * page_size).max(span.at.0))))
        });
        let is_missing = |page: u64| {
            let mut entry = [0; 8];
            let read = pages.read_exact_at(&mut entry, page.wrapping_mul(8));
            read.is_ok() && u64::from_le_bytes(entry) & PRESENT_OR_SWAPPED == 0
        };
        addresses.into_iter().find(|(page, _)| is_missing(*page)).map(|(_, at)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circumstances() -> Circumstances {
        let spans = vec![Span { at: Avma(0x1000), len: 8 }];
        Circumstances { pid: Some(Pid(5)), spans, file: None, waited: Duration::from_millis(1_530) }
    }

    #[test]
    fn the_kernels_functions_tell_what_is_waited_for() {
        let cause = |name| Cause::of(Some(name));
        assert_eq!(cause("handle_userfault"), Cause::Userfaultfd);
        assert_eq!(cause("request_wait_answer"), Cause::FileServer);
        assert_eq!(cause("folio_wait_bit_common"), Cause::FileServer);
        assert_eq!(cause("rpc_wait_bit_killable"), Cause::FileServer);
        assert_eq!(cause("rwsem_down_read_slowpath"), Cause::MapLock);
        assert_eq!(cause("0"), Cause::Other(None));
        assert_eq!(cause("do_something"), Cause::Other(Some("do_something".to_owned())));
    }

    #[test]
    fn users_are_told_where_and_why() {
        let blocked = Blocked { cause: Cause::Userfaultfd, ..circumstances().unexplained() };
        assert_eq!(
            blocked.to_string(),
            "process 5 blocks reads of its memory: the read at 0x1000 has not returned for 1.5 s, whose pages a \
             userfaultfd handler must supply"
        );
        let file = Circumstances { spans: Vec::new(), file: Some("/proc/5/maps".into()), ..circumstances() };
        let blocked = Blocked { cause: Cause::MapLock, ..file.unexplained() };
        assert_eq!(
            blocked.to_string(),
            "the read of /proc/5/maps has not returned for 1.5 s, which waits for the lock of the process's memory map"
        );
    }

    #[test]
    fn the_page_that_is_missing_is_named() {
        let page = rustix::param::page_size();
        // Fresh memory has no pages until it is touched.
        let map = memmap2::MmapOptions::new().len(4 * page).map_anon().unwrap();
        let start = Avma(map.as_ptr().addr() as u64);
        assert_eq!(map[0], 0);
        let spans = vec![
            Span { at: start, len: page },
            Span { at: start.plus(16), len: 8 },
            Span { at: start.plus(page as u64 + 24), len: 8 },
        ];
        let asked = Circumstances { pid: Some(Pid::own()), spans, ..circumstances() };
        let BlockedAt::Memory { at, mapping } = asked.explain(None).place else { panic!("it is memory") };
        assert_eq!(at, start.plus(page as u64 + 24));
        assert!(mapping.is_some_and(|mapping| mapping.start <= at && at < mapping.end));
    }
}
