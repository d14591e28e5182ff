//! Builds the messages, numbering things in the order in which they are met.

use std::collections::BTreeMap;

use super::proto::{Function, Label, Line, Location, Mapping, Profile, Sample, ValueType};
use crate::base::hash::KeyedMap;
use crate::dump::group::By;
use crate::dump::render::Options;
use crate::dump::render::profile::physical_frames;
use crate::goroutines::Dump;
use crate::goroutines::count_by;
use crate::goroutines::model::{DumpGoroutine, FunctionKind, LabelsId, LocationId, NamedFrame, StackId};

/// What is counted, and in which unit.
pub(super) const KIND: &str = "goroutine";
pub(super) const UNIT: &str = "count";

/// The profile of `dump`, before it is encoded.
pub fn profile(dump: &Dump, options: &Options) -> Profile {
    Build::new(dump, options).finish()
}

/// What a sample's goroutines have in common.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Stack {
    /// A stack of the dump.
    Known(StackId),
    /// One frame only.
    Single(LocationId),
    /// No frame.
    Unknown,
}

/// Stands for a stack that is not known, since viewers drop samples without any place.
const NOWHERE: NamedFrame<'static> = NamedFrame { function: "(unknown)", ..NamedFrame::unknown(0) };

pub(super) struct Build<'d> {
    dump: &'d Dump,
    profile: Profile,
    strings: KeyedMap<&'d str, i64>,
    functions: KeyedMap<&'d str, u64>,
    /// By the address of each frame that was inlined there, the innermost first.
    locations: KeyedMap<Vec<u64>, u64>,
}

impl<'d> Build<'d> {
    pub(super) fn new(dump: &'d Dump, options: &Options) -> Self {
        let mut build = Self {
            dump,
            profile: Profile::default(),
            strings: KeyedMap::default(),
            functions: KeyedMap::default(),
            locations: KeyedMap::default(),
        };
        build.string("");
        build.header();
        build.mappings();
        for ((stack, labels), count) in counts(dump, options) {
            build.sample(stack, labels, count);
        }
        build
    }

    pub(super) fn finish(self) -> Profile {
        self.profile
    }

