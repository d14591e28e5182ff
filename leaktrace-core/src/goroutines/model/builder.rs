//! Builds a dump, storing equal things once.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hash};

use super::blocked::{BlockedOn, Channel, SelectCase};
use super::goroutine::DumpGoroutine;
use super::ids::{
    ArgumentsId, BlockedId, ChannelId, FunctionId, LabelsId, LocationId, StackId, StrId, ValuesId,
};
use super::tables::{Function, Location, NamedFrame};
use super::values::Values;
use super::{Completeness, Dump, FunctionKind, Mapping, ProcessInfo, UnixTime};
use crate::base::hash::KeyedMap;
use crate::base::human::some;
use crate::go::goroutines::WordRows;

/// Collects what a [`Dump`] consists of.
///
/// The tables are hashed with a secret, since strings and stacks are the target's to choose.
///
/// Every method that takes something returns its number, the same one for the same thing. A channel is the same
/// if it has the same address.
#[derive(Debug, Default)]
pub struct DumpBuilder {
    dump: Dump,
    strings: KeyedMap<Box<str>, StrId>,
    functions: KeyedMap<Function, FunctionId>,
    locations: KeyedMap<Location, LocationId>,
    stacks: KeyedMap<Box<[LocationId]>, StackId>,
    labels: KeyedMap<Box<[(StrId, StrId)]>, LabelsId>,
    channels: KeyedMap<u64, ChannelId>,
    blocked: KeyedMap<BlockedOn, BlockedId>,
    /// The first select whose cases have this hash, which nobody else knows to make.
    selects: KeyedMap<u64, BlockedId>,
    arguments: KeyedMap<Box<[Option<StrId>]>, ArgumentsId>,
}

impl DumpBuilder {
    /// An empty dump of `target`.
    pub fn new(target: ProcessInfo, taken_at: UnixTime) -> Self {
        Self { dump: Dump { taken_at, target, ..Dump::default() }, ..Self::default() }
    }

    /// Adds a string.
    pub fn string(&mut self, string: &str) -> StrId {
        if let Some(&id) = self.strings.get(string) {
            return id;
        }
        let id = self.dump.tables.strings.push(string);
        self.strings.insert(string.into(), id);
        id
    }

    /// Adds a function.
    pub fn function(&mut self, function: Function) -> FunctionId {
        intern(&mut self.functions, &mut self.dump.tables.functions, function, FunctionId::next_of)
    }

    /// Adds a place in code.
    pub fn location(&mut self, location: Location) -> LocationId {
        intern(&mut self.locations, &mut self.dump.tables.locations, location, LocationId::next_of)
    }

    /// Adds a stack, innermost frame first.
    pub fn stack(&mut self, frames: &[LocationId]) -> StackId {
        if let Some(&id) = self.stacks.get(frames) {
            return id;
        }
        let id = self.dump.tables.stacks.push(frames);
        self.stacks.insert(frames.into(), id);
        id
    }

