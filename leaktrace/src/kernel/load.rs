//! Creates the maps and loads the programs.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use aya::maps::{Array, Map, MapData, MapError, PerCpuArray, RingBuf};
use aya::programs::{ProgramError, UProbe};
use aya::{Ebpf, EbpfError, EbpfLoader};
use leaktrace_common::event::Kind;
use leaktrace_common::layout::{Control, Target};
use thiserror::Error;

use super::attach::Attachments;
use super::diagnostics::Diagnostics;
use super::drops::{CounterMaps, Counters};
use super::object::{self, OBJECT, Object, ObjectError};
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
    Control { stacks_per_site: 16, stack_sample_mask: 63, wakeup_bytes: ring_bytes / 4, wakers: 0 }
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
    diagnostics: Diagnostics,
    /// What was counted and is not to be told.
    forgotten: Counters,
    /// The records.
    pub ring: Ring,
}

/// Maps by their names.
type Maps = HashMap<String, Map>;

/// What one of the two ways of loading makes.
type Loaded = (Maps, Programs, Diagnostics);

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
        let (mut maps, programs, diagnostics) = match choose(options.backend)? {
            MultiSupport::None => load_for_perf(options.ring_bytes)?,
            support => load_for_multi(options.ring_bytes, support)?,
        };
        let mut probes = Self {
            programs,
            diagnostics,
            targets_fd: descriptor(&maps, "TARGETS")?,
            ring: Ring::new(RingBuf::try_from(take(&mut maps, "EVENTS")?)?),
            targets: Array::try_from(take(&mut maps, "TARGETS")?)?,
            control: Array::try_from(take(&mut maps, "CONTROL")?)?,
            counters: CounterMaps {
                hits: PerCpuArray::try_from(take(&mut maps, "HITS")?)?,
                drops: PerCpuArray::try_from(take(&mut maps, "DROPS")?)?,
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

    /// Hands what the programs had to say to the `log` crate: no more than a line for each kind of event and
    /// mishap, ever.
    pub fn tell_diagnostics(&mut self) {
        self.diagnostics.tell();
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

fn take(maps: &mut Maps, name: &'static str) -> Result<Map, ObjectError> {
    maps.remove(name).ok_or(ObjectError::NoMap(name))
}

/// A descriptor of our own for an array.
fn descriptor(maps: &Maps, name: &'static str) -> Result<OwnedFd, LoadError> {
    match maps.get(name) {
        Some(Map::Array(data)) => Ok(data.fd().as_fd().try_clone_to_owned().map_err(MapError::from)?),
        _ => Err(ObjectError::NoMap(name).into()),
    }
}

/// How much of `uprobe_multi` to use; `None` where perf events are to be used instead.
fn choose(wish: Option<Backend>) -> Result<MultiSupport, LoadError> {
    if wish == Some(Backend::PerfEvent) {
        return Ok(MultiSupport::None);
    }
    let support = match sys::load_nothing() {
        Ok(program) => sys::uprobe_multi_support(program.as_fd()),
        Err(refused) if is_permission(&refused.error) => {
            return Err(LoadError::NotPermitted(Box::new(refused.error)));
        }
        Err(_) => MultiSupport::None,
    };
    if wish.is_some() && support == MultiSupport::None {
        return Err(LoadError::NoUprobeMulti);
    }
    Ok(support)
}

/// Creates the maps with aya and loads the programs without it.
fn load_for_multi(ring_bytes: u32, support: MultiSupport) -> Result<Loaded, LoadError> {
    let mut object = Object::parse(OBJECT)?;
    let mut maps = Maps::new();
    let mut fds = HashMap::new();
    for (name, definition) in object.maps(ring_bytes) {
        let constants = object::is_constants(&name).then(|| definition.data().to_vec());
        let map = MapData::create(definition, &name, None).map_err(not_permitted_or)?;
        if let Some(constants) = constants {
            set_constants(&map, &constants)?;
        }
        fds.insert(name.clone(), map.fd().as_fd().as_raw_fd());
        maps.insert(name, Map::from_map_data(map)?);
    }
    object.relocate(&fds)?;
    let mut programs = HashMap::new();
    for kind in Kind::ALL {
        let (instructions, licence) = object.program(kind)?;
        let name = object::program_name(kind);
        let program = sys::load_for_uprobe_multi(name, instructions, &licence);
        programs.insert(kind, program.map_err(|refused| refusal(name, refused))?);
    }
    let diagnostics = Diagnostics::of_program(programs.values().next().map(AsFd::as_fd));
    Ok((maps, Programs::Multi { programs, filter_is_right: support == MultiSupport::Full }, diagnostics))
}

fn set_constants(map: &MapData, constants: &[u8]) -> Result<(), LoadError> {
    // SAFETY: the map was made for a section with just these contents.
    unsafe { sys::set_constants(map.fd().as_fd(), constants) }.map_err(|error| MapError::from(error).into())
}

fn refusal(program: &'static str, refused: Refused) -> LoadError {
    let Refused { error, log } = refused;
    if is_permission(&error) {
        return LoadError::NotPermitted(Box::new(error));
    }
    LoadError::Program { program, source: error, verifier_log: log }
}

/// Creates the maps and loads the programs with aya.
fn load_for_perf(ring_bytes: u32) -> Result<Loaded, LoadError> {
    let loaded = EbpfLoader::new().map_max_entries(object::RING, ring_bytes).load(OBJECT);
    let mut ebpf = loaded.map_err(not_permitted_or)?;
    for kind in Kind::ALL {
        let program = object::program_name(kind);
        let refused = |source| LoadError::PerfProgram { program, source: Box::new(source) };
        let uprobe: &mut UProbe =
            ebpf.program_mut(program).ok_or(ObjectError::NoProgram(program))?.try_into().map_err(refused)?;
        uprobe.load().map_err(refused)?;
    }
    let diagnostics = Diagnostics::of_object(&mut ebpf);
    let names: Vec<String> = ebpf.maps().map(|(name, _)| name.to_owned()).collect();
    let maps = names.into_iter().filter_map(|name| ebpf.take_map(&name).map(|map| (name, map))).collect();
    Ok((maps, Programs::Perf(ebpf), diagnostics))
}

/// Tells a missing permission from everything else that can be wrong with maps.
fn not_permitted_or<E>(error: E) -> LoadError
where
    E: Into<LoadError> + std::error::Error + Send + Sync + 'static,
{
    if is_permission(&error) { LoadError::NotPermitted(Box::new(error)) } else { error.into() }
}

/// Whether `EPERM` is what an error comes from.
fn is_permission(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| {
        let os = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
        os == Some(libc::EPERM)
    })
}
