//! Makes a [`Dump`] of a walk through a process's goroutines: names its addresses, and reads what the walk left
//! out, labels and what goroutines are blocked on, from the process's memory.
//!
//! That is read after the walk, while the process goes on. What is read for a goroutine is kept only if it still
//! belongs to it; otherwise it is not known, and nothing is wrong.

mod arguments;
mod blocked;
mod bubbles;
mod channels;
mod conditions;
mod descriptors;
mod frame_words;
mod labels;
mod places;
mod queues;
mod reasons;
mod sudogs;
mod words;

use crate::base::hash::KeyedMap;
use crate::base::memory::Memory;
use crate::base::num::{Goid, Ktime};
use crate::go::goroutines::{Goroutine, GoroutineKind, KeptWords, Snapshot, StackTable};
use crate::go::program::Program;

use super::model::{Dump, DumpBuilder, DumpGoroutine, Mapping, ProcessInfo, StackId, StrId, UnixTime};
pub use arguments::ArgumentWords;
use arguments::Arguments;
use blocked::Waits;
use labels::Labels;
use places::Places;
pub use queues::Queues;

/// What the caller knows of the process.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// When the snapshot was taken.
    pub taken_at: UnixTime,
    /// Whether the clock by which its goroutines wait cannot be asked, so that nobody knows what time remains to them.
    pub is_clock_unknown: bool,
    /// Which process it is. What the program itself says, its release and its architecture, may be left empty.
    pub target: ProcessInfo,
    /// Its executable mappings.
    pub mappings: Vec<Mapping>,
    /// The `GODEBUG` that it was started with, if that is known.
    pub godebug: Option<String>,
    /// What a walk kept for [`ArgumentWords`], if the values of arguments are wanted.
    pub arguments: Option<KeptWords>,
}

/// Makes a dump of `snapshot`, which was taken of `program` just now; `memory` is that of the process.
pub fn from_snapshot(snapshot: &Snapshot, program: &Program<'_>, memory: &dyn Memory, facts: Facts) -> Dump {
    from_walk(snapshot, Queues::read(snapshot, program, memory), program, memory, facts)
}

/// The same, where the queues of the goroutines have been read already.
pub fn from_walk(
    snapshot: &Snapshot,
    queues: Queues,
    program: &Program<'_>,
    memory: &dyn Memory,
    facts: Facts,
) -> Dump {
    let mut builder = DumpBuilder::new(target(program, &facts), facts.taken_at);
    facts.mappings.into_iter().for_each(|mapping| builder.mapping(mapping));
    let mut places = Places::new(program);
    let stacks = NamedStacks::of(&snapshot.stacks, &mut places, &mut builder);
    let waits = Waits::read(snapshot, queues, program, memory, !facts.is_clock_unknown);
    let arguments = Arguments::new(program, facts.arguments, &mut builder);
    let mut live = Live {
        program,
        finished: snapshot.finished,
        labels: Labels::new(program.layout.labels, memory),
        bubbles: bubbles::read(snapshot, program, memory),
        waits,
        stacks,
        pcs: &snapshot.stacks,
        arguments,
        places,
        reasons: Vec::new(),
        builder,
    };
    live.builder.reserve(snapshot.goroutines.len());
    snapshot.goroutines.iter().enumerate().for_each(|(index, goroutine)| live.add(index, goroutine));
    live.finish(snapshot)
}

fn target(program: &Program<'_>, facts: &Facts) -> ProcessInfo {
    let version = program.build.as_ref().map(|build| build.version_text.clone());
    let go_version = version.unwrap_or_else(|| program.version.to_string());
    ProcessInfo {
        prints_labels: prints_labels(program, facts.godebug.as_deref()),
        arch: program.arch.as_str().to_owned(),
        go_version,
        ..facts.target.clone()
    }
}

/// Whether the program's own tracebacks print labels: by its environment, else by what its main module chose,
/// else by its release.
fn prints_labels(program: &Program<'_>, environment: Option<&str>) -> bool {
    let built_in = program.build.as_ref().and_then(|build| build.setting("DefaultGODEBUG"));
    let chosen = [environment, built_in].into_iter().flatten().find_map(|settings| {
        let setting =
            settings.rsplit(',').find_map(|setting| setting.trim().strip_prefix("tracebacklabels="));
        setting.map(|value| value == "1")
    });
    chosen.unwrap_or(program.facts.traceback.prints_labels)
}

