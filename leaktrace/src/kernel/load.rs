//! Creates the maps of a target and loads its programs.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use aya::maps::{Array, Map, MapData, MapError, RingBuf};
use aya::util::nr_cpus;
use leaktrace_common::event::Kind;
use leaktrace_common::layout::{Constants, Control, IN_COOKIE};
use thiserror::Error;

use super::again::again;
use super::attach::{AttachError, Backend, ProbeSite, Tracee, by_kind};
use super::drops::CounterMap;
use super::errno;
use super::features::{self, in_initial_pid_namespace};
use super::hub::{HubOptions, TargetId};
use super::object::{Object, ObjectError, Program};
use super::ring::Ring;
use super::sys::{self, MultiSupport, Refused};
use crate::privilege::raised;

/// The maps and sections of the object that are not like any other.
const RING: &str = "EVENTS";
const SITES: &str = "SITES";
const COUNTERS: &str = "COUNTERS";
const CONSTANTS: &str = ".rodata.target";
const CONTROL: &str = ".data.control";
const EXECED: &str = ".data.execed";

/// How to trace one process.
#[derive(Clone, Copy, Debug)]
pub struct TargetOptions {
    /// The size of its ring buffer: a power of two, whole pages.
    pub ring_bytes: u32,
    /// What its programs are to do until [`Hub::set_control`](super::Hub::set_control) says otherwise.
    pub control: Control,
}

