//! What one snapshot shows, as far as rules care: who stands where, and on what.

use std::hash::Hash;
use std::sync::Arc;

use super::connections::Waited;
use super::everyone::Everyone;
use super::of_dump::ObservationBuilder;
use super::sample::{Sample, Weight};
use crate::base::hash::KeyedMap;
use crate::base::num::{Goid, Ktime};
use crate::go::goroutines::{Goroutine, Snapshot, StackTable};
use crate::go::traceback::innermost_own;
use crate::goroutines::Dump;
use crate::goroutines::model::{Channel, ChannelOperation, LockKind};
use crate::schema::{Frame, Location};

/// What a goroutine waits for, by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Wait {
    /// It does not wait: it runs, is about to, or is in a system call.
    Nothing,
    /// One channel.
    Channel(ChannelOperation),
    /// Several channels.
    Select,
    /// A timer: `time.Sleep`, or a channel or a select that a timer sends on.
    Time,
    /// A nil channel.
    NilChannel,
    /// `select {}`.
    NoCases,
    /// A lock, a group or a condition.
    Lock(LockKind),
    /// Input or output.
    Io,
    /// The other side of a coroutine: whoever calls the `next` of `iter.Pull`.
    Coroutine,
    /// Anything else, such as the end of a garbage collection.
    Other,
}

impl Wait {
    /// Whether only another goroutine can wake it: neither time nor the outside world do.
    pub(crate) const fn needs_goroutine(self) -> bool {
        match self {
            Self::Channel(_)
            | Self::Select
            | Self::NilChannel
            | Self::NoCases
            | Self::Lock(_)
            | Self::Coroutine => true,
            Self::Nothing | Self::Time | Self::Io | Self::Other => false,
        }
    }
}

/// What the goroutines of one cohort have in common: the `go` statement, what it started, and where they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The `go` statement.
    pub created_by: Location,
    /// The function that it started, where a whole stack shows it.
    pub start_function: Option<String>,
    /// What they wait for, in the runtime's words; their state if they do not wait.
    pub doing: String,
    /// The same by kind.
    pub wait: Wait,
    /// A stack that stands for all of theirs, innermost first, as Go's traceback shows it.
    pub stack: Vec<Frame>,
    /// Whether this is the main goroutine.
    pub is_main: bool,
}

impl Standing {
    /// The innermost frame that is not of the standard library, else the innermost.
    pub(crate) fn own_frame(&self) -> Option<&Frame> {
        innermost_own(&self.stack, |frame| frame.function.as_deref()).or_else(|| self.stack.first())
    }

    /// What tells it from others.
    pub fn key(&self) -> CohortKey {
        let own = self.own_frame();
        CohortKey {
            site: self.site_key(),
            doing: self.doing.clone(),
            innermost: self.stack.first().and_then(|frame| frame.function.clone()),
            place: own.map(|frame| (frame.function.clone(), frame.line)),
        }
    }

    /// The same as the [key](Self::key), to be hashed where it is only compared.
    pub(super) fn cohort_parts(&self) -> impl Hash {
        let innermost = self.stack.first().map(|frame| &frame.function);
        let place = self.own_frame().map(|frame| (&frame.function, frame.line));
        (self.site_parts(), &self.doing, innermost, place)
    }

    /// The same as the [key of its site](Self::site_key), to be hashed where it is only compared.
    pub(super) fn site_parts(&self) -> impl Hash {
        let Location { function, file, line, pc } = &self.created_by;
        (function, file, line, function.is_none().then_some(pc), self.is_main)
    }

    /// What tells its site from others.
    pub(crate) fn site_key(&self) -> SiteKey {
        let Location { function, file, line, pc } = &self.created_by;
        let place = if function.is_some() { None } else { Some(pc.clone()) };
        SiteKey {
            function: function.clone(),
            file: file.clone(),
            line: *line,
            pc: place,
            is_main: self.is_main,
        }
    }
}

/// A `go` statement, by name, so that it is the same in another run of the program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SiteKey {
    function: Option<String>,
    file: Option<String>,
    line: Option<u32>,
    pc: Option<String>,
    is_main: bool,
}

