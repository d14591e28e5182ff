//! A watched process in a few words: events are written as the probes write them, and decoded as the ring's are.

use leaktrace_common::event::{Kind, StackState};
use leaktrace_core::base::num::{Goid, Ktime};
use leaktrace_core::go::goroutines::Goroutine;
use leaktrace_core::go::names::Status;
use leaktrace_core::trace::decode::decode;
use leaktrace_core::trace::registry::{Counts, Origin, Reconciled, Registry, Tracked};

pub(crate) use crate::records::{SITE, goroutine, record, snapshot};

/// A birth record of a goroutine of `site`, with its creator's stack.
pub(crate) fn birth_record(at: u64, goid: u64, site: u64, creators: &[u64]) -> Vec<u8> {
    let state = if creators.is_empty() { StackState::NotSampled } else { StackState::Complete };
    let len = creators.len() as u64;
    let mut rest = vec![1, site, site + 0x100, len | u64::from(state as u32) << 32];
    rest.extend(creators);
    record(Kind::Birth, at, goid, &rest)
}

/// A registry and the time of the next event.
pub(crate) struct Watch {
    pub(crate) registry: Registry,
    now: u64,
}

impl Watch {
    pub(crate) fn attached_at(now: u64) -> Self {
        Self { registry: Registry::new(Ktime(now)), now }
    }

    /// What follows happens at `now`, which may be in the past of what came before.
    pub(crate) fn at(&mut self, now: u64) -> &mut Self {
        self.now = now;
        self
    }

    pub(crate) fn birth(&mut self, goid: u64) -> &mut Self {
        self.birth_from(goid, SITE)
    }

    pub(crate) fn birth_from(&mut self, goid: u64, site: u64) -> &mut Self {
        self.feed(&birth_record(self.now, goid, site, &[]))
    }

    /// Goroutine `creator` comes to the `go` statement of [`SITE`], which has a probe, by way of `caller`.
    pub(crate) fn site(&mut self, creator: u64, caller: u64) -> &mut Self {
        let mut record = birth_record(self.now, creator, SITE, &[SITE, caller]);
        record[..4].copy_from_slice(&(Kind::Site as u32).to_ne_bytes());
        self.feed(&record)
    }

    pub(crate) fn end(&mut self, goid: u64) -> &mut Self {
        self.feed(&record(Kind::End, self.now, goid, &[]))
    }

    pub(crate) fn park(&mut self, goid: u64, reason: u8) -> &mut Self {
        self.feed(&record(Kind::Park, self.now, goid, &[u64::from(reason)]))
    }

    pub(crate) fn ready(&mut self, goid: u64) -> &mut Self {
        self.feed(&record(Kind::Ready, self.now, goid, &[1]))
    }

    #[track_caller]
    pub(crate) fn feed(&mut self, record: &[u8]) -> &mut Self {
        self.registry.apply(&decode(record).expect("tests write whole records"));
        self
    }

    /// A snapshot that is taken and taken in within the same moment.
    pub(crate) fn snapshot(&mut self, goroutines: Vec<Goroutine>) -> Reconciled {
        self.registry.expect_snapshot();
        self.registry.reconcile(&snapshot(self.now, self.now, goroutines))
    }

    #[track_caller]
    pub(crate) fn expect(&self, goid: u64) -> Expected {
        let found = self.registry.get(Goid(goid));
        Expected(found.unwrap_or_else(|| panic!("goroutine {goid} is not known")))
    }

    #[track_caller]
    pub(crate) fn expect_gone(&self, goid: u64) -> &Self {
        assert_eq!(self.registry.get(Goid(goid)), None);
        self
    }

    /// The counters, after a look at whether they agree with what is alive.
    #[track_caller]
    pub(crate) fn counts(&self) -> Counts {
        let counts = self.registry.counts();
        let live = self.registry.live() as u64;
        assert_eq!(counts.before_attach + counts.born - counts.ended, live, "{counts:?}");
        assert_eq!(self.registry.sites().map(|(_, site)| site.live()).sum::<u64>(), live);
        counts
    }
}

/// What a test says about one goroutine.
pub(crate) struct Expected(Tracked);

impl Expected {
    #[track_caller]
    pub(crate) fn born_at(self, at: u64) -> Self {
        assert_eq!((self.0.born.at, self.0.born.or_earlier), (Ktime(at), false));
        self
    }

    #[track_caller]
    pub(crate) fn born_at_or_before(self, at: u64) -> Self {
        assert_eq!((self.0.born.at, self.0.born.or_earlier), (Ktime(at), true));
        self
    }

    #[track_caller]
    pub(crate) fn origin(self, origin: Origin) -> Self {
        assert_eq!(self.0.origin, origin);
        self
    }

    #[track_caller]
    pub(crate) fn waits(self, reason: u8, since: Option<u64>) -> Self {
        assert!(self.0.status.is_waiting(), "{:?}", self.0);
        assert_eq!((self.0.wait_reason, self.0.waiting.map(|since| since.at.0)), (reason, since));
        self
    }

    #[track_caller]
    pub(crate) fn is(self, status: Status) -> Self {
        assert_eq!(self.0.status, status);
        self
    }
}
