//! What the threads of a job are reading at this moment.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use leaktrace_core::base::memory::Span;

use super::lock;
use crate::process::memory::State;

thread_local! {
    /// The calling thread, if it belongs to a job.
    static OWN: RefCell<Option<Own>> = const { RefCell::new(None) };
}

struct Own {
    party: Party,
    member: Arc<Member>,
}

/// The threads of one job. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Party {
    members: Arc<Mutex<Vec<Arc<Member>>>>,
}

/// A thread of a job.
#[derive(Debug)]
pub(super) struct Member {
    /// Its folder in procfs, as the mounted one counts processes.
    pub(super) folder: PathBuf,
    /// Odd while it reads something. Each read has numbers of its own.
    serial: AtomicU64,
    now: Mutex<Now>,
}

/// What is read: valid while the serial number is odd.
#[derive(Clone, Debug, Default)]
pub(crate) struct Now {
    /// Whose memory, if it is that.
    pub(crate) memory: Option<Arc<State>>,
    /// Which parts of it.
    pub(crate) spans: Vec<Span>,
    /// Which file, if it is one.
    pub(crate) file: Option<PathBuf>,
}

impl Party {
    /// That of the job on whose thread this is called.
    pub fn current() -> Option<Self> {
        OWN.with_borrow(|own| own.as_ref().map(|own| own.party.clone()))
    }

    /// The calling thread belongs to the job until the answer is dropped, so that the job is given up also if this thread
    /// gets stuck.
    #[must_use]
    pub fn join(&self) -> impl Drop + use<> {
        let member = Arc::new(Member::calling());
        lock(&self.members).push(Arc::clone(&member));
        let before = OWN.replace(Some(Own { party: self.clone(), member: Arc::clone(&member) }));
        Membership { member, party: Arc::downgrade(&self.members), before }
    }

    /// Its threads.
    pub(super) fn members(&self) -> Vec<Arc<Member>> {
        lock(&self.members).clone()
    }

    /// What knows the party for as long as it has threads.
    pub(super) fn downgrade(&self) -> Watched {
        Watched(Arc::downgrade(&self.members))
    }
}

/// A party that may be gone.
#[derive(Debug)]
pub(super) struct Watched(Weak<Mutex<Vec<Arc<Member>>>>);

impl Watched {
    pub(super) fn upgrade(&self) -> Option<Party> {
        self.0.upgrade().map(|members| Party { members })
    }
}

struct Membership {
    member: Arc<Member>,
    party: Weak<Mutex<Vec<Arc<Member>>>>,
    before: Option<Own>,
}

impl Drop for Membership {
    fn drop(&mut self) {
        OWN.set(self.before.take());
        if let Some(members) = self.party.upgrade() {
            lock(&members).retain(|member| !Arc::ptr_eq(member, &self.member));
        }
    }
}

impl Member {
    fn calling() -> Self {
        let link = std::fs::read_link("/proc/thread-self").unwrap_or_else(|_| "thread-self".into());
        Self { folder: Path::new("/proc").join(link), serial: AtomicU64::new(0), now: Mutex::default() }
    }

    /// Which read it is in: the same number twice is the same read. `None` if it is in none.
    pub(super) fn read_under_way(&self) -> Option<u64> {
        Some(self.serial.load(Ordering::Acquire)).filter(|serial| serial % 2 == 1)
    }

    /// What it reads, if it is still in that read.
    pub(super) fn now(&self, read: Option<u64>) -> Now {
        let now = lock(&self.now).clone();
        if read.is_some() && self.read_under_way() == read { now } else { Now::default() }
    }
}

/// What a read is of.
pub(crate) enum Under<'r> {
    /// Parts of a process's memory.
    Memory(&'r Arc<State>, &'r [Span]),
    /// A file that may take for ever.
    File(&'r Path),
}

/// One read that may not return lasts until this is dropped, on the same thread.
pub(crate) struct Reading(Option<Arc<Member>>);

impl Reading {
    /// Notes it for whoever watches the job of the calling thread, if it belongs to one.
    pub(crate) fn begin(what: &Under<'_>) -> Self {
        let member = OWN.with_borrow(|own| own.as_ref().map(|own| Arc::clone(&own.member)));
        if let Some(member) = &member {
            let mut now = lock(&member.now);
            now.spans.clear();
            match what {
                Under::Memory(state, spans) => {
                    now.spans.extend_from_slice(spans);
                    if !now.memory.as_ref().is_some_and(|known| Arc::ptr_eq(known, state)) {
                        now.memory = Some(Arc::clone(state));
                    }
                    now.file = None;
                }
                Under::File(path) => {
                    now.memory = None;
                    now.file = Some(path.to_path_buf());
                }
            }
            drop(now);
            member.serial.fetch_add(1, Ordering::AcqRel);
        }
        Self(member)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(member) = &self.0 {
            member.serial.fetch_add(1, Ordering::AcqRel);
        }
    }
}
