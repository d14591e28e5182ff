//! Everything that is traced: whose programs are attached where, and who has something to say.
//!
//! Each target has its own programs, ring, counters, control and sampling of stacks, so that none can take another's.
//! What is shared is held once: the parsed object, what the kernel can, what a hit costs here, and the process that holds
//! the probes.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use aya::maps::MapError;
use leaktrace_common::event::Kind;
use leaktrace_common::layout::Control;
use leaktrace_core::trace::budget::{Kinds, Lease};
use rustix::event::epoll;

use super::attach::{AttachError, Backend, Tracee};
use super::cost::{self, CostError, CostPerHit};
use super::drops::{Counters, Mishap};
use super::keeper::{Keeper, KeeperEvent, Reply, refusal};
use super::load::{LoadError, Loaded, Loader, TargetOptions};
use super::ring::Drained;
use super::sys;

/// The number of a target: its records have it in their header. No other target ever has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(u32);

impl TargetId {
    pub(super) const fn new(number: u32) -> Self {
        Self(number)
    }

    /// What [`leaktrace_common::event::Header::target`] says.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How to trace at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct HubOptions {
    /// The way to attach, or `None` for the best that this kernel has.
    pub backend: Option<Backend>,
}

/// All targets. Dropping it detaches everything, and waits until that is done: with its keeper.
pub struct Hub {
    loader: Arc<Loader>,
    targets: BTreeMap<TargetId, TracedProcess>,
    keeper: Keeper,
    /// Readable when one of the rings is.
    rings: OwnedFd,
    /// Which target comes first in the next round.
    first: TargetId,
    cost: Option<CostPerHit>,
}

/// One process.
struct TracedProcess {
    loaded: Loaded,
    /// The kinds that are attached as far as we know, and the lease of which some that it does not have may be left.
    kinds: Kinds,
    detaching: Option<u32>,
    /// The link by which its execs are watched.
    #[expect(dead_code, reason = "only held")]
    exec: Option<OwnedFd>,
    /// The kinds of event of which a mishap was told.
    told: Kinds,
}

impl Hub {
    /// Parses the programs and asks what the kernel can; loads and creates nothing.
    pub fn new(options: HubOptions) -> Result<Self, LoadError> {
        let rings = epoll::create(epoll::CreateFlags::CLOEXEC);
        Ok(Self {
            loader: Arc::new(Loader::new(options)?),
            targets: BTreeMap::new(),
            keeper: Keeper::start().map_err(LoadError::System)?,
            rings: rings.map_err(|error| LoadError::System(error.into()))?,
            first: TargetId(0),
            cost: None,
        })
    }

    /// How programs are attached.
    pub fn backend(&self) -> Backend {
        self.loader.backend()
    }

    /// What a hit costs on this machine: measured when it is first asked, in some milliseconds, and then kept.
    pub fn cost(&mut self) -> Result<CostPerHit, CostError> {
        if let Some(known) = self.cost {
            return Ok(known);
        }
        let measured = cost::measure(self)?;
        self.cost = Some(measured);
        Ok(measured)
    }

    /// What loads programs, for another thread.
    pub(crate) fn loader(&self) -> Arc<Loader> {
        Arc::clone(&self.loader)
    }

    /// Loads the programs of a process. Attaches none of them.
    pub fn add(&mut self, tracee: &Tracee<'_>, options: &TargetOptions) -> Result<TargetId, AttachError> {
        self.adopt(self.loader.load(tracee, options)?)
    }

    /// Takes over what was loaded by this hub's [loader](Self::loader).
    pub(crate) fn adopt(&mut self, loaded: Loaded) -> Result<TargetId, AttachError> {
        let id = loaded.id;
        let data = epoll::EventData::new_u64(id.0.into());
        epoll::add(&self.rings, &loaded.programs.maps.ring, data, epoll::EventFlags::IN)
            .map_err(|error| AttachError::Wait(error.into()))?;
        let pid = self.loader.filtered(loaded.pid);
        self.keeper.add(&loaded, pid, self.loader.backend())?;
        let exec = loaded.programs.exec.as_ref().and_then(|program| watch_execs(program.as_fd()));
        let target = TracedProcess { loaded, kinds: Kinds::NONE, detaching: None, exec, told: Kinds::NONE };
        self.targets.insert(id, target);
        Ok(id)
    }

