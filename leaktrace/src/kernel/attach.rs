//! Attaches the programs to instructions of a process, and detaches them again, kind by kind.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use aya::Ebpf;
use aya::maps::MapError;
use aya::programs::uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeLink, UProbeScope};
use aya::programs::{ProgramError, UProbe};
use leaktrace_common::cookie::{self, GRegister};
use leaktrace_common::event::Kind;
use leaktrace_common::layout::{GoLayout, MAX_TARGETS, Target};
use leaktrace_core::base::num::FileOffset;
use leaktrace_core::trace::plan::Site;
use thiserror::Error;

use super::exec::ExecWatch;
use super::features::in_initial_pid_namespace;
use super::load::{Backend, Probes, Programs};
use super::object;
use super::sys::{self, MultiLink};

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
    /// Its number among all that these programs trace, below [`MAX_TARGETS`]: the `target` of its records.
    pub index: u16,
    /// Its process id, as our own pid namespace counts it.
    pub pid: u32,
    /// A path that leads to its binary, such as `/proc/PID/exe`.
    pub exe: &'a Path,
    /// Where its runtime keeps things.
    pub layout: GoLayout,
}

/// What was attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attached {
    /// At how many instructions.
    pub sites: usize,
    /// By what.
    pub backend: Backend,
    /// How long it took.
    pub took: Duration,
}

