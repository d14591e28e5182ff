//! Puts goroutine profiles together: one of the difference between two moments, or one of many processes.
//!
//! Like `profile.Merge` of <https://github.com/google/pprof>, which Go's `net/http/pprof` uses: equal stacks with equal
//! labels are one sample, addresses of a file that is mapped elsewhere are moved, and what adds up to nothing is left out.

use super::build::{KIND, UNIT};
use super::proto::{Function, Label, Line, Location, Mapping, Profile, Sample, ValueType};
use crate::base::hash::KeyedMap;

/// The sizes of mappings are compared in these, as by pprof itself.
const PAGE: u64 = 0x1000;

/// Collects profiles of goroutines.
#[derive(Debug)]
pub struct Merge {
    profile: Profile,
    strings: KeyedMap<String, i64>,
    mappings: KeyedMap<MappingKey, u64>,
    functions: KeyedMap<Function, u64>,
    locations: KeyedMap<Location, u64>,
    samples: KeyedMap<(Vec<u64>, Vec<Label>), usize>,
    /// How many frames all samples have.
    frames: usize,
}

/// What makes a mapped file the same: how much of it is mapped from where, and its build id or, without one, its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct MappingKey {
    size: u64,
    offset: u64,
    file: String,
}

/// The numbers that a profile which is added has for its mappings and locations, and those that they have here.
struct Added<'p> {
    from: &'p Profile,
    mappings: KeyedMap<u64, u64>,
    locations: KeyedMap<u64, u64>,
}

impl Default for Merge {
    fn default() -> Self {
        Self::new()
    }
}

