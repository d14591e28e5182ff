//! The dump as JSON, described in `docs/dump.md`. Goroutines are written one after the other, however many.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::{Serialize, Serializer};

use super::Options;
use crate::dump::Dump;
use crate::dump::group::{Group, group};
use crate::dump::model::{
    BlockedOn, Channel, ChannelId, Completeness, DumpGoroutine, Frame, FunctionKind, LocationId, StackId,
};
use crate::dump::text_rules::TextRules;

/// The version of this format. It grows when a field changes its meaning or goes, not when one is added.
pub const SCHEMA_VERSION: u32 = 1;

pub(super) fn render(dump: &Dump, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let view = View { dump, options };
    let groups = group(dump, options.by, options.include_runtime);
    let document = Document {
        schema_version: SCHEMA_VERSION,
        taken_at: dump.taken_at.to_string(),
        taken_at_unix_ns: dump.taken_at.0,
        target: Target::of(dump),
        totals: Totals::of(view),
        completeness: CompletenessJson::of(&dump.completeness),
        mappings: dump.mappings.iter().map(MappingJson::of).collect(),
        grouped_by: options.by.as_str(),
        groups: groups.iter().map(|group| GroupJson::of(view, group)).collect(),
        stacks: AllStacks(view),
        goroutines: AllGoroutines(view),
    };
    serde_json::to_writer(&mut *out, &document)?;
    writeln!(out)
}

#[derive(Clone, Copy)]
struct View<'d> {
    dump: &'d Dump,
    options: &'d Options,
}

#[derive(Serialize)]
struct Document<'d> {
    schema_version: u32,
    taken_at: String,
    taken_at_unix_ns: u64,
    target: Target<'d>,
    totals: Totals<'d>,
    completeness: CompletenessJson<'d>,
    mappings: Vec<MappingJson<'d>>,
    grouped_by: &'static str,
    groups: Vec<GroupJson<'d>>,
    stacks: AllStacks<'d>,
    goroutines: AllGoroutines<'d>,
}

#[derive(Serialize)]
struct Target<'d> {
    pid: u32,
    started_at: Option<String>,
    exe: &'d str,
    go_version: &'d str,
    build_id: Option<&'d str>,
    arch: &'d str,
    hostname: Option<&'d str>,
}

impl<'d> Target<'d> {
    fn of(dump: &'d Dump) -> Self {
        let target = &dump.target;
        Self {
            pid: target.pid.0,
            started_at: target.started_at.map(|time| time.to_string()),
            exe: &target.exe,
            go_version: &target.go_version,
            build_id: target.build_id.as_deref(),
            arch: &target.arch,
            hostname: target.hostname.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct Totals<'d> {
    goroutines: u64,
    stack_bytes: u64,
    doing: BTreeMap<&'d str, u64>,
}

impl<'d> Totals<'d> {
    fn of(view: View<'d>) -> Self {
        let mut totals = Self { goroutines: 0, stack_bytes: 0, doing: BTreeMap::new() };
        for goroutine in view.options.goroutines(view.dump) {
            totals.goroutines += 1;
            totals.stack_bytes = totals.stack_bytes.saturating_add(goroutine.stack_bytes);
            *totals.doing.entry(view.dump.doing(goroutine)).or_insert(0) += 1;
        }
        totals
    }
}

#[derive(Serialize)]
struct CompletenessJson<'d> {
    unreadable: u64,
    moved: u64,
    beyond_limit: u64,
    cut_stacks: u64,
    unknown_places: u64,
    filtered_out: u64,
    took_ns: Option<u64>,
    notes: &'d [String],
}

impl<'d> CompletenessJson<'d> {
    fn of(completeness: &'d Completeness) -> Self {
        let Completeness {
            unreadable,
            moved,
            beyond_limit,
            cut_stacks,
            unknown_places,
            filtered_out,
            took_ns,
            notes,
        } = completeness;
        Self {
            unreadable: *unreadable,
            moved: *moved,
            beyond_limit: *beyond_limit,
            cut_stacks: *cut_stacks,
            unknown_places: *unknown_places,
            filtered_out: *filtered_out,
            took_ns: *took_ns,
            notes,
        }
    }
}

#[derive(Serialize)]
struct MappingJson<'d> {
    start: String,
    end: String,
    offset: u64,
    file: &'d str,
    build_id: Option<&'d str>,
}