    /// Lets probes of a process stay for a while; what that allows is spent by hits beyond `hits`. [`KeeperEvent`]s tell
    /// what comes of it.
    pub fn lease(
        &mut self,
        id: TargetId,
        lease: Lease,
        hits: [u64; Kind::ALL.len()],
    ) -> Result<(), AttachError> {
        let is_awaited = lease.kinds.is_empty();
        self.send_lease(id, lease, hits, is_awaited).map(drop)
    }

    /// What has become of leases, if anything has since this was last asked.
    pub fn next_event(&mut self) -> Result<Option<KeeperEvent>, AttachError> {
        loop {
            let Some(reply) = self.keeper.hear().map_err(AttachError::Keeper)? else { return Ok(None) };
            if let Some(event) = self.heard(reply) {
                return Ok(Some(event));
            }
        }
    }

    /// Sees to it that the holder of the probes is not stopped while there are any. To be called some times a second.
    pub fn watch_keeper(&mut self) -> Result<(), AttachError> {
        let has_probes = |target: &TracedProcess| !target.kinds.is_empty() || target.detaching.is_some();
        let has_any = self.targets.values().any(has_probes);
        self.keeper.watch(has_any).map_err(AttachError::Keeper)
    }

    /// Becomes readable when there is something to be asked for.
    pub fn keeper(&self) -> BorrowedFd<'_> {
        self.keeper.as_fd()
    }

    /// Attaches the kinds that are missing, of those that the process has places for, and lets go of all others in the
    /// background. They stay until this is called again. If one is refused, none is attached that was not before.
    pub fn set_kinds(&mut self, id: TargetId, kinds: Kinds) -> Result<(), AttachError> {
        let sent = self.send_lease(id, Lease::without_end(kinds), [0; Kind::ALL.len()], true)?;
        let is_it = |reply: &Reply| matches!(reply, Reply::Leased { sequence, .. } if *sequence == sent);
        let reply = self.keeper.await_reply(is_it).map_err(AttachError::Keeper)?;
        match self.heard(reply) {
            Some(KeeperEvent::Leased { refused: Some(refused), .. }) => Err(refused),
            _ => Ok(()),
        }
    }

    fn send_lease(
        &mut self,
        id: TargetId,
        lease: Lease,
        hits: [u64; Kind::ALL.len()],
        is_awaited: bool,
    ) -> Result<u32, AttachError> {
        let target = self.targets.get_mut(&id).ok_or(AttachError::UnknownTarget(id))?;
        let sent = self.keeper.lease(id, lease, hits, is_awaited).map_err(AttachError::Keeper)?;
        if is_awaited {
            target.detaching = Some(sent);
        }
        Ok(sent)
    }

    fn heard(&mut self, reply: Reply) -> Option<KeeperEvent> {
        match reply {
            Reply::Leased { target, at, kinds, refused, .. } => {
                let id = TargetId(target);
                self.targets.get_mut(&id)?.kinds = kinds;
                Some(KeeperEvent::Leased { id, at, kinds, refused: refused.map(refusal) })
            }
            Reply::Ended { target, at, end, .. } => {
                let id = TargetId(target);
                self.targets.get_mut(&id)?.kinds = Kinds::NONE;
                Some(KeeperEvent::Ended { id, at, end })
            }
            Reply::Detached { target, sequence } => {
                let id = TargetId(target);
                self.targets.get_mut(&id)?.detaching.take_if(|awaited| *awaited == sequence)?;
                Some(KeeperEvent::Detached { id })
            }
        }
    }

    /// The kinds that are attached.
    pub fn kinds(&self, id: TargetId) -> Kinds {
        self.targets.get(&id).map_or(Kinds::NONE, |target| target.kinds)
    }

    /// Whether every probe of this target that was let go is gone, as far as we have heard.
    pub fn is_detached(&self, id: TargetId) -> bool {
        self.targets.get(&id).is_none_or(|target| target.detaching.is_none())
    }

    /// Waits until the kernel has taken away every probe of this target that was let go: tens of milliseconds.
    pub fn wait_until_detached(&mut self, id: TargetId) -> Result<(), AttachError> {
        if let Some(awaited) = self.targets.get(&id).and_then(|target| target.detaching) {
            let is_it =
                |reply: &Reply| matches!(reply, Reply::Detached { sequence, .. } if *sequence == awaited);
            let reply = self.keeper.await_reply(is_it).map_err(AttachError::Keeper)?;
            self.heard(reply);
        }
        Ok(())
    }

    /// Changes what the programs of one target do, from the next hit on.
    pub fn set_control(&mut self, id: TargetId, control: Control) -> Result<(), MapError> {
        match self.targets.get_mut(&id) {
            Some(target) => target.loaded.programs.maps.control.set(0, control, 0),
            None => Ok(()),
        }
    }

    /// What has been counted of one target since it was added.
    pub fn counters(&self, id: TargetId) -> Result<Counters, MapError> {
        self.targets
            .get(&id)
            .map_or(Ok(Counters::default()), |target| target.loaded.programs.maps.counters.read())
    }

    /// Processor time that the holder of the probes has used, as far as it has said: with each answer.
    pub fn keeper_cpu(&self) -> Duration {
        self.keeper.efforts().total()
    }

    /// What of it was for one target.
    pub fn keeper_cpu_for(&self, id: TargetId) -> Duration {
        self.keeper.efforts().of(id.0)
    }

    /// Whether the process has become another program since it was added. Nothing is recorded of it from then on.
    pub fn has_execed(&self, id: TargetId) -> bool {
        let execed = |target: &TracedProcess| {
            target.loaded.programs.maps.execed.get(&0, 0).is_ok_and(|execed| execed != 0)
        };
        self.targets.get(&id).is_some_and(execed)
    }

    /// Hands over at most `most` records of one target.
    ///
    /// A record is only as trustworthy as the target: decode it with `leaktrace_core::trace::decode`.
    pub fn drain(&mut self, id: TargetId, most: usize, each: impl FnMut(&[u8])) -> Drained {
        self.targets
            .get_mut(&id)
            .map_or_else(Drained::default, |target| target.loaded.programs.maps.ring.drain(id, most, each))
    }

    /// Hands over at most `most_each` records of every target, so that none takes the others' share of our time. Each
    /// round begins with another target.
    pub fn drain_all(&mut self, most_each: usize, mut each: impl FnMut(TargetId, &[u8])) -> Drained {
        let from = self.first;
        let later = self.targets.range(from..).map(|(id, _)| *id);
        let round: Vec<TargetId> = later.chain(self.targets.range(..from).map(|(id, _)| *id)).collect();
        self.first = round.get(1).copied().unwrap_or(TargetId(0));
        round
            .into_iter()
            .fold(Drained::default(), |all, id| all.and(self.drain(id, most_each, |record| each(id, record))))
    }

    /// What should never happen and did since this was last asked: once for each kind of event of a target. Takes some
    /// microseconds a target.
    pub fn mishaps(&mut self) -> Result<Vec<Mishap>, MapError> {
        let mut mishaps = Vec::new();
        for target in self.targets.values_mut() {
            let counters = target.loaded.programs.maps.counters.read()?;
            for mishap in counters.mishaps(target.loaded.pid) {
                if !target.told.contains(mishap.kind) {
                    target.told = target.told.with(mishap.kind);
                    mishaps.push(mishap);
                }
            }
        }
        Ok(mishaps)
    }

    /// Detaches everything from a process, in the background, and forgets it with all that was recorded and counted.
    pub fn remove(&mut self, id: TargetId) {
        if let Some(target) = self.targets.remove(&id) {
            // It is closed with the ring anyway.
            let _: rustix::io::Result<()> = epoll::delete(&self.rings, &target.loaded.programs.maps.ring);
            // A keeper that does not hear this has ended, and its probes with it.
            let _: io::Result<()> = self.keeper.remove(id);
        }
    }

    /// All that are traced.
    pub fn targets(&self) -> impl Iterator<Item = TargetId> {
        self.targets.keys().copied()
    }
}

/// Becomes readable whenever the ring of any target fills beyond its
/// [`Control::wakeup_bytes`](leaktrace_common::layout::Control::wakeup_bytes), and stays so while anything waits: to be
/// waited for *edge-triggered*, and drained on a timer too.
impl AsFd for Hub {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.rings.as_fd()
    }
}

/// Without it an exec is still noticed, only a little later.
fn watch_execs(program: BorrowedFd<'_>) -> Option<OwnedFd> {
    let watch = sys::attach_raw_tracepoint(program, c"sched_process_exec");
    watch.inspect_err(|error| tracing::warn!(%error, "cannot watch the target for an exec")).ok()
}