impl Merge {
    /// Nothing yet.
    pub fn new() -> Self {
        let mut merge = Self {
            profile: Profile { period: 1, ..Profile::default() },
            strings: KeyedMap::default(),
            mappings: KeyedMap::default(),
            functions: KeyedMap::default(),
            locations: KeyedMap::default(),
            samples: KeyedMap::default(),
            frames: 0,
        };
        merge.string("");
        let kind = ValueType { r#type: merge.string(KIND), unit: merge.string(UNIT) };
        merge.profile.sample_type.push(kind);
        merge.profile.period_type = Some(kind);
        merge
    }

    /// Adds each sample `times` times, with `labels` besides its own.
    pub fn add(&mut self, profile: &Profile, times: i64, labels: &[(&str, &str)]) {
        let mut added =
            Added { from: profile, mappings: KeyedMap::default(), locations: KeyedMap::default() };
        // Readers take the first one for the program itself.
        if let Some(main) = profile.mapping.first() {
            self.mapping(main.id, &mut added);
        }
        let labels: Vec<Label> = labels
            .iter()
            .map(|&(key, value)| Label { key: self.string(key), str: self.string(value) })
            .collect();
        for sample in profile.sample.iter().filter(|sample| !is_nothing(sample)) {
            self.sample(sample, times, &labels, &mut added);
        }
        for comment in &profile.comment {
            self.comment(added.string(*comment));
        }
    }

    /// Adds the goroutines of one of many processes, with `labels` instead of their own: those may be as many as there are
    /// requests, and are nobody's to see who only wants to know about the node.
    pub fn add_process(&mut self, mut profile: Profile, labels: &[(&str, &str)]) {
        profile.comment.clear();
        profile.sample.iter_mut().for_each(|sample| sample.label.clear());
        self.add(&profile, 1, labels);
    }

    /// Adds a remark, once.
    pub fn comment(&mut self, remark: &str) {
        let remark = self.string(remark);
        if !self.profile.comment.contains(&remark) {
            self.profile.comment.push(remark);
        }
    }

    /// Says when it was taken, in nanoseconds since 1970.
    pub const fn taken_at(&mut self, unix_ns: i64) {
        self.profile.time_nanos = unix_ns;
    }

    /// How many frames all samples have, which is most of what it takes in memory.
    pub const fn frames(&self) -> usize {
        self.frames
    }

    /// The profile, without what has added up to nothing.
    pub fn finish(self) -> Profile {
        let profile = self.profile;
        if !profile.sample.iter().any(is_nothing) {
            return profile;
        }
        // Anew, so that neither is there what only those samples refer to.
        let mut rest = Self::new();
        rest.add(&profile, 1, &[]);
        rest.taken_at(profile.time_nanos);
        rest.profile
    }

    fn sample(&mut self, sample: &Sample, times: i64, labels: &[Label], added: &mut Added<'_>) {
        let stack: Vec<u64> = sample.location_id.iter().map(|id| self.location(*id, added)).collect();
        let own = sample.label.iter().map(|label| Label {
            key: self.string(added.string(label.key)),
            str: self.string(added.string(label.str)),
        });
        let mut label: Vec<Label> = own.collect();
        label.extend(labels);
        label.sort_unstable_by_key(|label| (label.key, label.str));
        let value = sample.value.first().map_or(0, |value| value.saturating_mul(times));
        let next = self.profile.sample.len();
        let at = *self.samples.entry((stack, label)).or_insert_with_key(|(stack, label)| {
            self.frames += stack.len();
            let (location_id, label) = (stack.clone(), label.clone());
            self.profile.sample.push(Sample { location_id, value: vec![0], label });
            next
        });
        for sum in &mut self.profile.sample[at].value {
            *sum = sum.saturating_add(value);
        }
    }

    fn location(&mut self, id: u64, added: &mut Added<'_>) -> u64 {
        if let Some(known) = added.locations.get(&id) {
            return *known;
        }
        let unknown = Location::default();
        let from = added.from;
        let location = numbered(&from.location, id, |location| location.id).unwrap_or(&unknown);
        let (mapping_id, begins, began) = self.mapping(location.mapping_id, added);
        let line = location
            .line
            .iter()
            .map(|line| Line { function_id: self.function(line.function_id, added), line: line.line });
        let line = line.collect();
        let address = location.address.wrapping_sub(began).wrapping_add(begins);
        let next = self.profile.location.len() as u64 + 1;
        // Without a number it is what it is equal by.
        let ours = *self.locations.entry(Location { id: 0, mapping_id, address, line }).or_insert_with_key(
            |location| {
                self.profile.location.push(Location { id: next, ..location.clone() });
                next
            },
        );
        added.locations.insert(id, ours);
        ours
    }

    /// The number of a mapping, where it begins here, and where it began.
    fn mapping(&mut self, id: u64, added: &mut Added<'_>) -> (u64, u64, u64) {
        let Some(mapping) = numbered(&added.from.mapping, id, |mapping| mapping.id) else { return (0, 0, 0) };
        let ours = added.mappings.get(&id).copied().unwrap_or_else(|| self.new_mapping(mapping, added));
        added.mappings.insert(id, ours);
        let begins = numbered(&self.profile.mapping, ours, |mapping| mapping.id);
        (ours, begins.map_or(0, |mapping| mapping.memory_start), mapping.memory_start)
    }

    fn new_mapping(&mut self, mapping: &Mapping, added: &Added<'_>) -> u64 {
        let (file, build_id) = (added.string(mapping.filename), added.string(mapping.build_id));
        let size = mapping.memory_limit.wrapping_sub(mapping.memory_start);
        let key = MappingKey {
            size: size.checked_next_multiple_of(PAGE).unwrap_or(size),
            offset: mapping.file_offset,
            file: if build_id.is_empty() { file } else { build_id }.to_owned(),
        };
        let (filename, build_id) = (self.string(file), self.string(build_id));
        let next = self.profile.mapping.len() as u64 + 1;
        *self.mappings.entry(key).or_insert_with(|| {
            self.profile.mapping.push(Mapping { id: next, filename, build_id, ..*mapping });
            next
        })
    }

    fn function(&mut self, id: u64, added: &Added<'_>) -> u64 {
        let Some(function) = numbered(&added.from.function, id, |function| function.id) else { return 0 };
        let function = Function {
            id: 0,
            name: self.string(added.string(function.name)),
            system_name: self.string(added.string(function.system_name)),
            filename: self.string(added.string(function.filename)),
            start_line: function.start_line,
        };
        let next = self.profile.function.len() as u64 + 1;
        *self.functions.entry(function).or_insert_with(|| {
            self.profile.function.push(Function { id: next, ..function });
            next
        })
    }

    fn string(&mut self, string: &str) -> i64 {
        if let Some(known) = self.strings.get(string) {
            return *known;
        }
        let table = &mut self.profile.string_table;
        table.push(string.to_owned());
        let next = i64::try_from(table.len()).unwrap_or(i64::MAX) - 1;
        self.strings.insert(string.to_owned(), next);
        next
    }
}

impl<'p> Added<'p> {
    fn string(&self, index: i64) -> &'p str {
        let string = usize::try_from(index).ok().and_then(|index| self.from.string_table.get(index));
        string.map_or("", String::as_str)
    }
}

/// What has this number, in a table that is numbered from 1.
fn numbered<T>(table: &[T], id: u64, number: impl Fn(&T) -> u64) -> Option<&T> {
    let index = usize::try_from(id.checked_sub(1)?).ok()?;
    table.get(index).filter(|one| number(one) == id)
}

fn is_nothing(sample: &Sample) -> bool {
    sample.value.iter().all(|value| *value == 0)
}

#[cfg(test)]
mod tests;
