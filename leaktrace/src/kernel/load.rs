//! Creates the maps and loads the programs.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use aya::maps::{Array, Map, MapData, MapError, PerCpuArray, RingBuf};
use aya::programs::{ProgramError, UProbe};
use aya::{Ebpf, EbpfError, EbpfLoader};
use leaktrace_common::event::Kind;
use leaktrace_common::layout::{Control, Target};
use thiserror::Error;

use super::attach::Attachments;
use super::drops::{CounterMaps, Counters};
use super::object::{self, OBJECT, ObjectError, Relocated};
use super::ring::Ring;
use super::sys::{self, MultiSupport, Refused};

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

/// How to load.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The size of the ring buffer: a power of two, whole pages.
    pub ring_bytes: u32,
    /// What the programs are to do until [`Probes::set_control`] says otherwise.
    pub control: Control,
    /// The way to attach, or `None` for the best that this kernel has.
    pub backend: Option<Backend>,
}

impl Default for Options {
    /// 8 MiB hold 150,000 records or more: a second and a half of what was the busiest server measured.
    fn default() -> Self {
        const RING_BYTES: u32 = 8 << 20;
        Self { ring_bytes: RING_BYTES, control: default_control(RING_BYTES), backend: None }
    }
}

/// The stacks of the first 16 births of each site, then of every 64th; a wake-up when a quarter is full.
const fn default_control(ring_bytes: u32) -> Control {
    Control { stacks_per_site: 16, stack_sample_mask: 63, wakeup_bytes: ring_bytes / 4, reserved: 0 }
}

impl Options {
    /// The usual, with a ring buffer of this size.
    pub fn with_ring_bytes(ring_bytes: u32) -> Self {
        Self { ring_bytes, control: default_control(ring_bytes), ..Self::default() }
    }
}

