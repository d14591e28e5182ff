//! The dump as JSON, described in `docs/dump.md`. Goroutines are written one after the other, however many.

mod blocked;
mod goroutines;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::{Serialize, Serializer};

use super::Options;
use crate::base::json::Visible;
use crate::dump::group::{Group, group};
use crate::go::symbolize::with_import_path;
use crate::goroutines::Dump;
use crate::goroutines::model::{Completeness, FunctionKind, LocationId, NamedFrame, StackId};
use crate::goroutines::text_rules::TextRules;
use goroutines::Goroutines;

/// The version of this format. It grows when a field changes its meaning or goes, not when one is added.
pub const SCHEMA_VERSION: u32 = 1;

pub(super) fn render(dump: &Dump, options: &Options, out: &mut dyn Write) -> io::Result<()> {
    let out = &mut Visible(out);
    let view = View { dump, options };
    out.write_all(&head(view)?)?;
    let stacks = UsedStacks::of(view);
    out.write_all(b",\"stacks\":")?;
    serde_json::to_writer(&mut *out, &AllStacks(dump, &stacks.used))?;
    out.write_all(b",\"goroutines\":[")?;
    Goroutines::new(dump, &stacks).write(options.goroutines(dump), out)?;
    out.write_all(b"]}\n")
}

/// The document up to its two long arrays.
fn head(view: View<'_>) -> io::Result<Vec<u8>> {
    let View { dump, options } = view;
    let found = group(dump, options.by, options.include_runtime);
    let groups: Vec<_> = found.iter().map(|group| GroupJson::of(view, group)).collect();
    let head = Head {
        schema_version: SCHEMA_VERSION,
        taken_at: dump.taken_at.to_string(),
        taken_at_unix_ns: dump.taken_at.0,
        target: TargetJson::of(dump),
        totals: Totals::of(&groups),
        completeness: CompletenessJson::of(&dump.completeness),
        mappings: dump.mappings.iter().map(MappingJson::of).collect(),
        grouped_by: options.by.as_str(),
        groups,
    };
    let mut json = serde_json::to_vec(&head)?;
    // The arrays come before its closing brace.
    json.truncate(json.len() - 1);
    Ok(json)
}

#[derive(Clone, Copy)]
struct View<'d> {
    dump: &'d Dump,
    options: &'d Options,
}

/// The document but for its two long arrays.
#[derive(Serialize)]
struct Head<'d> {
    schema_version: u32,
    taken_at: String,
    taken_at_unix_ns: u64,
    target: TargetJson<'d>,
    totals: Totals<'d>,
    completeness: CompletenessJson<'d>,
    mappings: Vec<MappingJson<'d>>,
    grouped_by: &'static str,
    groups: Vec<GroupJson<'d>>,
}

#[derive(Serialize)]
struct TargetJson<'d> {
    pid: u32,
    started_at: Option<String>,
    exe: &'d str,
    go_version: &'d str,
    build_id: Option<&'d str>,
    arch: &'d str,
    hostname: Option<&'d str>,
}

impl<'d> TargetJson<'d> {
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
    /// The totals of groups that have each goroutine once.
    fn of(groups: &[GroupJson<'d>]) -> Self {
        let mut doing = BTreeMap::new();
        for (&what, count) in groups.iter().flat_map(|group| &group.doing) {
            *doing.entry(what).or_insert(0) += count;
        }
        let sizes = groups.iter().map(|group| group.stack_bytes);
        Self { goroutines: doing.values().sum(), stack_bytes: sizes.fold(0, u64::saturating_add), doing }
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
    fn of(mapping: &'d crate::goroutines::model::Mapping) -> Self {
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
        Self {
            title: &group.title,
            summary: view.dump.sentence(group, view.options.by),
            count: group.len(),
            oldest_ns: group.oldest_ns,
            stack_bytes: group.stack_bytes,
            doing: view.dump.count_doing(group.goroutines(view.dump)),
            example_goid: group.goroutines(view.dump).next().map(|goroutine| goroutine.goid.0),
        }
    }
}

/// The stacks of the goroutines that are written. Of those that were filtered out there may be far more.
struct UsedStacks {
    /// Them, ascending.
    used: Vec<StackId>,
    /// For each stack of the dump, which of `used` it is.
    numbers: Vec<Option<u32>>,
}

impl UsedStacks {
    fn of(view: View<'_>) -> Self {
        let mut numbers = vec![None; view.dump.tables.stacks.len()];
        for goroutine in view.options.goroutines(view.dump) {
            for stack in [Some(goroutine.stack), goroutine.creation_stack].into_iter().flatten() {
                if let Some(number) = numbers.get_mut(stack.index()) {
                    *number = Some(0);
                }
            }
        }
        let is_used = |stack: &StackId| numbers[stack.index()].is_some();
        let used: Vec<_> = (0..numbers.len()).filter_map(StackId::from_index).filter(is_used).collect();
        for (number, stack) in (0..).zip(&used) {
            numbers[stack.index()] = Some(number);
        }
        Self { used, numbers }
    }

    fn number(&self, stack: StackId) -> Option<u32> {
        self.numbers.get(stack.index()).copied().flatten()
    }
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
    function: Cow<'d, str>,
    file: &'d str,
    line: u32,
    pc: String,
    offset: u64,
    #[serde(skip_serializing_if = "is_false")]
    inlined: bool,
    #[serde(skip_serializing_if = "is_false")]
    hidden: bool,
    /// Whether it stands for the frames that are missing from here on.
    #[serde(skip_serializing_if = "is_false")]
    cut: bool,
}

impl<'d> FrameJson<'d> {
    fn of(frame: &NamedFrame<'d>) -> Self {
        Self {
            function: with_import_path(frame.function),
            file: frame.file,
            line: frame.line,
            pc: format!("{:#x}", frame.pc),
            offset: frame.offset,
            inlined: frame.inlined,
            hidden: false,
            cut: frame.kind == FunctionKind::Cut,
        }
    }

    fn at(dump: &'d Dump, location: LocationId) -> Self {
        Self::of(&dump.frame(location))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}