impl TargetOptions {
    /// The stacks of the first 16 births of each site and as many more as are [earned](leaktrace_core::trace::budget), then
    /// of every 64th; a wake-up when a quarter of this ring is full.
    pub const fn with_ring_bytes(ring_bytes: u32) -> Self {
        let wakeup_bytes = ring_bytes / 4;
        let control = Control { stacks_per_site: 16, stack_sample_mask: 63, wakeup_bytes, wakers: 0 };
        Self { ring_bytes, control }
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
    /// A map cannot be created, or does not take what we write.
    #[error("cannot create the eBPF maps")]
    Map(#[from] MapError),
    /// The kernel refuses a program.
    #[error("the kernel rejected the program {program}: {source}")]
    Program {
        /// Which one.
        program: &'static str,
        /// The system's error.
        source: std::io::Error,
        /// What the verifier said; long.
        verifier_log: String,
    },
    /// Counters are kept for each CPU, and nothing says how many there may be.
    #[error("cannot read {} (is /sys mounted?)", features::POSSIBLE_CPUS)]
    NoCpus(#[source] std::io::Error),
    /// Something else of the system that is needed is missing.
    #[error("cannot prepare for loading eBPF programs")]
    System(#[source] std::io::Error),
    /// `uprobe_multi` was asked for and the kernel has none that works.
    #[error("this kernel has no working uprobe_multi")]
    NoUprobeMulti,
}

/// Loads the programs of any number of processes, on any thread. What they share is here: the parsed object, and what
/// the kernel can.
pub struct Loader {
    object: Object,
    support: MultiSupport,
    /// How many `go` statements of a process are counted apart.
    sites: u32,
    next: AtomicU32,
}

/// The programs of one process, loaded and attached to nothing; see `Hub::adopt`.
pub struct Loaded {
    pub(super) id: TargetId,
    pub(super) pid: u32,
    /// Held open, so that the path stays valid whatever becomes of the process.
    pub(super) exe: File,
    pub(super) sites: BTreeMap<Kind, Vec<ProbeSite>>,
    pub(super) programs: Programs,
}

/// Loaded programs, and their maps.
pub(super) struct Programs {
    pub(super) by_kind: BTreeMap<Kind, OwnedFd>,
    /// Where we know the process by the number that the kernel knows it by.
    pub(super) exec: Option<OwnedFd>,
    pub(super) maps: TargetMaps,
}

/// The maps that we use too.
pub(super) struct TargetMaps {
    pub(super) ring: Ring,
    pub(super) control: Array<MapData, Control>,
    pub(super) execed: Array<MapData, u32>,
    pub(super) counters: CounterMap,
}

impl Loader {
    /// Parses the object and asks what the kernel can.
    pub(super) fn new(options: HubOptions) -> Result<Self, LoadError> {
        Ok(Self {
            object: Object::ours()?,
            support: choose(options.backend)?,
            sites: site_entries(nr_cpus().map_err(|(_, error)| LoadError::NoCpus(error))?),
            next: AtomicU32::new(0),
        })
    }

    /// How programs are attached.
    pub const fn backend(&self) -> Backend {
        match self.support {
            MultiSupport::None => Backend::PerfEvent,
            MultiSupport::Full | MultiSupport::ThreadFilter => Backend::UprobeMulti,
        }
    }

    /// The process that the kernel's filter lets through; 0 for all where it is not to be relied on.
    pub(super) fn filtered(&self, pid: u32) -> u32 {
        if self.support == MultiSupport::ThreadFilter { 0 } else { pid }
    }

    /// Creates the maps of a process and loads its programs, one for each kind of event that it has sites of.
    pub fn load(&self, tracee: &Tracee<'_>, options: &TargetOptions) -> Result<Loaded, AttachError> {
        let exe = tracee.exe.try_clone().map_err(AttachError::Exe)?;
        let sites = by_kind(tracee.sites);
        let tgid = in_initial_pid_namespace().then_some(tracee.pid);
        let id = TargetId::new(self.next.fetch_add(1, Ordering::Relaxed));
        let constants = Constants {
            layout: tracee.layout,
            target: id.number(),
            tgid: tgid.unwrap_or(0),
            checks_tgid: u32::from(self.checks_tgid(tgid)?),
            g_registers: Kind::ALL.map(|kind| register(sites.get(&kind).map_or(&[], Vec::as_slice))),
            reserved: [0; 3],
        };
        let kinds: Vec<Kind> = sites.keys().copied().collect();
        let mut programs = self.load_programs(&kinds, &constants, options).map_err(AttachError::Load)?;
        programs.exec = programs.exec.filter(|_| tgid.is_some());
        Ok(Loaded { id, pid: tracee.pid, exe, sites, programs })
    }

    /// Whether the programs have to tell the process from others at each hit; `tgid` is its number if that is known.
    /// Perf events pass what forks of it do.
    fn checks_tgid(&self, tgid: Option<u32>) -> Result<bool, AttachError> {
        match (self.support, tgid) {
            (MultiSupport::Full, _) | (MultiSupport::None, None) => Ok(false),
            (MultiSupport::ThreadFilter, None) => Err(AttachError::NoFilter),
            (MultiSupport::ThreadFilter | MultiSupport::None, Some(_)) => Ok(true),
        }
    }

    fn load_programs(
        &self,
        kinds: &[Kind],
        constants: &Constants,
        options: &TargetOptions,
    ) -> Result<Programs, LoadError> {
        let wanted: Vec<Program> =
            kinds.iter().map(|&kind| Program::Of(kind)).chain([Program::Exec]).collect();
        let maps =
            create_maps(&self.object, &wanted, (CONSTANTS, &constants.to_bytes()), |name, map| match name {
                RING => map.set_max_entries(options.ring_bytes),
                SITES => map.set_max_entries(self.sites),
                _ => {}
            })?;
        let fds = maps.iter().map(|(name, map)| (*name, map.fd().as_fd().as_raw_fd())).collect();
        let by_kind = kinds.iter().map(|&kind| Ok((kind, self.load_program(kind, &fds)?)));
        let by_kind = by_kind.collect::<Result<_, LoadError>>()?;
        // Without it an exec is still noticed, only a little later.
        let exec = load_tracepoint(&self.object, Program::Exec, &fds)
            .inspect_err(|error| tracing::warn!(%error, "cannot watch the target for an exec"))
            .ok();
        let mut maps = TargetMaps::of(maps)?;
        maps.control.set(0, options.control, 0)?;
        Ok(Programs { by_kind, exec, maps })
    }

    fn load_program(&self, kind: Kind, maps: &HashMap<&str, i32>) -> Result<OwnedFd, LoadError> {
        let program = Program::Of(kind);
        let (instructions, license) = self.object.program(program, maps)?;
        let name = program.name();
        let loaded = match self.backend() {
            Backend::UprobeMulti => sys::load_for_uprobe_multi(name, &instructions, license),
            Backend::PerfEvent => sys::load_for_perf_event(name, &instructions, license),
        };
        loaded.map_err(|refused| refusal(name, refused))
    }
}

/// Creates the maps of these programs, in the sizes that `fit` gives them; one of them is read-only data, with these bytes.
pub(super) fn create_maps<'o>(
    object: &'o Object,
    programs: &[Program],
    (constants, bytes): (&str, &[u8]),
    fit: impl Fn(&str, &mut aya_obj::Map),
) -> Result<HashMap<&'o str, MapData>, LoadError> {
    let mut maps = HashMap::new();
    for (name, definition) in object.maps(programs) {
        let mut definition = definition.clone();
        fit(name, &mut definition);
        let map = again(|| raised(|| MapData::create(definition.clone(), name, None)));
        let map = map.map_err(not_permitted_or)?;
        if name == constants {
            set_constants(&map, &definition, bytes)?;
        }
        maps.insert(name, map);
    }
    Ok(maps)
}

/// Loads a program that is attached to a tracepoint.
pub(super) fn load_tracepoint(
    object: &Object,
    program: Program,
    maps: &HashMap<&str, i32>,
) -> Result<OwnedFd, LoadError> {
    let (instructions, license) = object.program(program, maps)?;
    let name = program.name();
    sys::load_raw_tracepoint(name, &instructions, license).map_err(|refused| refusal(name, refused))
}

impl TargetMaps {
    fn of(mut maps: HashMap<&str, MapData>) -> Result<Self, LoadError> {
        let counters = maps.remove(COUNTERS).ok_or(ObjectError::NoMap(COUNTERS))?;
        let mut take = |name: &'static str| -> Result<Map, LoadError> {
            let map = maps.remove(name).ok_or(ObjectError::NoMap(name))?;
            Ok(Map::from_map_data(map)?)
        };
        Ok(Self {
            ring: Ring::new(RingBuf::try_from(take(RING)?)?),
            control: Array::try_from(take(CONTROL)?)?,
            execed: Array::try_from(take(EXECED)?)?,
            counters: CounterMap::new(counters)?,
        })
    }
}

/// The register that all sites of a kind have their `g` in, or that each says so for itself.
fn register(sites: &[ProbeSite]) -> u8 {
    let Some(first) = sites.first() else { return IN_COOKIE };
    if sites.iter().all(|site| site.g == first.g) { first.g as u8 } else { IN_COOKIE }
}

/// How many `go` statements are counted apart, on so many CPUs: each of them takes free entries for itself, 128 at a
/// time (`LOCAL_FREE_TARGET` in the kernel's `bpf_lru_list.c`), and none may be left without.
fn site_entries(cpus: usize) -> u32 {
    const ENTRIES_A_CPU: usize = 128;
    u32::try_from(cpus * ENTRIES_A_CPU).unwrap_or(u32::MAX).clamp(1024, 8192)
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

fn set_constants(map: &MapData, definition: &aya_obj::Map, bytes: &[u8]) -> Result<(), LoadError> {
    if definition.value_size() as usize != bytes.len() {
        return Err(LoadError::System(std::io::Error::other("the eBPF object has other constants")));
    }
    // SAFETY: the map has one value, which is as long as `bytes`, and keys of four bytes, as every section has.
    unsafe { sys::set_constants(map.fd().as_fd(), bytes) }.map_err(|error| MapError::from(error).into())
}

fn refusal(program: &'static str, refused: Refused) -> LoadError {
    let Refused { error, log } = refused;
    if is_permission(&error) {
        return LoadError::NotPermitted(Box::new(error));
    }
    LoadError::Program { program, source: error, verifier_log: log }
}

/// Tells a missing permission from everything else that can be wrong with maps.
fn not_permitted_or(error: MapError) -> LoadError {
    if is_permission(&error) { LoadError::NotPermitted(Box::new(error)) } else { error.into() }
}

/// Whether `EPERM` is what an error comes from.
fn is_permission(error: &(dyn std::error::Error + 'static)) -> bool {
    errno(error) == Some(libc::EPERM)
}

#[cfg(test)]
mod tests {
    use leaktrace_common::cookie::GRegister;
    use leaktrace_core::base::num::FileOffset;

    use super::*;

    #[test]
    fn sites_that_differ_in_register_say_so_themselves() {
        let site = |g| ProbeSite { kind: Kind::Birth, offset: FileOffset(0), g };
        assert_eq!(register(&[site(GRegister::Current); 2]), GRegister::Current as u8);
        assert_eq!(register(&[site(GRegister::Arg0), site(GRegister::Arg1)]), IN_COOKIE);
    }

    #[test]
    fn no_cpu_is_left_without_entries() {
        assert_eq!([2, 16, 1000].map(site_entries), [1024, 2048, 8192]);
    }
}