/// Why a process cannot be probed.
#[derive(Debug, Error)]
pub enum AttachError {
    /// Its binary cannot be opened: `CAP_SYS_PTRACE` or `CAP_DAC_READ_SEARCH` is missing, or it is gone.
    #[error("cannot open {path}")]
    Exe {
        /// The path to its binary.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// There is no room for so many processes.
    #[error("target {0} is beyond the {MAX_TARGETS} that one set of programs can trace")]
    TooManyTargets(u16),
    /// What the programs need to know cannot be written.
    #[error("cannot describe the target to the eBPF programs")]
    Describe(#[source] MapError),
    /// `uprobe_multi` is refused: `CAP_PERFMON` is missing, the process is gone, or the file cannot be probed.
    #[error("cannot attach {kind} probes by uprobe_multi", kind = kind.as_str())]
    Multi {
        /// For which kind.
        kind: Kind,
        /// Why not.
        source: std::io::Error,
    },
    /// A perf event is refused: `CAP_SYS_ADMIN` is missing, the process is gone, or the file cannot be probed.
    #[error("cannot attach a {kind} probe at {offset} by a perf event", kind = kind.as_str())]
    Perf {
        /// For which kind.
        kind: Kind,
        /// At which instruction.
        offset: FileOffset,
        /// What aya says.
        source: Box<ProgramError>,
    },
    /// This kernel would trace a single thread, and the programs cannot tell processes apart from in here.
    #[error("this kernel's uprobe_multi cannot be limited to a process from inside a pid namespace")]
    NoFilter,
}

/// Everything that is attached, or was and can be again.
#[derive(Default)]
pub(super) struct Attachments {
    by_kind: BTreeMap<(u16, Kind), Attachment>,
    execs: BTreeMap<u16, ExecWatch>,
    detaching: Vec<JoinHandle<()>>,
}

/// The probes of one kind in one process.
struct Attachment {
    /// Held open, so that the path stays valid whatever becomes of the process.
    exe: File,
    pid: u32,
    sites: Vec<ProbeSite>,
    links: Vec<Link>,
}

/// Detaches when it is dropped.
#[expect(dead_code, reason = "only held")]
enum Link {
    Multi(OwnedFd),
    Perf(UProbeLink),
}

impl Attachment {
    fn path(&self) -> String {
        format!("/proc/self/fd/{}", self.exe.as_raw_fd())
    }
}

impl Probes {
    /// Attaches to all `sites` of a process; if one is refused, to none.
    pub fn attach(
        &mut self,
        tracee: &Tracee<'_>,
        sites: impl IntoIterator<Item = ProbeSite>,
    ) -> Result<Attached, AttachError> {
        let began = Instant::now();
        self.describe(tracee)?;
        let mut count = 0;
        for (kind, sites) in by_kind(sites) {
            count += sites.len();
            let exe = open(tracee.exe)?;
            let mut attachment = Attachment { exe, pid: tracee.pid, sites, links: Vec::new() };
            if let Err(error) = self.link(tracee.index, kind, &mut attachment) {
                self.detach_target(tracee.index);
                return Err(error);
            }
            self.attachments.by_kind.insert((tracee.index, kind), attachment);
        }
        Ok(Attached { sites: count, backend: self.backend(), took: began.elapsed() })
    }

    /// Detaches the probes of one kind; [`Self::reattach`] brings them back. Does not wait for it.
    pub fn detach(&mut self, index: u16, kind: Kind) {
        if let Some(attachment) = self.attachments.by_kind.get_mut(&(index, kind)) {
            let links = std::mem::take(&mut attachment.links);
            self.attachments.let_go(links);
        }
    }

    /// Attaches the probes of one kind again; `false` if this process never had any, or has them.
    pub fn reattach(&mut self, index: u16, kind: Kind) -> Result<bool, AttachError> {
        let Some(mut attachment) = self.attachments.by_kind.remove(&(index, kind)) else { return Ok(false) };
        if !attachment.links.is_empty() {
            self.attachments.by_kind.insert((index, kind), attachment);
            return Ok(false);
        }
        let linked = self.link(index, kind, &mut attachment);
        self.attachments.by_kind.insert((index, kind), attachment);
        linked.map(|()| true)
    }

    /// Whether probes of this kind are attached to this process.
    pub fn is_attached(&self, index: u16, kind: Kind) -> bool {
        self.attachments.by_kind.get(&(index, kind)).is_some_and(|attachment| !attachment.links.is_empty())
    }

    /// Detaches everything from a process and forgets it. Does not wait for it.
    pub fn detach_target(&mut self, index: u16) {
        let attachments = &mut self.attachments;
        attachments.execs.remove(&index);
        let links = |(_, attachment): (_, Attachment)| attachment.links;
        let gone = attachments.by_kind.extract_if(.., |(owner, _), _| *owner == index);
        let gone = gone.flat_map(links).collect();
        attachments.let_go(gone);
    }

    /// Whether nothing is attached, nor was and can be again.
    pub(super) fn is_idle(&self) -> bool {
        self.attachments.by_kind.is_empty()
    }

    /// Waits until the kernel has taken away every probe that was detached.
    pub fn wait_until_detached(&mut self) {
        self.attachments.wait();
    }

    /// Writes what the programs must know of the process before its first event.
    fn describe(&mut self, tracee: &Tracee<'_>) -> Result<(), AttachError> {
        if u32::from(tracee.index) >= MAX_TARGETS {
            return Err(AttachError::TooManyTargets(tracee.index));
        }
        let tgid = in_initial_pid_namespace().then_some(tracee.pid);
        let checked = self.programs.checked(tgid)?;
        let target = Target { layout: tracee.layout, tgid: checked, valid: 1 };
        self.targets.set(u32::from(tracee.index), target, 0).map_err(AttachError::Describe)?;
        if let Some(tgid) = tgid {
            self.watch_exec(tracee.index, tgid);
        }
        Ok(())
    }

    /// Without it an exec is still noticed, only a little later.
    fn watch_exec(&mut self, index: u16, tgid: u32) {
        match ExecWatch::start(self.targets_fd.as_fd(), index, tgid) {
            Ok(watch) => _ = self.attachments.execs.insert(index, watch),
            Err(error) => tracing::warn!(%error, "an exec of the target cannot be watched"),
        }
    }

    fn link(&mut self, index: u16, kind: Kind, attachment: &mut Attachment) -> Result<(), AttachError> {
        let path = attachment.path();
        let links = match &mut self.programs {
            Programs::Multi { programs, filter_is_right } => {
                let Some(program) = programs.get(&kind) else { return Ok(()) };
                let pid = if *filter_is_right { attachment.pid } else { 0 };
                let link = link_multi(program, index, &path, pid, &attachment.sites);
                vec![Link::Multi(link.map_err(|source| AttachError::Multi { kind, source })?)]
            }
            Programs::Perf(ebpf) => link_perf(ebpf, index, kind, &path, attachment)?,
        };
        attachment.links = links;
        Ok(())
    }
}

impl Programs {
    /// The process id that the programs have to look for at each hit, 0 where the kernel sees to it; `tgid` is the
    /// target's if it is known.
    fn checked(&self, tgid: Option<u32>) -> Result<u32, AttachError> {
        match (self, tgid) {
            (Self::Multi { filter_is_right: true, .. }, _) | (Self::Perf(_), None) => Ok(0),
            (Self::Multi { .. }, None) => Err(AttachError::NoFilter),
            (Self::Multi { .. } | Self::Perf(_), Some(tgid)) => Ok(tgid),
        }
    }
}

impl Attachments {
    /// Drops links in threads of their own: the kernel waits tens of milliseconds for each.
    fn let_go(&mut self, links: Vec<Link>) {
        self.detaching.retain(|thread| !thread.is_finished());
        self.detaching.extend(links.into_iter().map(|link| std::thread::spawn(move || drop(link))));
    }

    fn wait(&mut self) {
        for thread in self.detaching.drain(..) {
            // A thread that only drops a link has nothing to panic with.
            let _: std::thread::Result<()> = thread.join();
        }
    }
}

impl Drop for Attachments {
    fn drop(&mut self) {
        let links = std::mem::take(&mut self.by_kind).into_values().flat_map(|attachment| attachment.links);
        self.let_go(links.collect());
        self.wait();
    }
}

fn by_kind(sites: impl IntoIterator<Item = ProbeSite>) -> BTreeMap<Kind, Vec<ProbeSite>> {
    let mut kinds: BTreeMap<Kind, Vec<ProbeSite>> = BTreeMap::new();
    for site in sites {
        kinds.entry(site.kind).or_default().push(site);
    }
    kinds
}

fn open(path: &Path) -> Result<File, AttachError> {
    File::open(path).map_err(|source| AttachError::Exe { path: path.to_owned(), source })
}

/// Attaches a program to all `sites` at once; closing the descriptor detaches it.
fn link_multi(
    program: &OwnedFd,
    index: u16,
    path: &str,
    pid: u32,
    sites: &[ProbeSite],
) -> std::io::Result<OwnedFd> {
    let path = CString::new(path)?;
    let offsets: Vec<u64> = sites.iter().map(|site| site.offset.0).collect();
    let cookies: Vec<u64> = sites.iter().map(|site| cookie::pack(index, site.g)).collect();
    let link = MultiLink { path: &path, offsets: &offsets, cookies: &cookies, pid, returns: false };
    sys::link_uprobe_multi(program.as_fd(), &link)
}

fn link_perf(
    ebpf: &mut Ebpf,
    index: u16,
    kind: Kind,
    path: &str,
    attachment: &Attachment,
) -> Result<Vec<Link>, AttachError> {
    let mut links = Vec::new();
    for site in &attachment.sites {
        let refused = |source| AttachError::Perf { kind, offset: site.offset, source: Box::new(source) };
        let link = link_perf_event(ebpf, index, site, path, attachment.pid).map_err(refused)?;
        links.extend(link.map(Link::Perf));
    }
    Ok(links)
}

fn link_perf_event(
    ebpf: &mut Ebpf,
    index: u16,
    site: &ProbeSite,
    path: &str,
    pid: u32,
) -> Result<Option<UProbeLink>, ProgramError> {
    let Some(program) = ebpf.program_mut(object::program_name(site.kind)) else { return Ok(None) };
    let uprobe: &mut UProbe = program.try_into()?;
    let scope = NonZeroU32::new(pid).map_or(UProbeScope::CallingProcess, UProbeScope::OneProcess);
    let point = UProbeAttachPoint {
        location: UProbeAttachLocation::AbsoluteOffset(site.offset.0),
        cookie: Some(cookie::pack(index, site.g)),
    };
    let link = uprobe.attach(point, path, scope)?;
    uprobe.take_link(link).map(Some)
}