impl<'d> MappingJson<'d> {
    fn of(mapping: &'d crate::dump::model::Mapping) -> Self {
        Self {
            start: mapping.start.to_string(),
            end: mapping.end.to_string(),
            offset: mapping.offset.0,
            file: &mapping.file,
            build_id: mapping.build_id.as_deref(),
        }
    }
}

#[derive(Serialize)]
struct GroupJson<'d> {
    title: &'d str,
    /// The same as a sentence, with how many they are.
    summary: String,
    count: usize,
    oldest_ns: Option<u64>,
    stack_bytes: u64,
    doing: BTreeMap<&'d str, u64>,
    /// One of them, to look at.
    example_goid: Option<u64>,
}

impl<'d> GroupJson<'d> {
    fn of(view: View<'d>, group: &'d Group) -> Self {
        let mut doing = BTreeMap::new();
        for goroutine in group.goroutines(view.dump) {
            *doing.entry(view.dump.doing(goroutine)).or_insert(0) += 1;
        }
        Self {
            title: &group.title,
            summary: view.dump.sentence(group, view.options.by),
            count: group.len(),
            oldest_ns: group.oldest_ns,
            stack_bytes: group.stack_bytes,
            doing,
            example_goid: group.goroutines(view.dump).next().map(|goroutine| goroutine.goid.0),
        }
    }
}

/// The dump's stacks, written one after the other.
struct AllStacks<'d>(View<'d>);

impl Serialize for AllStacks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let count = self.0.dump.tables.stacks.len();
        serializer
            .collect_seq((0..count).filter_map(StackId::from_index).map(|stack| frames(self.0.dump, stack)))
    }
}

/// The frames of a stack, and which of them the target's own tracebacks hide.
fn frames(dump: &Dump, stack: StackId) -> Vec<FrameJson<'_>> {
    let rules = TextRules::of(&dump.target.go_version);
    let (mut callee, mut first) = (FunctionKind::Normal, true);
    dump.frames(stack)
        .map(|frame| {
            let shown = rules.shows(&frame, callee, first);
            callee = frame.kind;
            first &= !shown;
            FrameJson { hidden: !shown, ..FrameJson::of(&frame) }
        })
        .collect()
}

#[derive(Serialize)]
struct FrameJson<'d> {
    function: &'d str,
    file: &'d str,
    line: u32,
    pc: String,
    offset: u64,
    #[serde(skip_serializing_if = "is_false")]
    inlined: bool,
    #[serde(skip_serializing_if = "is_false")]
    hidden: bool,
}

impl<'d> FrameJson<'d> {
    fn of(frame: &Frame<'d>) -> Self {
        Self {
            function: frame.function,
            file: frame.file,
            line: frame.line,
            pc: format!("{:#x}", frame.pc),
            offset: frame.offset,
            inlined: frame.inlined,
            hidden: false,
        }
    }

    fn at(dump: &'d Dump, location: LocationId) -> Self {
        Self::of(&dump.frame(location))
    }
}

/// The dump's goroutines, written one after the other.
struct AllGoroutines<'d>(View<'d>);

impl Serialize for AllGoroutines<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let View { dump, options } = self.0;
        serializer.collect_seq(options.goroutines(dump).map(|goroutine| GoroutineJson::of(dump, goroutine)))
    }
}

#[expect(clippy::struct_excessive_bools, reason = "the fields of the documented format")]
#[derive(Serialize)]
struct GoroutineJson<'d> {
    goid: u64,
    status: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    wait_reason: &'d str,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_ns: Option<u64>,
    #[serde(skip_serializing_if = "is_false")]
    age_is_lower_bound: bool,
    #[serde(skip_serializing_if = "is_false")]
    locked: bool,
    #[serde(skip_serializing_if = "is_false")]
    moved: bool,
    #[serde(skip_serializing_if = "is_false")]
    system: bool,
    #[serde(skip_serializing_if = "is_false")]
    stack_cut: bool,
    #[serde(skip_serializing_if = "is_false")]
    stack_start_only: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    bubble: Option<u64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<&'d str, &'d str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_goid: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<FrameJson<'d>>,
    stack: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    creation_stack: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked_on: Option<BlockedJson<'d>>,
    stack_bytes: u64,
}

