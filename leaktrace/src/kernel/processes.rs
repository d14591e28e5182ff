//! What becomes of all processes of the machine: programs at tracepoints of the kernel's, and the ring that they write to.
//! Only execs, exits and victims of the OOM killer are told, with nothing but a process id, the time and an exit status.

use std::collections::HashMap;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use aya::maps::{Array, Map, MapData, MapError, RingBuf};
use leaktrace_common::process::{ProcessKind, TaskLayout, UNKNOWN};
use leaktrace_core::binary::btf::{Btf, Struct};
use thiserror::Error;

use super::features::in_initial_pid_namespace;
use super::load::{LoadError, create_maps, load_tracepoint};
use super::object::{Object, ObjectError, Program};
use super::sys;

const RING: &str = "PROCESSES";
const DROPS: &str = "PROCESS_DROPS";
const LAYOUT: &str = ".rodata.kernel";

/// Where the kernel describes its types.
const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";
/// The longest description that is read: that of current kernels has 6 MB.
const MOST_BTF: u64 = 64 << 20;

/// Why it cannot be heard of all processes.
#[derive(Debug, Error)]
pub enum ProcessWatchError {
    /// The programs tell process ids as the initial namespace has them.
    #[error("leaktrace runs in a pid namespace of its own")]
    OtherPidNamespace,
    /// The programs cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A tracepoint is refused, or the kernel has none of that name.
    #[error("cannot attach to the tracepoint {0:?}")]
    Attach(&'static CStr, #[source] io::Error),
}

/// Hears of all processes until it is dropped.
pub struct ProcessWatch {
    ring: RingBuf<MapData>,
    drops: Array<MapData, u64>,
    #[expect(dead_code, reason = "only held")]
    links: Vec<OwnedFd>,
    tells_victims: bool,
}

impl ProcessWatch {
    /// Loads the programs and attaches them. Takes some milliseconds, to read the kernel's description of its types.
    pub fn start() -> Result<Self, ProcessWatchError> {
        if !in_initial_pid_namespace() {
            return Err(ProcessWatchError::OtherPidNamespace);
        }
        let object = Object::ours().map_err(LoadError::from)?;
        let programs = ProcessKind::ALL.map(Program::Process);
        let layout = (LAYOUT, task_layout().to_bytes());
        let mut maps = create_maps(&object, &programs, (layout.0, &layout.1), |_, _| {})?;
        let fds: HashMap<&str, i32> =
            maps.iter().map(|(name, map)| (*name, map.fd().as_fd().as_raw_fd())).collect();
        let attach = |kind| -> Result<OwnedFd, ProcessWatchError> {
            let program = load_tracepoint(&object, Program::Process(kind), &fds)?;
            let name = tracepoint(kind);
            sys::attach_raw_tracepoint(program.as_fd(), name)
                .map_err(|source| ProcessWatchError::Attach(name, source))
        };
        let mut links = vec![attach(ProcessKind::Exec)?, attach(ProcessKind::Exit)?];
        // Without it, kills are counted by cgroup.
        let victims = attach(ProcessKind::OomVictim)
            .inspect_err(|error| tracing::warn!(%error, "cannot hear of the OOM killer"));
        let tells_victims = victims.is_ok();
        links.extend(victims);
        let mut take = |name: &'static str| -> Result<Map, LoadError> {
            Ok(Map::from_map_data(maps.remove(name).ok_or(ObjectError::NoMap(name))?)?)
        };
        let ring = RingBuf::try_from(take(RING)?).map_err(LoadError::from)?;
        let drops = Array::try_from(take(DROPS)?).map_err(LoadError::from)?;
        Ok(Self { ring, drops, links, tells_victims })
    }

    /// Hands over at most `most` records, in the order of what happened; says whether there may be more. They are decoded by
    /// `leaktrace_core::node::ProcessEvent`.
    pub fn drain(&mut self, most: usize, mut each: impl FnMut(&[u8])) -> bool {
        for _ in 0..most {
            let Some(record) = self.ring.next() else { return false };
            each(&record);
        }
        true
    }

    /// How many records found no room since it was started.
    pub fn lost(&self) -> Result<u64, MapError> {
        self.drops.get(&0, 0)
    }

    /// Whether it hears of the OOM killer's victims.
    pub const fn tells_victims(&self) -> bool {
        self.tells_victims
    }
}

/// Becomes readable when there is a record and all before have been taken.
impl AsFd for ProcessWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

const fn tracepoint(kind: ProcessKind) -> &'static CStr {
    match kind {
        ProcessKind::Exec => c"sched_process_exec",
        ProcessKind::Exit => c"sched_process_exit",
        ProcessKind::OomVictim => c"mark_victim",
    }
}

/// Where the running kernel keeps what the programs read. What is not known is not read: then exits have no status.
fn task_layout() -> TaskLayout {
    let mut bytes = Vec::new();
    let read = File::open(KERNEL_BTF).and_then(|file| file.take(MOST_BTF).read_to_end(&mut bytes));
    let found = match read {
        Ok(_) => layout_of(&bytes),
        Err(error) => {
            tracing::debug!(%error, "cannot read {KERNEL_BTF}");
            None
        }
    };
    found.unwrap_or_else(|| {
        tracing::warn!("{KERNEL_BTF} does not say where the kernel keeps exit statuses: they are not read");
        TaskLayout::NONE
    })
}

fn layout_of(btf: &[u8]) -> Option<TaskLayout> {
    let btf = Btf::parse(btf)?;
    let (task, signal) = (btf.structure("task_struct")?, btf.structure("signal_struct")?);
    let at = |of: &Struct<'_>, field| of.offset_of(field).unwrap_or(UNKNOWN);
    Some(TaskLayout {
        task_tgid: at(&task, "tgid"),
        task_exit_code: at(&task, "exit_code"),
        task_group_leader: at(&task, "group_leader"),
        task_signal: at(&task, "signal"),
        signal_live: at(&signal, "live"),
        signal_flags: at(&signal, "flags"),
        signal_group_exit_code: at(&signal, "group_exit_code"),
    })
}
