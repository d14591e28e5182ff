//! One target as the keeper has it.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use aya::maps::MapData;
use leaktrace_common::event::Kind;
use leaktrace_core::base::num::Ktime;
use leaktrace_core::trace::budget::{Kinds, LeaseEnd, LeaseMeter};

use super::Descriptors;
use super::wire::{Addition, Refused, Step, Wish};
use crate::kernel::attach::{AttachError, Backend, Place, Places};
use crate::kernel::detach::{Detacher, Pending};
use crate::kernel::drops::CounterMap;
use crate::kernel::errno;

/// A target, its links, and how long they may stay.
pub(super) struct Target {
    fixed: Arc<Fixed>,
    counters: CounterMap,
    links: BTreeMap<Kind, Vec<OwnedFd>>,
    lease: Option<(u32, LeaseMeter)>,
    /// Whether kinds are being attached.
    is_attaching: bool,
    /// What is to be done when that is over.
    next: Option<Wish>,
    pending: Arc<Pending>,
    /// The number of the lease of which it is to be told when what it does not lease is gone.
    pub(super) awaited: Option<u32>,
    pub(super) is_removed: bool,
}

/// What never changes.
pub(super) struct Fixed {
    exe: File,
    pid: u32,
    backend: Backend,
    kinds: BTreeMap<Kind, (OwnedFd, Vec<Place>)>,
}

/// Links that are to be made.
pub(super) struct Wanted {
    pub(super) fixed: Arc<Fixed>,
    pub(super) sequence: u32,
    pub(super) kinds: Kinds,
}

/// Links that were made, or why they were not.
pub(super) type Made = Result<BTreeMap<Kind, Vec<OwnedFd>>, Refused>;

/// What a lease leads to.
pub(super) enum Next {
    /// Its kinds are there already.
    Leased,
    /// Some are to be attached first.
    Attach(Wanted),
    /// It waits until others are attached.
    Later,
}

impl Target {
    /// With what came beside the message. What came is less if there is no room for it, and then it is an error number.
    pub(super) fn new(addition: Addition, descriptors: Vec<OwnedFd>) -> Result<Self, i32> {
        let Descriptors { exe, counters, programs } = Descriptors::of(descriptors).ok_or(libc::EMFILE)?;
        if programs.len() != addition.kinds.len() {
            return Err(libc::EMFILE);
        }
        let counters =
            MapData::from_fd(counters).and_then(CounterMap::new).map_err(|error| errno_of(&error))?;
        let kinds = addition.kinds.into_iter().zip(programs);
        let kinds = kinds.map(|((kind, places), program)| (kind, (program, places)));
        let fixed = Fixed { exe, pid: addition.pid, backend: addition.backend, kinds: kinds.collect() };
        Ok(Self {
            fixed: Arc::new(fixed),
            counters,
            links: BTreeMap::new(),
            lease: None,
            is_attaching: false,
            next: None,
            pending: Arc::default(),
            awaited: None,
            is_removed: false,
        })
    }

    /// The kinds that are attached.
    pub(super) fn kinds(&self) -> Kinds {
        self.links.keys().copied().collect()
    }

    /// When its lease is to be looked at.
    pub(super) fn due(&self) -> Option<Ktime> {
        self.lease.as_ref().map(|(_, meter)| meter.due())
    }

    /// Whether anything is being attached or detached.
    pub(super) fn is_changing(&self) -> bool {
        self.is_attaching || !self.pending.is_done()
    }