impl<'d> GoroutineJson<'d> {
    fn of(dump: &'d Dump, goroutine: &DumpGoroutine) -> Self {
        let blocked_on = goroutine.blocked_on.and_then(|id| dump.tables.blocked(id));
        Self {
            goid: goroutine.goid.0,
            status: goroutine.status.as_str(),
            wait_reason: dump.wait_reason(goroutine),
            waiting_ns: goroutine.waiting_ns,
            age_ns: goroutine.age_ns,
            age_is_lower_bound: goroutine.age_is_lower_bound,
            locked: goroutine.locked,
            moved: goroutine.moved,
            system: goroutine.system,
            stack_cut: goroutine.cut,
            stack_start_only: goroutine.start_only,
            bubble: goroutine.bubble,
            labels: dump.labels(goroutine).collect(),
            parent_goid: goroutine.parent.map(|parent| parent.0),
            created_by: goroutine.created_by.map(|at| FrameJson::at(dump, at)),
            stack: goroutine.stack.index(),
            creation_stack: goroutine.creation_stack.map(StackId::index),
            blocked_on: blocked_on.map(|blocked| BlockedJson::of(dump, blocked)),
            stack_bytes: goroutine.stack_bytes,
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum BlockedJson<'d> {
    Channel(CaseJson<'d>),
    NilChannel { operation: &'static str },
    Select { cases: Vec<CaseJson<'d>> },
    NoCases,
    Lock { lock: &'static str, address: String, waiters: Option<u32> },
    Sleep { remaining_ns: i64 },
    Io { fd: i32, description: Option<&'d str> },
}

impl<'d> BlockedJson<'d> {
    fn of(dump: &'d Dump, blocked: &BlockedOn) -> Self {
        match blocked {
            BlockedOn::Channel { operation, channel } => {
                Self::Channel(CaseJson::of(dump, operation.as_str(), *channel))
            }
            BlockedOn::NilChannel { operation } => Self::NilChannel { operation: operation.as_str() },
            BlockedOn::Select { cases } => {
                let case = |case: &crate::dump::model::SelectCase| {
                    CaseJson::of(dump, case.operation.as_str(), case.channel)
                };
                Self::Select { cases: cases.iter().map(case).collect() }
            }
            BlockedOn::NoCases => Self::NoCases,
            BlockedOn::Lock { kind, address, waiters } => {
                let (lock, address) = (kind.as_str(), kind.beginning(*address).to_string());
                Self::Lock { lock, address, waiters: *waiters }
            }
            BlockedOn::Sleep { remaining_ns } => Self::Sleep { remaining_ns: *remaining_ns },
            BlockedOn::Io { fd, description } => {
                Self::Io { fd: *fd, description: description.map(|id| dump.string(id)) }
            }
        }
    }
}

#[derive(Serialize)]
struct CaseJson<'d> {
    operation: &'static str,
    channel: Option<ChannelJson<'d>>,
}

impl<'d> CaseJson<'d> {
    fn of(dump: &'d Dump, operation: &'static str, channel: ChannelId) -> Self {
        Self {
            operation,
            channel: dump.tables.channel(channel).map(|channel| ChannelJson::of(dump, channel)),
        }
    }
}

#[derive(Serialize)]
struct ChannelJson<'d> {
    address: String,
    element: Option<&'d str>,
    len: u64,
    cap: u64,
    closed: bool,
    timer: bool,
    receivers: u32,
    senders: u32,
}

impl<'d> ChannelJson<'d> {
    fn of(dump: &'d Dump, channel: &Channel) -> Self {
        Self {
            address: channel.address.to_string(),
            element: channel.element.map(|id| dump.string(id)),
            len: channel.length,
            cap: channel.capacity,
            closed: channel.closed,
            timer: channel.timer,
            receivers: channel.receivers,
            senders: channel.senders,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}
