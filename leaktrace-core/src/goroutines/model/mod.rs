//! What a dump consists of. Everything that repeats is stored once and referred to by number.

mod blocked;
mod builder;
mod goroutine;
mod ids;
mod tables;
mod time;
mod values;

pub use blocked::{BlockedOn, Channel, ChannelOperation, LockKind, SelectCase};
pub use builder::DumpBuilder;
pub use goroutine::DumpGoroutine;
pub use ids::{
    ArgumentsId, BlockedId, ChannelId, FunctionId, LabelsId, LocationId, StackId, StrId, ValuesId,
};
pub use tables::{Function, Location, NamedFrame, StackTable, Strings, Tables};
pub use time::UnixTime;
pub(crate) use values::HOLE;
pub use values::{Arguments, FrameArguments, MAX_VALUES, Values};

pub use crate::go::traceback::FunctionKind;

use serde::{Deserialize, Serialize};

use crate::base::num::{Avma, FileOffset, Tgid};

/// All goroutines of one process at one time, with the names of everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    /// When it was taken.
    pub taken_at: UnixTime,
    /// Of which process.
    pub target: ProcessInfo,
    /// The executable mappings of that process.
    pub mappings: Vec<Mapping>,
    /// How much of the truth this is.
    pub completeness: Completeness,
    /// Strings, functions, places and stacks, by number.
    pub tables: Tables,
    /// The goroutines, in the order in which Go's own dumps list them.
    pub goroutines: Vec<DumpGoroutine>,
}

/// The process that a dump is of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessInfo {
    /// Its id.
    pub pid: Tgid,
    /// When it started, so that a pid that was used again is told apart.
    pub started_at: Option<UnixTime>,
    /// The path of its binary, as it sees it.
    pub exe: String,
    /// The Go release that built it: `go1.26.6`, perhaps with experiments behind.
    pub go_version: String,
    /// The binary's build id.
    pub build_id: Option<String>,
    /// Its architecture in Go's words: `amd64`.
    pub arch: String,
    /// The machine it ran on.
    pub hostname: Option<String>,
    /// Whether its own tracebacks print profiler labels (`GODEBUG=tracebacklabels`, Go 1.26+).
    pub prints_labels: bool,
}

/// A part of a file that is mapped executable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mapping {
    /// Its first address.
    pub start: Avma,
    /// The address after its last.
    pub end: Avma,
    /// Where in the file it begins.
    pub offset: FileOffset,
    /// The path of the file.
    pub file: String,
    /// The file's build id.
    pub build_id: Option<String>,
}

/// What a dump could not see, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Completeness {
    /// Goroutines that could not be read, or made no sense.
    pub unreadable: u64,
    /// Goroutines that moved whenever their stack was read.
    pub moved: u64,
    /// Goroutines beyond the bound on their number.
    pub beyond_limit: u64,
    /// Stacks whose outermost frame was not reached.
    pub cut_stacks: u64,
    /// Places in code that have no name.
    pub unknown_places: u64,
    /// Goroutines that a filter took out.
    pub filtered_out: u64,
    /// How long the reading took, in nanoseconds: goroutines are as they were at some moment within it.
    pub took_ns: Option<u64>,
    /// What else a reader should know.
    pub notes: Vec<String>,
}

impl Dump {
    /// The goroutines that Go's own dumps list: all but the runtime's own.
    pub fn user_goroutines(&self) -> impl Iterator<Item = &DumpGoroutine> {
        self.listed(false)
    }

    /// The same, and with `include_runtime` the runtime's own, too.
    pub fn listed(&self, include_runtime: bool) -> impl Iterator<Item = &DumpGoroutine> + Clone {
        self.goroutines.iter().filter(move |goroutine| goroutine.is_listed(include_runtime))
    }

    /// The frames of `stack`, innermost first.
    pub fn frames(
        &self,
        stack: StackId,
    ) -> impl DoubleEndedIterator<Item = NamedFrame<'_>> + ExactSizeIterator {
        self.tables.stacks.get(stack).iter().map(|&at| self.tables.frame(at))
    }

    /// The frame at `location`.
    pub fn frame(&self, location: LocationId) -> NamedFrame<'_> {
        self.tables.frame(location)
    }

    /// The string with this number.
    pub fn string(&self, id: StrId) -> &str {
        self.tables.strings.get(id)
    }

    /// What the goroutine waits for in the runtime's words; empty if it does not wait.
    pub fn wait_reason(&self, goroutine: &DumpGoroutine) -> &str {
        goroutine.wait_reason.map_or("", |reason| self.string(reason))
    }

    /// The goroutine's profiler labels, in the order in which the runtime keeps them.
    pub fn labels(&self, goroutine: &DumpGoroutine) -> impl Iterator<Item = (&str, &str)> {
        let labels = goroutine.labels.map_or(&[][..], |id| self.tables.labels(id));
        labels.iter().map(|&(key, value)| (self.string(key), self.string(value)))
    }
}
