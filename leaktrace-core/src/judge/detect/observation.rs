//! What one snapshot shows, as far as rules care: who stands where, and on what.

use std::collections::BTreeMap;

use super::connections::Waited;
use super::network_reads;
use super::sample::{Sample, Weight};
use crate::base::hash::KeyedMap;
use crate::base::num::{Goid, Ktime};
use crate::go::goroutines::{Goroutine, Snapshot, StackTable};
use crate::go::traceback::innermost_own;
use crate::goroutines::model::{BlockedOn, Channel, ChannelOperation, LocationId, LockKind, StackId, StrId};
use crate::goroutines::{Dump, DumpGoroutine};
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
    pub standings: Vec<Standing>,
    /// The goroutines.
    pub sightings: Vec<Sighting>,
    /// The channels and locks, by address.
    pub objects: BTreeMap<u64, Object>,
    /// Whether a goroutine that is missing is gone.
    pub complete: bool,
    /// The ids of all goroutines, ascending, where `sightings` has only some of them.
    pub all: Option<Vec<Goid>>,
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

    /// What `dump` shows, which was made of a sample at `at`; and the stacks of the sample, for whom they were moved from.
    pub fn of_sample(dump: &Dump, sample: Sample, at: Ktime) -> (Self, StackTable) {
        let Sample { snapshot, weights, goids } = sample;
        let seen = Self::weighted(dump, &snapshot.goroutines, &weights, at);
        (Self { all: Some(goids), ..seen }, snapshot.stacks)
    }

    fn weighted(dump: &Dump, raw: &[Goroutine], weights: &[Weight], at: Ktime) -> Self {
        let mut reader = ObservationBuilder {
            dump,
            standings: KeyedMap::default(),
            network_reads: KeyedMap::default(),
            seen: Self { at, ..Self::default() },
        };
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

/// Makes an observation of a dump, naming each place once.
struct ObservationBuilder<'d> {
    dump: &'d Dump,
    standings: KeyedMap<StandingKey, u32>,
    /// Which stacks read from the network.
    network_reads: KeyedMap<StackId, bool>,
    seen: Observation,
}

/// What names a place: that and no more is looked up for each goroutine.
type StandingKey = (StackId, Option<LocationId>, Option<StrId>, Wait, bool);

impl ObservationBuilder<'_> {
    fn add(&mut self, goroutine: &DumpGoroutine, moves: Option<u8>, weight: Weight) {
        let (wait, object) = match self.wait(goroutine, weight.count) {
            (Wait::Select | Wait::Channel(_) | Wait::Lock(LockKind::Cond), _)
                if self.reads_from_network(goroutine.stack) =>
            {
                (Wait::Io, 0)
            }
            others => others,
        };
        if let Some(BlockedOn::Io { fd, .. }) =
            goroutine.blocked_on.and_then(|id| self.dump.tables.blocked(id))
        {
            self.seen.descriptors.push((goroutine.goid, *fd));
        }
        let is_main = goroutine.goid == Goid(1);
        let place = (goroutine.stack, goroutine.created_by, goroutine.wait_reason, wait, is_main);
        let next = self.standings.len();
        let standing = *self.standings.entry(place).or_insert_with(|| {
            self.seen.standings.push(standing(self.dump, goroutine, wait, is_main));
            u32::try_from(next).unwrap_or(u32::MAX)
        });
        self.seen.sightings.push(Sighting {
            goid: goroutine.goid,
            parent: goroutine.parent,
            standing,
            object,
            moves,
            waiting_ns: goroutine.known_age_ns(),
            stack_bytes: goroutine.stack_bytes,
            leaked: goroutine.is_leaked(),
            locked: goroutine.locked,
            weight,
        });
    }

    /// Whether whoever has this stack reads from a stream of a connection.
    fn reads_from_network(&mut self, stack: StackId) -> bool {
        let dump = self.dump;
        let read = || {
            let names: Vec<String> =
                dump.shown_frames(stack).map(|frame| dump.printed_name(frame.function)).collect();
            network_reads::is_read(names.iter().map(String::as_str))
        };
        *self.network_reads.entry(stack).or_insert_with(read)
    }

    /// What it waits for, and on which object if that is a single one; the object is noted.
    fn wait(&mut self, goroutine: &DumpGoroutine, weight: u32) -> (Wait, u64) {
        if !goroutine.status.is_waiting() {
            return (Wait::Nothing, 0);
        }
        let blocked = goroutine.blocked_on.and_then(|id| self.dump.tables.blocked(id));
        match blocked {
            Some(BlockedOn::Channel { operation, channel }) => {
                let Some(channel) = self.dump.tables.channel(*channel) else { return (Wait::Other, 0) };
                let wait = if self.dump.is_timers(channel) { Wait::Time } else { Wait::Channel(*operation) };
                (wait, self.note(channel.address.0, Object::Channel(*channel)))
            }
            Some(BlockedOn::Select { cases }) => {
                let channels = cases.iter().filter_map(|case| self.dump.tables.channel(case.channel));
                let mut channels: Vec<&Channel> = channels.collect();
                let timed = channels.iter().any(|channel| self.dump.is_timers(channel));
                channels.dedup_by_key(|channel| channel.address);
                let wait = if timed { Wait::Time } else { Wait::Select };
                let [only] = channels[..] else { return (wait, 0) };
                (wait, self.note(only.address.0, Object::Channel(*only)))
            }
            Some(BlockedOn::Lock { kind, address, waiters }) => {
                let waiters = waiters.unwrap_or(1).saturating_mul(weight);
                let lock = Object::Lock { kind: *kind, waiters };
                (Wait::Lock(*kind), self.note(address.0, lock))
            }
            Some(BlockedOn::NilChannel { .. }) => (Wait::NilChannel, 0),
            Some(BlockedOn::NoCases) => (Wait::NoCases, 0),
            Some(BlockedOn::Sleep { .. }) => (Wait::Time, 0),
            Some(BlockedOn::Io { .. }) => (Wait::Io, 0),
            None => (wait_by_name(self.dump.wait_reason(goroutine)), 0),
        }
    }

    fn note(&mut self, address: u64, object: Object) -> u64 {
        self.seen.objects.insert(address, object);
        address
    }
}