/// The stacks of a walk, with names.
struct NamedStacks {
    by_index: Vec<Named>,
}

#[derive(Clone, Copy)]
struct Named {
    stack: StackId,
    cut: bool,
    start_only: bool,
}

impl NamedStacks {
    fn of(table: &StackTable, places: &mut Places<'_>, builder: &mut DumpBuilder) -> Self {
        let by_index = table.iter().map(|(_, stack)| {
            let locations = places.stack(stack, builder);
            let cut = stack.end.cut().is_some();
            Named { stack: builder.stack(&locations), cut, start_only: false }
        });
        Self { by_index: by_index.collect() }
    }
}

struct Live<'a, 'd> {
    program: &'a Program<'d>,
    finished: Ktime,
    labels: Labels<'a>,
    waits: Waits,
    bubbles: KeyedMap<Goid, u64>,
    stacks: NamedStacks,
    /// The same by their addresses.
    pcs: &'a StackTable,
    arguments: Arguments<'a>,
    places: Places<'a>,
    /// What the numbers of wait reasons are called, as far as they were met.
    reasons: Vec<Option<StrId>>,
    builder: DumpBuilder,
}

impl Live<'_, '_> {
    /// Adds the goroutine with this index in the snapshot.
    fn add(&mut self, index: usize, goroutine: &Goroutine) {
        let named = goroutine.stack_id.and_then(|id| self.stacks.by_index.get(id.index()).copied());
        let Named { stack, cut, start_only } = named.unwrap_or_else(|| self.started_with(goroutine));
        let pcs = goroutine.stack_id.and_then(|id| Some((id, self.pcs.get(id)?.pcs)));
        let goroutine = DumpGoroutine {
            parent: goroutine.parent_goid,
            waiting_ns: goroutine.wait_since.map(|since| self.finished.since(since)),
            bubble: self.bubbles.get(&goroutine.goid).copied(),
            stack_bytes: goroutine.stack.size(),
            created_by: self.places.created_by(goroutine.gopc, &mut self.builder),
            wait_reason: self.wait_reason(goroutine),
            labels: self.labels.read(goroutine.labels, &mut self.builder),
            arguments: pcs.and_then(|pcs| self.arguments.of(index, pcs, stack, &mut self.builder)),
            blocked_on: self.waits.blocked_on(index, goroutine, stack, &mut self.builder),
            locked: goroutine.locked,
            moved: goroutine.moved,
            system: goroutine.kind == GoroutineKind::Runtime,
            cut,
            start_only,
            ..DumpGoroutine::new(goroutine.goid, goroutine.status, stack)
        };
        self.builder.completeness().cut_stacks += u64::from(cut);
        self.builder.goroutine(goroutine);
    }

    /// The stack of a goroutine that could not be walked.
    fn started_with(&mut self, goroutine: &Goroutine) -> Named {
        let locations = self.places.started_with(goroutine.startpc, &mut self.builder);
        let start_only = !locations.is_empty();
        Named { stack: self.builder.stack(&locations), cut: false, start_only }
    }

    fn wait_reason(&mut self, goroutine: &Goroutine) -> Option<StrId> {
        if !goroutine.status.is_waiting() {
            return None;
        }
        while self.reasons.len() <= goroutine.wait_reason.into() {
            let next = u8::try_from(self.reasons.len()).ok()?;
            let reason = self.name_reason(next);
            self.reasons.push(reason);
        }
        self.reasons[usize::from(goroutine.wait_reason)]
    }

    fn name_reason(&mut self, number: u8) -> Option<StrId> {
        match self.program.wait_reasons.name(number) {
            Some("") => None,
            Some(name) => Some(self.builder.string(name)),
            None => Some(self.builder.string(&format!("wait reason {number}"))),
        }
    }

    fn finish(mut self, snapshot: &Snapshot) -> Dump {
        let notices = self.program.notices.iter().map(ToString::to_string);
        let cuts = self.builder.cut_notes();
        let completeness = self.builder.completeness();
        completeness.unreadable = snapshot.unreadable;
        completeness.moved = snapshot.moved;
        completeness.beyond_limit = snapshot.beyond_limit;
        completeness.unknown_places = self.places.unknown();
        completeness.took_ns = Some(snapshot.finished.since(snapshot.started));
        completeness.notes.extend(notices.chain(self.arguments.note()).chain(cuts));
        self.builder.finish()
    }
}