    /// Adds a set of profiler labels; none for an empty one.
    pub fn labels<'s>(&mut self, labels: impl IntoIterator<Item = (&'s str, &'s str)>) -> Option<LabelsId> {
        let labels: Box<[_]> =
            labels.into_iter().map(|(key, value)| (self.string(key), self.string(value))).collect();
        if labels.is_empty() {
            return None;
        }
        Some(intern(&mut self.labels, &mut self.dump.tables.labels, labels, LabelsId::next_of))
    }

    /// Adds a channel, unless there is one at its address.
    pub fn channel(&mut self, channel: Channel) -> ChannelId {
        let tables = &mut self.dump.tables.channels;
        *self.channels.entry(channel.address.0).or_insert_with(|| {
            let id = ChannelId::next_of(tables);
            tables.push(channel);
            id
        })
    }

    /// Adds what a goroutine is blocked on.
    pub fn blocked_on(&mut self, blocked: BlockedOn) -> BlockedId {
        if let BlockedOn::Select { cases } = &blocked {
            return self.select(cases);
        }
        intern(&mut self.blocked, &mut self.dump.tables.blocked, blocked, BlockedId::next_of)
    }

    /// Adds that a goroutine is blocked on a select with these cases.
    pub fn select(&mut self, cases: &[SelectCase]) -> BlockedId {
        let hash = self.selects.hasher().hash_one(cases);
        let known = self.selects.get(&hash).copied();
        let is_same = |id: &BlockedId| match self.dump.tables.blocked(*id) {
            Some(BlockedOn::Select { cases: known }) => **known == *cases,
            _ => false,
        };
        known.filter(is_same).unwrap_or_else(|| {
            let id = self.new_blocked_on(BlockedOn::Select { cases: cases.into() });
            self.selects.entry(hash).or_insert(id);
            id
        })
    }

    /// Adds a channel that was not added before.
    pub(in crate::goroutines) fn new_channel(&mut self, channel: Channel) -> ChannelId {
        let id = ChannelId::next_of(&self.dump.tables.channels);
        self.dump.tables.channels.push(channel);
        id
    }

    /// Adds what a goroutine is blocked on, and no other was yet.
    pub(in crate::goroutines) fn new_blocked_on(&mut self, blocked: BlockedOn) -> BlockedId {
        let id = BlockedId::next_of(&self.dump.tables.blocked);
        self.dump.tables.blocked.push(blocked);
        id
    }

    /// The frames of a stack that was added, innermost first.
    pub(in crate::goroutines) fn frames(&self, stack: StackId) -> impl Iterator<Item = NamedFrame<'_>> {
        self.dump.frames(stack)
    }

    /// Adds how the arguments of a stack's frames are printed, innermost first, with a `HOLE` in the
    /// place of each value.
    pub fn arguments(&mut self, texts: Box<[Option<StrId>]>) -> ArgumentsId {
        intern(&mut self.arguments, &mut self.dump.tables.arguments, texts, ArgumentsId::next_of)
    }

    /// Adds the values of a goroutine's arguments, those of its innermost frame first, which are `like` another one's.
    pub fn values(&mut self, values: &[u64], like: Option<ValuesId>) -> ValuesId {
        self.dump.tables.values.push(values, like)
    }

    /// Makes room for so many goroutines.
    pub(crate) fn reserve(&mut self, goroutines: usize) {
        self.dump.goroutines.reserve_exact(goroutines);
    }

    /// Sets the values of all goroutines, which are numbered from 0 on.
    pub(in crate::goroutines) fn all_values(&mut self, rows: WordRows) {
        self.dump.tables.values = Values::from(rows);
    }

    /// Those with number `index`, if there are so many.
    pub(in crate::goroutines) fn values_at(&self, index: usize) -> Option<ValuesId> {
        ValuesId::from_index(index).filter(|id| id.index() < self.dump.tables.values.len())
    }

    /// Adds a goroutine.
    pub fn goroutine(&mut self, goroutine: DumpGoroutine) {
        self.dump.goroutines.push(goroutine);
    }

    /// Adds a mapping.
    pub fn mapping(&mut self, mapping: Mapping) {
        self.dump.mappings.push(mapping);
    }

    /// Where stacks of how many goroutines are cut, a sentence for each reason and file.
    pub(in crate::goroutines) fn cut_notes(&self) -> Vec<String> {
        let mut counts: BTreeMap<_, (u64, u64)> = BTreeMap::new();
        for goroutine in self.dump.goroutines.iter().filter(|goroutine| goroutine.cut) {
            let Some(frame) = self.dump.frames(goroutine.stack).next_back() else { continue };
            if frame.kind == FunctionKind::Cut {
                counts.entry((frame.function, frame.file)).or_insert((0, frame.pc)).0 += 1;
            }
        }
        let note = |((reason, file), (count, pc)): ((&str, &str), (u64, u64))| {
            let reason = reason.trim_matches('.').trim_start_matches("stack cut: ");
            let stacks = some(count, "stack");
            let file = if file.is_empty() { String::new() } else { format!(" in {file}") };
            let at = if pc == 0 { String::new() } else { format!(" (first at {pc:#x}{file})") };
            format!("cut at the outer end, {stacks}: {reason}{at}")
        };
        counts.into_iter().map(note).collect()
    }

    /// The file that is mapped executable at this address.
    pub(in crate::goroutines) fn mapped_file(&self, pc: u64) -> Option<&str> {
        let is_there = |mapping: &&Mapping| (mapping.start.0..mapping.end.0).contains(&pc);
        self.dump.mappings.iter().find(is_there).map(|mapping| mapping.file.as_str())
    }

    /// What the dump could not see, to be filled in.
    pub const fn completeness(&mut self) -> &mut Completeness {
        &mut self.dump.completeness
    }

    /// The dump.
    pub fn finish(self) -> Dump {
        self.dump
    }
}

fn intern<T: Clone + Eq + Hash, Id: Copy>(
    known: &mut KeyedMap<T, Id>,
    table: &mut Vec<T>,
    value: T,
    next: impl FnOnce(&[T]) -> Id,
) -> Id {
    if let Some(&id) = known.get(&value) {
        return id;
    }
    let id = next(table);
    table.push(value.clone());
    known.insert(value, id);
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::num::Goid;
    use crate::go::names::Status;
    use crate::goroutines::model::ChannelOperation;

    #[test]
    fn cut_stacks_are_told_by_reason_and_file() {
        let mut builder = DumpBuilder::default();
        let names = ["...stack cut: no Go function table has this address...", "main.f"];
        let mut stack = |name: &str, file: &str, pc: u64, kind: FunctionKind| {
            let name = builder.string(name);
            let function = Some(builder.function(Function { name, start_line: None, kind }));
            let file = builder.string(file);
            let at = Location { pc, offset: 0, function, file, line: 0, inlined: false, exact: false };
            let at = builder.location(at);
            builder.stack(&[at])
        };
        let plugin = stack(names[0], "/srv/plug.so", 0x7f12, FunctionKind::Cut);
        let unknown = stack(names[0], "", 0, FunctionKind::Cut);
        let whole = stack(names[1], "main.go", 0x40, FunctionKind::Normal);
        for (goid, stack, cut) in
            [(1, plugin, true), (2, plugin, true), (3, unknown, true), (4, whole, false)]
        {
            let goroutine = DumpGoroutine::new(Goid(goid), Status::Waiting, stack);
            builder.goroutine(DumpGoroutine { cut, ..goroutine });
        }
        assert_eq!(
            builder.cut_notes(),
            [
                "cut at the outer end, 1 stack: no Go function table has this address",
                "cut at the outer end, 2 stacks: no Go function table has this address (first at 0x7f12 in /srv/plug.so)",
            ]
        );
    }

    #[test]
    fn selects_with_the_same_cases_are_one() {
        let mut builder = DumpBuilder::default();
        let case = |operation, index| {
            let channel = ChannelId::from_index(index).unwrap();
            SelectCase { operation, channel }
        };
        let (receive, send) = (case(ChannelOperation::Receive, 0), case(ChannelOperation::Send, 1));
        let both = builder.select(&[receive, send]);
        let others = [&[send, receive][..], &[receive], &[]].map(|cases| builder.select(cases));
        assert!(!others.contains(&both));
        assert_eq!(builder.select(&[receive, send]), both);
        assert_eq!(builder.blocked_on(BlockedOn::Select { cases: [receive, send].into() }), both);
        assert_eq!(builder.finish().tables.blocked.len(), 4);
    }
}
