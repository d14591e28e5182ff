//! Puts goroutines together that have something in common.

use std::collections::HashMap;
use std::hash::Hash;

use super::Dump;
use super::model::{BlockedId, BlockedOn, DumpGoroutine, StackId};

/// What the goroutines of a group have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum By {
    /// The whole stack, address by address.
    #[default]
    Stack,
    /// The `go` statement that started them: function, file and line.
    CreatedBy,
    /// What they wait for, in the runtime's words.
    Wait,
    /// The very channel, lock or descriptor.
    BlockedOn,
}

impl By {
    /// Every way.
    pub const ALL: [Self; 4] = [Self::Stack, Self::CreatedBy, Self::Wait, Self::BlockedOn];

    /// The name that users type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stack => "stack",
            Self::CreatedBy => "created-by",
            Self::Wait => "wait",
            Self::BlockedOn => "blocked-on",
        }
    }

    /// The way with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|by| by.as_str() == name)
    }
}

/// Goroutines that have something in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What that is, in one line.
    pub title: String,
    /// Which they are: indices of the dump's goroutines, ascending. Never empty.
    pub members: Vec<u32>,
    /// The longest time that one of them is known to have waited or lived.
    pub oldest_ns: Option<u64>,
    /// The size of their stacks together.
    pub stack_bytes: u64,
}

impl Group {
    /// How many goroutines it has.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether it has none, which does not happen.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Its goroutines.
    pub fn goroutines<'d>(&self, dump: &'d Dump) -> impl Iterator<Item = &'d DumpGoroutine> {
        self.members.iter().filter_map(|&index| dump.goroutines.get(index as usize))
    }

    fn add(&mut self, index: u32, goroutine: &DumpGoroutine) {
        self.members.push(index);
        self.oldest_ns = self.oldest_ns.max(goroutine.known_age_ns());
        self.stack_bytes = self.stack_bytes.saturating_add(goroutine.stack_bytes);
    }
}

/// Groups the goroutines of `dump`, the greatest group first; the runtime's own only on request.
pub fn group(dump: &Dump, by: By, include_runtime: bool) -> Vec<Group> {
    let mut groups = Groups { dump, by, index: HashMap::new(), found: Vec::new() };
    for (index, goroutine) in (0..).zip(&dump.goroutines) {
        if include_runtime || !goroutine.system {
            groups.add(index, goroutine);
        }
    }
    groups.found.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.title.cmp(&b.title)));
    groups.found
}

/// What groups are told apart by.
#[derive(PartialEq, Eq, Hash)]
enum Key<'d> {
    Nothing,
    Stack(StackId),
    Place(&'d str, &'d str, u32),
    Word(&'d str),
    Blocked(BlockedId),
}

struct Groups<'d> {
    dump: &'d Dump,
    by: By,
    index: HashMap<Key<'d>, usize>,
    found: Vec<Group>,
}

impl Groups<'_> {
    fn add(&mut self, index: u32, goroutine: &DumpGoroutine) {
        let (dump, by) = (self.dump, self.by);
        let groups = &mut self.found;
        let at = *self.index.entry(key(dump, by, goroutine)).or_insert_with(|| {
            let title = title(dump, by, goroutine);
            groups.push(Group { title, members: Vec::new(), oldest_ns: None, stack_bytes: 0 });
            groups.len() - 1
        });
        groups[at].add(index, goroutine);
    }
}

fn key<'d>(dump: &'d Dump, by: By, goroutine: &DumpGoroutine) -> Key<'d> {
    match by {
        By::Stack => Key::Stack(goroutine.stack),
        By::CreatedBy => goroutine.created_by.map_or(Key::Nothing, |at| {
            let frame = dump.frame(at);
            Key::Place(frame.function, frame.file, frame.line)
        }),
        By::Wait => Key::Word(dump.doing(goroutine)),
        By::BlockedOn => match goroutine.blocked_on.map(|id| (id, dump.tables.blocked(id))) {
            // What is left to sleep differs, but is nothing that sleepers have in common.
            Some((_, Some(BlockedOn::Sleep { .. }))) => Key::Word("sleep"),
            Some((id, _)) => Key::Blocked(id),
            None => Key::Word(dump.doing(goroutine)),
        },
    }
}

fn title(dump: &Dump, by: By, goroutine: &DumpGoroutine) -> String {
    match by {
        By::Stack => {
            let at = dump.standing_at(goroutine.stack);
            at.map_or_else(|| "(stack unknown)".to_owned(), |frame| dump.place(&frame))
        }
        By::CreatedBy => dump.creator(goroutine.created_by),
        By::Wait => dump.doing(goroutine).to_owned(),
        By::BlockedOn => {
            let blocked = goroutine.blocked_on.and_then(|id| dump.tables.blocked(id));
            blocked.map_or_else(|| dump.doing(goroutine).to_owned(), |blocked| dump.blocked_title(blocked))
        }
    }
}