/// What a goroutine waits for, by the runtime's words alone.
fn wait_by_name(reason: &str) -> Wait {
    match reason.strip_suffix(" (durable)").unwrap_or(reason) {
        "chan receive" => Wait::Channel(ChannelOperation::Receive),
        "chan send" => Wait::Channel(ChannelOperation::Send),
        "select" => Wait::Select,
        "chan receive (nil chan)" | "chan send (nil chan)" => Wait::NilChannel,
        "select (no cases)" => Wait::NoCases,
        "sleep" => Wait::Time,
        "IO wait" => Wait::Io,
        "sync.Mutex.Lock" => Wait::Lock(LockKind::Mutex),
        "sync.RWMutex.RLock" => Wait::Lock(LockKind::RwMutexRead),
        "sync.RWMutex.Lock" => Wait::Lock(LockKind::RwMutexWrite),
        "sync.WaitGroup.Wait" => Wait::Lock(LockKind::WaitGroup),
        "sync.Cond.Wait" => Wait::Lock(LockKind::Cond),
        "semacquire" => Wait::Lock(LockKind::Semaphore),
        "coroutine" => Wait::Coroutine,
        _ => Wait::Other,
    }
}

fn standing(dump: &Dump, goroutine: &DumpGoroutine, wait: Wait, is_main: bool) -> Standing {
    let stack: Vec<Frame> = dump.shown_frames(goroutine.stack).map(|frame| named(dump, &frame)).collect();
    let start = stack.last().filter(|_| !goroutine.cut);
    Standing {
        created_by: goroutine.created_by.map_or_else(nowhere, |at| location(dump, at)),
        start_function: start.and_then(|frame| frame.function.clone()),
        doing: dump.doing(goroutine).to_owned(),
        wait,
        stack,
        is_main,
    }
}

fn named(dump: &Dump, frame: &crate::goroutines::model::NamedFrame<'_>) -> Frame {
    let known = frame.is_known();
    Frame {
        function: known.then(|| dump.printed_name(frame.function)),
        file: Some(frame.file).filter(|file| !file.is_empty()).map(str::to_owned),
        line: Some(frame.line).filter(|line| *line > 0),
        pc: (!known).then(|| format!("{:#x}", frame.pc)),
    }
}

fn location(dump: &Dump, at: LocationId) -> Location {
    let frame = dump.frame(at);
    let Frame { function, file, line, .. } = named(dump, &frame);
    Location { function, file, line, pc: format!("{:#x}", frame.pc) }
}

/// Where goroutines come from that no `go` statement made.
fn nowhere() -> Location {
    Location { function: None, file: None, line: None, pc: "0x0".to_owned() }
}

/// A place that nobody stands at.
#[cfg(test)]
pub(super) fn made_up() -> Standing {
    Standing {
        created_by: nowhere(),
        start_function: None,
        doing: "chan receive".to_owned(),
        wait: Wait::Channel(ChannelOperation::Receive),
        stack: Vec::new(),
        is_main: false,
    }
}