/// Why the programs cannot be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// leaktrace was built wrong.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The kernel does not let us use BPF: `CAP_BPF` or `CAP_PERFMON` is missing, or lockdown forbids it.
    #[error("the kernel does not permit loading eBPF programs")]
    NotPermitted(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A map cannot be created or used.
    #[error("cannot create the eBPF maps")]
    Maps(#[from] EbpfError),
    /// A map does not take what we write.
    #[error("cannot access an eBPF map")]
    Map(#[from] MapError),
    /// The kernel refuses a program.
    #[error("the kernel refuses the program {program}: {source}")]
    Program {
        /// Which one.
        program: &'static str,
        /// The system's error.
        source: std::io::Error,
        /// What the verifier said; long.
        verifier_log: String,
    },
    /// The kernel refuses a program that is to be attached by perf events.
    #[error("the kernel refuses the program {program}")]
    PerfProgram {
        /// Which one.
        program: &'static str,
        /// What aya says.
        source: Box<ProgramError>,
    },
    /// `uprobe_multi` was asked for and the kernel has none that works.
    #[error("this kernel has no working uprobe_multi")]
    NoUprobeMulti,
}

/// The loaded programs, with their maps and everything that they are attached to. Dropping it detaches all.
pub struct Probes {
    pub(super) attachments: Attachments,
    pub(super) programs: Programs,
    pub(super) targets: Array<MapData, Target>,
    /// The same map, for programs that are loaded later.
    pub(super) targets_fd: OwnedFd,
    control: Array<MapData, Control>,
    counters: CounterMaps,
    /// What was counted and is not to be told.
    forgotten: Counters,
    /// The records.
    pub ring: Ring,
}

/// The programs, loaded for one backend.
pub(super) enum Programs {
    /// With whether the kernel's filter by process can be relied on.
    Multi { programs: HashMap<Kind, OwnedFd>, filter_is_right: bool },
    /// Inside aya's object.
    Perf(Ebpf),
}

impl Probes {
    /// Creates the maps and loads the programs; attaches nothing.
    pub fn load(options: &Options) -> Result<Self, LoadError> {
        object::check_abi(OBJECT)?;
        let loaded = EbpfLoader::new().map_max_entries("EVENTS", options.ring_bytes).load(OBJECT);
        let mut ebpf = loaded.map_err(not_permitted_or)?;
        let programs = load_multi(&ebpf, options.backend)?;
        let targets_fd = descriptor(&ebpf, "TARGETS")?;
        let mut probes = Self {
            targets_fd,
            ring: Ring::new(RingBuf::try_from(take(&mut ebpf, "EVENTS")?)?),
            targets: Array::try_from(take(&mut ebpf, "TARGETS")?)?,
            control: Array::try_from(take(&mut ebpf, "CONTROL")?)?,
            counters: CounterMaps {
                hits: PerCpuArray::try_from(take(&mut ebpf, "HITS")?)?,
                drops: PerCpuArray::try_from(take(&mut ebpf, "DROPS")?)?,
            },
            programs: match programs {
                Some(programs) => programs,
                None => load_perf(ebpf)?,
            },
            attachments: Attachments::default(),
            forgotten: Counters::default(),
        };
        probes.set_control(options.control)?;
        Ok(probes)
    }

    /// How the programs are attached.
    pub fn backend(&self) -> Backend {
        match self.programs {
            Programs::Multi { .. } => Backend::UprobeMulti,
            Programs::Perf(_) => Backend::PerfEvent,
        }
    }

    /// Changes what the attached programs do, from the next hit on.
    pub fn set_control(&mut self, control: Control) -> Result<(), MapError> {
        self.control.set(0, control, 0)
    }

    /// What has been counted since the programs were loaded.
    pub fn counters(&self) -> Result<Counters, MapError> {
        Ok(self.counters.read()?.since(&self.forgotten))
    }

    /// Starts to count anew.
    pub(super) fn forget_counts(&mut self) -> Result<(), MapError> {
        self.forgotten = self.counters.read()?;
        Ok(())
    }

    /// What the programs were last told to do.
    pub(super) fn control(&self) -> Result<Control, MapError> {
        self.control.get(&0, 0)
    }
}

fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, ObjectError> {
    ebpf.take_map(name).ok_or(ObjectError::NoMap(name))
}

/// A descriptor of our own for an array.
fn descriptor(ebpf: &Ebpf, name: &'static str) -> Result<OwnedFd, LoadError> {
    match ebpf.map(name) {
        Some(Map::Array(data)) => Ok(data.fd().as_fd().try_clone_to_owned().map_err(MapError::from)?),
        _ => Err(ObjectError::NoMap(name).into()),
    }
}

/// Loads for `uprobe_multi`; `None` where perf events are to be used instead.
fn load_multi(ebpf: &Ebpf, wish: Option<Backend>) -> Result<Option<Programs>, LoadError> {
    if wish == Some(Backend::PerfEvent) {
        return Ok(None);
    }
    match (multi_support(), wish) {
        (MultiSupport::None, Some(_)) => Err(LoadError::NoUprobeMulti),
        (MultiSupport::None, None) => Ok(None),
        (support, _) => load_for_multi(ebpf, support).map(Some),
    }
}

fn multi_support() -> MultiSupport {
    match sys::load_nothing() {
        Ok(program) => sys::uprobe_multi_support(program.as_fd()),
        Err(_) => MultiSupport::None,
    }
}

fn load_for_multi(ebpf: &Ebpf, support: MultiSupport) -> Result<Programs, LoadError> {
    let relocated = Relocated::new(OBJECT, &map_fds(ebpf))?;
    let mut programs = HashMap::new();
    for kind in Kind::ALL {
        let (instructions, licence) = relocated.program(kind)?;
        let name = object::program_name(kind);
        let program = sys::load_for_uprobe_multi(name, instructions, &licence);
        programs.insert(kind, program.map_err(|refused| refusal(name, refused))?);
    }
    Ok(Programs::Multi { programs, filter_is_right: support == MultiSupport::Full })
}

fn refusal(program: &'static str, refused: Refused) -> LoadError {
    let Refused { error, log } = refused;
    if error.raw_os_error() == Some(libc::EPERM) {
        return LoadError::NotPermitted(Box::new(error));
    }
    LoadError::Program { program, source: error, verifier_log: log }
}

/// The descriptors of all maps of the kinds that the programs use.
fn map_fds(ebpf: &Ebpf) -> HashMap<String, RawFd> {
    let fd = |(name, map): (&str, &Map)| match map {
        Map::Array(data) | Map::PerCpuArray(data) | Map::LruHashMap(data) | Map::RingBuf(data) => {
            Some((name.to_owned(), data.fd().as_fd().as_raw_fd()))
        }
        _ => None,
    };
    ebpf.maps().filter_map(fd).collect()
}

fn load_perf(mut ebpf: Ebpf) -> Result<Programs, LoadError> {
    for kind in Kind::ALL {
        let program = object::program_name(kind);
        let refused = |source| LoadError::PerfProgram { program, source: Box::new(source) };
        let uprobe: &mut UProbe =
            ebpf.program_mut(program).ok_or(ObjectError::NoProgram(program))?.try_into().map_err(refused)?;
        uprobe.load().map_err(refused)?;
    }
    Ok(Programs::Perf(ebpf))
}

/// Tells a missing permission from everything else that can be wrong with maps.
fn not_permitted_or(error: EbpfError) -> LoadError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(error_) = cause {
        let os = error_.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
        if os == Some(libc::EPERM) {
            return LoadError::NotPermitted(Box::new(error));
        }
        cause = error_.source();
    }
    LoadError::Maps(error)
}