    /// Grants a lease.
    pub(super) fn grant(&mut self, now: Ktime, wish: Wish, detacher: &Detacher) -> Next {
        if self.is_attaching {
            if wish.lease.kinds.is_empty() {
                self.lease = None;
            }
            self.next = Some(wish);
            return Next::Later;
        }
        let Wish { sequence, lease, hits, .. } = wish;
        let unwanted = self.links.extract_if(.., |kind, _| !lease.kinds.contains(*kind));
        detacher.let_go(unwanted.flat_map(|(_, links)| links), &self.pending);
        let meter = match &self.lease {
            Some((_, before)) if before.kinds() == lease.kinds => {
                LeaseMeter::renewed(before, lease, now, hits)
            }
            _ => LeaseMeter::new(lease, now, hits),
        };
        self.lease = (!lease.kinds.is_empty()).then_some((sequence, meter));
        let has = self.kinds();
        let missing =
            self.fixed.kinds.keys().filter(|kind| lease.kinds.contains(**kind) && !has.contains(**kind));
        let missing: Kinds = missing.copied().collect();
        if missing.is_empty() {
            return Next::Leased;
        }
        self.is_attaching = true;
        Next::Attach(Wanted { fixed: Arc::clone(&self.fixed), sequence, kinds: missing })
    }

    /// Takes over links that were made; those that come too late are let go of. What waited for that comes back.
    pub(super) fn attached(&mut self, made: Made, detacher: &Detacher) -> (Option<Refused>, Option<Wish>) {
        self.is_attaching = false;
        let refused = match made {
            Ok(links) if self.lease.is_some() && !self.is_removed => {
                self.links.extend(links);
                None
            }
            Ok(links) => {
                detacher.let_go(links.into_values().flatten(), &self.pending);
                None
            }
            Err(refused) => Some(refused),
        };
        let next = self.next.take();
        if next.is_some() {
            // Nothing was hit while they were being attached, so nothing is known of what the target does.
            self.lease = None;
        }
        (refused, next)
    }

    /// Looks at its lease; if that is over, its probes go.
    pub(super) fn look(&mut self, now: Ktime, detacher: &Detacher) -> Option<(u32, LeaseEnd)> {
        let (sequence, meter) = self.lease.as_mut()?;
        // Counters that cannot be read allow nothing.
        let hits = self.counters.hits_of(meter.kinds()).unwrap_or([u64::MAX; Kind::ALL.len()]);
        let (sequence, end) = (*sequence, meter.look(now, hits)?);
        self.let_go(detacher);
        Some((sequence, end))
    }

    /// Takes all probes away for good; that it is done is told as of no lease.
    pub(super) fn remove(&mut self, detacher: &Detacher) {
        self.let_go(detacher);
        (self.next, self.is_removed, self.awaited) = (None, true, Some(0));
    }

    /// Takes all probes away.
    pub(super) fn let_go(&mut self, detacher: &Detacher) {
        self.lease = None;
        let links = std::mem::take(&mut self.links);
        detacher.let_go(links.into_values().flatten(), &self.pending);
    }
}

impl Wanted {
    /// Attaches all, or nothing.
    pub(super) fn attach(&self) -> Made {
        let of_kind = |kind: Kind| {
            let (program, places) = &self.fixed.kinds[&kind];
            let Fixed { exe, pid, backend, .. } = &*self.fixed;
            let places = Places { kind, exe, pid: *pid, all: places };
            Ok((kind, places.link(*backend, program.as_fd()).map_err(|error| refused(&error))?))
        };
        self.kinds.iter().map(of_kind).collect()
    }
}

fn refused(error: &AttachError) -> Refused {
    let step = match *error {
        AttachError::Perf { kind, offset, .. } => Step::Perf(kind, offset),
        AttachError::Multi { kind, .. } => Step::Multi(kind),
        AttachError::Thread(_) => Step::Thread,
        AttachError::Taking(_)
        | AttachError::Exe(_)
        | AttachError::Load(_)
        | AttachError::UnknownTarget(_)
        | AttachError::Keeper(_)
        | AttachError::Late(_)
        | AttachError::Wait(_)
        | AttachError::NoFilter => Step::Target,
    };
    Refused { step, errno: errno_of(error) }
}

/// The number of the error that the system gave.
fn errno_of(error: &(dyn Error + 'static)) -> i32 {
    errno(error).unwrap_or(libc::EINVAL)
}