/// The goroutines of one site that stand at one place.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CohortKey {
    /// The site.
    pub site: SiteKey,
    doing: String,
    innermost: Option<String>,
    place: Option<(Option<String>, Option<u32>)>,
}

/// One goroutine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Its id.
    pub goid: Goid,
    /// Who started it, where that is known.
    pub parent: Option<Goid>,
    /// Where it stands: the index in [`Observation::standings`].
    pub standing: u32,
    /// The channel or lock that it waits for: its address; 0 if there is none, or more than one.
    pub object: u64,
    /// How often it left a CPU, modulo 256, where the runtime counts.
    pub moves: Option<u8>,
    /// For how long it has waited, as the runtime reckons it.
    pub waiting_ns: Option<u64>,
    /// The size of its stack.
    pub stack_bytes: u64,
    /// Whether the runtime itself has found it to be leaked.
    pub leaked: bool,
    /// Whether it is locked to its thread.
    pub locked: bool,
    /// What it stands for besides itself, where not all are looked at.
    pub weight: Weight,
}

/// A channel or a lock that somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// A channel.
    Channel(Channel),
    /// A lock, and how many wait for it.
    Lock {
        /// What it is.
        kind: LockKind,
        /// How many wait for it.
        waiters: u32,
    },
}

/// What one snapshot shows of the program's goroutines.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// When it was taken.
    pub at: Ktime,
    /// The places where goroutines stand.
    pub standings: Vec<Arc<Standing>>,
    /// The goroutines.
    pub sightings: Vec<Sighting>,
    /// The channels and locks, by address.
    pub objects: KeyedMap<u64, Object>,
    /// Whether a goroutine that is missing is gone.
    pub complete: bool,
    /// All goroutines, where `sightings` has only some of them.
    pub everyone: Option<Everyone>,
    /// The file descriptors that goroutines wait for.
    pub descriptors: Vec<(Goid, i32)>,
    /// What connections these are, as far as that is known.
    pub connections: Waited,
}

impl Observation {
    /// What `dump` shows; it was taken at `at`. With the `snapshot` that it was made from, goroutines are known to
    /// have kept still that were at the same place twice.
    pub fn of(dump: &Dump, snapshot: Option<&Snapshot>, at: Ktime) -> Self {
        Self::weighted(dump, snapshot.map_or(&[], |snapshot| &snapshot.goroutines), &[], at)
    }

    /// What `dump` shows, which was made of a sample of `all` at `at`; and the stacks of the sample, for whom they were
    /// moved from.
    pub fn of_sample(dump: &Dump, sample: Sample, all: &[Goroutine], at: Ktime) -> (Self, StackTable) {
        let Sample { snapshot, weights, places } = sample;
        let seen = Self::weighted(dump, &snapshot.goroutines, &weights, at);
        let everyone = Everyone::of(all, &places, &seen.standings, &seen.sightings);
        (Self { everyone: Some(everyone), ..seen }, snapshot.stacks)
    }

    fn weighted(dump: &Dump, raw: &[Goroutine], weights: &[Weight], at: Ktime) -> Self {
        let mut reader = ObservationBuilder::new(dump, at);
        let mut raw = raw.iter();
        let weights = weights.iter().copied().chain(std::iter::repeat(Weight::ONE));
        for (goroutine, weight) in dump.goroutines.iter().zip(weights) {
            let moves = raw.next().filter(|raw| raw.goid == goroutine.goid).and_then(|raw| raw.tracking_seq);
            if !goroutine.system {
                reader.add(goroutine, moves, weight);
            }
        }
        let completeness = &dump.completeness;
        reader.seen.complete = completeness.unreadable + completeness.beyond_limit == 0;
        reader.seen
    }
}

/// A place that nobody stands at.
#[cfg(test)]
pub(super) fn made_up() -> Standing {
    Standing {
        created_by: super::of_dump::nowhere(),
        start_function: None,
        doing: "chan receive".to_owned(),
        wait: Wait::Channel(ChannelOperation::Receive),
        stack: Vec::new(),
        is_main: false,
    }
}
