//! What the server asks of whoever knows the processes.

use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;

use hyper::body::Bytes;
use leaktrace_core::schema::{BlackBoxName, Level, MetricFamily, Node, ProcessId, Report};

/// A dump on its way.
pub type Dumped = Pin<Box<dyn Future<Output = Result<Bytes, Refusal>> + Send>>;

/// What is known on its way to be told.
pub type News = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Who knows the processes. Nothing here may wait, but for what it returns: everybody is answered by one thread.
pub trait Answers: Send + Sync + 'static {
    /// Has what is known told anew, if it was not within the last second, or longer ago where that costs more. It is waited for
    /// that a moment at most.
    fn news(&self) -> News;

    /// All processes, as of the last news. As long as nothing has changed, it is the same `Arc`.
    fn node(&self) -> Arc<Node>;

    /// All metrics, as of the last news. As long as nothing has changed, it is the same `Arc`.
    fn metrics(&self) -> Arc<Vec<MetricFamily>>;

    /// Takes a dump of a process. Who asked may go away before it is there, and then drops this.
    fn goroutines(&self, id: ProcessId, wish: Wish) -> Dumped;

    /// Makes one profile of all processes. The same holds for who asked.
    fn node_profile(&self) -> Dumped;

    /// Has a process watched more closely for a time, and answers as soon as that is begun.
    fn watch(&self, id: ProcessId, wish: LevelWish) -> Dumped;

    /// What the last study of a process has reported, if there was one.
    fn report(&self, id: ProcessId) -> Option<Arc<Report>>;

    /// Reads a part of an entry of the black box.
    fn black_box(&self, name: BlackBoxName, part: BlackBoxPart) -> Dumped;

    /// Whether all is well.
    fn health(&self) -> Health;
}

/// What there is of an entry of the black box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlackBoxPart {
    /// What is known, as JSON.
    Event,
    /// All goroutines at last, as a file for `leaktrace report`.
    Snapshot,
}

/// A dump that somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Of which goroutines.
    pub kind: ProfileKind,
    /// In which of Go's formats: 0 is a compressed profile, 1 text by stack, 2 text by goroutine.
    pub debug: u8,
    /// For how many seconds it is watched how they change, at most [`Wish::MAX_SECONDS`]; only where `debug` is 0.
    pub seconds: Option<u32>,
    /// Whether goroutines keep the labels that their program has given them; only where it is a compressed profile may they
    /// lose them.
    pub has_labels: bool,
}

impl Wish {
    /// The longest time over which changes are watched.
    pub const MAX_SECONDS: u32 = 300;

    /// Beyond so many goroutines no dump is taken: it would take the agent more memory than it may have.
    pub const MOST_GOROUTINES: u64 = 140_000;

    /// A profile of all goroutines as they are.
    pub const PROFILE: Self =
        Self { kind: ProfileKind::Goroutine, debug: 0, seconds: None, has_labels: true };

    /// The same for somebody else's eyes: the program's own labels may be as many as there are requests.
    pub const WITHOUT_LABELS: Self = Self { has_labels: false, ..Self::PROFILE };
}

/// How closely somebody wants a process to be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelWish {
    /// [`Level::Lives`] or [`Level::All`]: the agent decides itself on the others.
    pub level: Level,
    /// For how many seconds, within [`LevelWish::SECONDS`].
    pub seconds: u32,
}

impl LevelWish {
    /// The shortest and the longest time: the first seconds are those of finding out what probes cost here.
    pub const SECONDS: RangeInclusive<u32> = 5..=3_600;
}

/// Goroutines that go together into one profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProfileKind {
    /// All.
    Goroutine,
    /// Those that nothing can wake up any more.
    GoroutineLeak,
}

impl ProfileKind {
    /// What Go calls the profile.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Goroutine => "goroutine",
            Self::GoroutineLeak => "goroutineleak",
        }
    }
}

/// Why there is no dump, or a process is not watched more closely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such process.
    NoProcess,
    /// Too many are asked for already.
    Busy,
    /// One over some seconds is under way, of the same process or of as many others as there may be; of a study, of the same one.
    UnderWay,
    /// Whoever started the agent has not allowed it.
    NotEnabled,
    /// The agent cannot do that, as this says why.
    Unsupported(&'static str),
    /// It was tried, and failed as this says.
    Failed(String),
}

/// Whether all is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether the agent works at all.
    pub is_alive: bool,
    /// Whether what it says is complete.
    pub is_ready: bool,
}