    fn header(&mut self) {
        let kind = ValueType { r#type: self.string(KIND), unit: self.string(UNIT) };
        self.profile.sample_type.push(kind);
        self.profile.period_type = Some(kind);
        self.profile.period = 1;
        self.profile.time_nanos = i64::try_from(self.dump.taken_at.0).unwrap_or(i64::MAX);
        let dump = self.dump;
        for remark in [dump.target.exe.as_str(), dump.target.go_version.as_str()] {
            let comment = self.string(remark);
            self.profile.comment.push(comment);
        }
    }

    fn mappings(&mut self) {
        let dump = self.dump;
        for (id, mapping) in (1..).zip(&dump.mappings) {
            let mapping = Mapping {
                id,
                memory_start: mapping.start.0,
                memory_limit: mapping.end.0,
                file_offset: mapping.offset.0,
                filename: self.string(&mapping.file),
                build_id: self.string(mapping.build_id.as_deref().unwrap_or_default()),
                has_functions: true,
                has_filenames: true,
                has_line_numbers: true,
                has_inline_frames: true,
            };
            self.profile.mapping.push(mapping);
        }
    }

    fn sample(&mut self, stack: Stack, labels: Option<LabelsId>, count: u64) {
        let frames = frames(self.dump, stack);
        let mut location_id: Vec<_> = frames.iter().map(|frames| self.location(frames)).collect();
        if location_id.is_empty() {
            location_id.push(self.location(&[NOWHERE]));
        }
        let label = labels.map_or_else(Vec::new, |labels| self.labels(labels));
        let value = vec![i64::try_from(count).unwrap_or(i64::MAX)];
        self.profile.sample.push(Sample { location_id, value, label });
    }

    fn labels(&mut self, labels: LabelsId) -> Vec<Label> {
        let dump = self.dump;
        let labels = dump.tables.labels(labels).iter();
        labels
            .map(|&(key, value)| Label {
                key: self.string(dump.string(key)),
                str: self.string(dump.string(value)),
            })
            .collect()
    }

    /// The number of the place at which these frames are, all but the last of them inlined.
    fn location(&mut self, frames: &[NamedFrame<'d>]) -> u64 {
        let key: Vec<_> = frames.iter().map(NamedFrame::callers_pc).collect();
        if let Some(&id) = self.locations.get(&key) {
            return id;
        }
        let id = self.locations.len() as u64 + 1;
        self.locations.insert(key, id);
        let address = frames.first().map_or(0, |frame| frame.callers_pc().saturating_sub(1));
        let line = frames.iter().filter(|frame| frame.is_known()).map(|frame| self.line(frame)).collect();
        let mapping_id = self.mapping_at(address);
        self.profile.location.push(Location { id, mapping_id, address, line });
        id
    }

    fn mapping_at(&self, address: u64) -> u64 {
        let mut mappings = self.profile.mapping.iter();
        mappings
            .find(|mapping| (mapping.memory_start..mapping.memory_limit).contains(&address))
            .map_or(0, |mapping| mapping.id)
    }

    fn line(&mut self, frame: &NamedFrame<'d>) -> Line {
        Line { function_id: self.function(frame), line: i64::from(frame.line) }
    }

    fn function(&mut self, frame: &NamedFrame<'d>) -> u64 {
        if let Some(&id) = self.functions.get(frame.function) {
            return id;
        }
        let id = self.functions.len() as u64 + 1;
        self.functions.insert(frame.function, id);
        let name = self.string(frame.function);
        let function = Function {
            id,
            name,
            system_name: name,
            filename: self.string(frame.file),
            start_line: frame.start_line.map_or(0, i64::from),
        };
        self.profile.function.push(function);
        id
    }

    fn string(&mut self, string: &'d str) -> i64 {
        let table = &mut self.profile.string_table;
        *self.strings.entry(string).or_insert_with(|| {
            table.push(string.to_owned());
            i64::try_from(table.len()).unwrap_or(i64::MAX) - 1
        })
    }
}

/// How many goroutines there are of each sample, the greatest first and equal ones by their addresses.
fn counts(dump: &Dump, options: &Options) -> Vec<((Stack, Option<LabelsId>), u64)> {
    let sort = |one: &DumpGoroutine| (sample_stack(options.by, one), one.labels);
    let counts: BTreeMap<_, _> = count_by(options.goroutines(dump), sort).into_iter().collect();
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_cached_key(|&((stack, labels), count)| {
        let pcs: Vec<_> = frames(dump, stack).iter().flatten().map(NamedFrame::callers_pc).collect();
        (std::cmp::Reverse(count), pcs, labels)
    });
    counts
}

fn sample_stack(by: By, goroutine: &DumpGoroutine) -> Stack {
    match by {
        By::CreatedBy => match (goroutine.creation_stack, goroutine.created_by) {
            (Some(stack), _) => Stack::Known(stack),
            (None, Some(at)) => Stack::Single(at),
            (None, None) => Stack::Unknown,
        },
        By::Stack | By::Wait | By::BlockedOn => Stack::Known(goroutine.stack),
    }
}

/// The frames that a profile has of a stack, those together that are one call of the machine. Like Go's own it
/// has none for `runtime.goexit`.
fn frames(dump: &Dump, stack: Stack) -> Vec<Vec<NamedFrame<'_>>> {
    let is_shown =
        |frames: &Vec<NamedFrame<'_>>| frames.last().is_some_and(|frame| frame.kind != FunctionKind::Goexit);
    match stack {
        Stack::Known(stack) => physical_frames(dump, stack).into_iter().filter(is_shown).collect(),
        Stack::Single(at) => vec![vec![dump.frame(at)]],
        Stack::Unknown => Vec::new(),
    }
}
