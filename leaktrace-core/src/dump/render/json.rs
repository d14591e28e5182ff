//! The dump as JSON, described in `docs/dump.md`. Goroutines are written one after the other, however many.

mod blocked;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use serde::{Serialize, Serializer};

use super::Options;
use crate::dump::Dump;
use crate::dump::group::{Group, group};
use crate::dump::model::{Completeness, DumpGoroutine, Frame, FunctionKind, LocationId, StackId};
use crate::dump::text_rules::TextRules;
use blocked::BlockedJson;

/// The version of this format. It grows when a field changes its meaning or goes, not when one is added.
pub const SCHEMA_VERSION: u32 = 1;

pub(super) fn render(dump: &Dump, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let view = View { dump, options };
    let groups = group(dump, options.by, options.include_runtime);
    let stacks = used_stacks(view);
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
        stacks: AllStacks(view.dump, &stacks),
        goroutines: AllGoroutines(view, &stacks),
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

/// The stacks of the goroutines that are written, ascending. Of those that were filtered out there may be far more.
fn used_stacks(view: View<'_>) -> Vec<StackId> {
    let goroutines = view.options.goroutines(view.dump);
    let used = goroutines.flat_map(|goroutine| [Some(goroutine.stack), goroutine.creation_stack]);
    used.flatten().collect::<BTreeSet<_>>().into_iter().collect()
}

/// Stacks, written one after the other.
struct AllStacks<'d>(&'d Dump, &'d [StackId]);

impl Serialize for AllStacks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.1.iter().map(|stack| frames(self.0, *stack)))
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
struct AllGoroutines<'d>(View<'d>, &'d [StackId]);

impl Serialize for AllGoroutines<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (View { dump, options }, stacks) = (self.0, self.1);
        let goroutines = options.goroutines(dump);
        serializer.collect_seq(goroutines.map(|goroutine| GoroutineJson::of(dump, goroutine, stacks)))
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
    stack: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    creation_stack: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked_on: Option<BlockedJson<'d>>,
    stack_bytes: u64,
}

impl<'d> GoroutineJson<'d> {
    fn of(dump: &'d Dump, goroutine: &DumpGoroutine, stacks: &[StackId]) -> Self {
        let number = |stack: StackId| stacks.binary_search(&stack).ok();
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
            stack: number(goroutine.stack),
            creation_stack: goroutine.creation_stack.and_then(number),
            blocked_on: blocked_on.map(|blocked| BlockedJson::of(dump, blocked)),
            stack_bytes: goroutine.stack_bytes,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}
