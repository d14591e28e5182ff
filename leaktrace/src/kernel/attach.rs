//! Attaches the programs of a process to its instructions.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use leaktrace_common::cookie::GRegister;
use leaktrace_common::event::Kind;
use leaktrace_common::layout::GoLayout;
use leaktrace_core::base::num::FileOffset;
use leaktrace_core::trace::plan::Site;
use thiserror::Error;

use super::hub::TargetId;
use super::load::LoadError;
use super::perf;
use super::sys::{self, MultiLink};

/// By what the programs are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// One link for all places of a kind (Linux 6.6). Wants `CAP_BPF` and `CAP_PERFMON` only.
    UprobeMulti,
    /// One perf event for each place. Wants `CAP_SYS_ADMIN` on current kernels.
    PerfEvent,
}

impl Backend {
    /// The name that users read.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UprobeMulti => "uprobe_multi",
            Self::PerfEvent => "perf event",
        }
    }
}

/// One instruction to probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeSite {
    /// What a hit means.
    pub kind: Kind,
    /// The instruction's offset in the file.
    pub offset: FileOffset,
    /// Which register has the `g` that the event is about.
    pub g: GRegister,
}

impl From<&Site> for ProbeSite {
    fn from(site: &Site) -> Self {
        Self { kind: site.kind, offset: site.file_offset, g: site.g_register }
    }
}

/// The process to trace.
#[derive(Clone, Copy, Debug)]
pub struct Tracee<'a> {
    /// Its process id, as our own pid namespace counts it.
    pub pid: u32,
    /// Its binary, in which the instructions were looked up.
    pub exe: &'a File,
    /// Where its runtime keeps things.
    pub layout: GoLayout,
    /// Every instruction that may ever be probed.
    pub sites: &'a [ProbeSite],
}

/// Why a process cannot be probed.
#[derive(Debug, Error)]
pub enum AttachError {
    /// There is no descriptor for its binary.
    #[error("cannot keep the binary open")]
    Exe(#[source] std::io::Error),
    /// Its programs cannot be loaded.
    #[error("cannot load the eBPF programs")]
    Load(#[source] LoadError),
    /// It is not traced, or no more.
    #[error("target {0} is not being traced")]
    UnknownTarget(TargetId),
    /// The process that holds the probes does not do what it is for.
    #[error("lost the process that holds the probes")]
    Keeper(#[source] std::io::Error),
    /// The process that holds the probes cannot hold those of one more target.
    #[error("the process that holds the probes cannot take on one more target")]
    Taking(#[source] std::io::Error),
    /// There is no thread to attach with.
    #[error("the process that holds the probes cannot start a thread")]
    Thread(#[source] std::io::Error),
    /// Nobody says that the first probes are there.
    #[error("the first probes were not attached within {} s", .0.as_secs())]
    Late(std::time::Duration),
    /// Its ring buffer cannot be waited for.
    #[error("cannot wait for a ring buffer")]
    Wait(#[source] std::io::Error),
    /// `uprobe_multi` is refused: `CAP_PERFMON` is missing, the process has exited, or the file cannot be probed.
    #[error("cannot attach {kind} probes with uprobe_multi", kind = kind.as_str())]
    Multi {
        /// For which kind.
        kind: Kind,
        /// Why not.
        source: std::io::Error,
    },
    /// A perf event is refused: `CAP_SYS_ADMIN` is missing, the process has exited, or the file cannot be probed.
    #[error("cannot attach a {kind} probe at {offset} with a perf event", kind = kind.as_str())]
    Perf {
        /// For which kind.
        kind: Kind,
        /// At which instruction.
        offset: FileOffset,
        /// Why not.
        source: std::io::Error,
    },
    /// This kernel would trace a single thread, and the programs cannot tell processes apart from in here.
    #[error("this kernel's uprobe_multi cannot be limited to a process from inside a pid namespace")]
    NoFilter,
}

pub(super) fn by_kind(sites: &[ProbeSite]) -> BTreeMap<Kind, Vec<ProbeSite>> {
    let mut kinds: BTreeMap<Kind, Vec<ProbeSite>> = BTreeMap::new();
    for site in sites {
        kinds.entry(site.kind).or_default().push(*site);
    }
    kinds
}

/// An instruction as the kernel knows it, and what its hits bring along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: FileOffset,
    pub(super) cookie: u64,
}

impl Place {
    pub(super) const fn of(site: &ProbeSite) -> Self {
        Self { offset: site.offset, cookie: site.g.cookie() }
    }
}

/// Where to attach one program.
pub(super) struct Places<'a> {
    pub(super) kind: Kind,
    pub(super) exe: &'a File,
    /// The process whose hits the kernel is to let through; 0 for all.
    pub(super) pid: u32,
    pub(super) all: &'a [Place],
}

impl Places<'_> {
    /// Attaches a program to all of them; closing the descriptors detaches it.
    pub(super) fn link(
        &self,
        backend: Backend,
        program: BorrowedFd<'_>,
    ) -> Result<Vec<OwnedFd>, AttachError> {
        let path = format!("/proc/self/fd/{}", self.exe.as_raw_fd());
        let path = CString::new(path).map_err(|error| self.refused_multi(error.into()))?;
        match backend {
            Backend::UprobeMulti => self.link_multi(program, &path),
            Backend::PerfEvent => self.link_perf(program, &path),
        }
    }

    fn link_multi(&self, program: BorrowedFd<'_>, path: &CString) -> Result<Vec<OwnedFd>, AttachError> {
        let offsets: Vec<u64> = self.all.iter().map(|place| place.offset.0).collect();
        let cookies: Vec<u64> = self.all.iter().map(|place| place.cookie).collect();
        let link = MultiLink { path, offsets: &offsets, cookies: &cookies, pid: self.pid, returns: false };
        let link = sys::link_uprobe_multi(program, &link).map_err(|source| self.refused_multi(source))?;
        Ok(vec![link])
    }

    fn link_perf(&self, program: BorrowedFd<'_>, path: &CString) -> Result<Vec<OwnedFd>, AttachError> {
        let mut links = Vec::new();
        for place in self.all {
            let refused = |source| AttachError::Perf { kind: self.kind, offset: place.offset, source };
            let event = perf::open_uprobe(path, place.offset.0, self.pid).map_err(refused)?;
            links.push(sys::link_perf_event(program, event.as_fd(), place.cookie).map_err(refused)?);
            links.push(event);
        }
        Ok(links)
    }

    fn refused_multi(&self, source: std::io::Error) -> AttachError {
        AttachError::Multi { kind: self.kind, source }
    }
}
