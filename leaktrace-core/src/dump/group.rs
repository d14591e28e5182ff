//! Puts goroutines together that have something in common.

use std::hash::Hash;

use crate::base::hash::KeyedMap;
use crate::go::names::Status;
use crate::goroutines::Dump;
use crate::goroutines::model::{BlockedId, BlockedOn, DumpGoroutine, LocationId, StackId, StrId};

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
    /// The very channel, lock or descriptor; where each has one of its own, the stack.
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
    /// Whether each of several waits for something of its own, on which no other goroutine waits.
    pub each_its_own: bool,
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
    let alone = match by {
        By::BlockedOn => Alone::of(dump, dump.listed(include_runtime)),
        By::Stack | By::CreatedBy | By::Wait => Alone::default(),
    };
    let (known, index) = (KeyedMap::default(), KeyedMap::default());
    let mut groups = Groups { dump, by, alone, known, index, found: Vec::new() };
    for (index, goroutine) in (0..).zip(&dump.goroutines) {
        if goroutine.is_listed(include_runtime) {
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
    ItsOwn(Place),
}

/// A stack, and the kind of thing that is waited for there.
type Place = (StackId, &'static str);

/// What decides on the [`Key`] of a goroutine where that is a text, and takes longer to compare.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Sort {
    CreatedBy(Option<LocationId>),
    Doing(Status, Option<StrId>),
}

impl Sort {
    const fn of(by: By, goroutine: &DumpGoroutine) -> Option<Self> {
        match by {
            By::CreatedBy => Some(Self::CreatedBy(goroutine.created_by)),
            By::Wait => Some(Self::Doing(goroutine.status, goroutine.wait_reason)),
            By::Stack | By::BlockedOn => None,
        }
    }
}

/// What only one goroutine waits for, and at which places there are such goroutines.
#[derive(Default)]
struct Alone {
    /// How many wait for each thing of the dump.
    waiters: Vec<u32>,
    places: KeyedMap<Place, u32>,
}

impl Alone {
    fn of<'g>(dump: &Dump, goroutines: impl Iterator<Item = &'g DumpGoroutine> + Clone) -> Self {
        let mut alone = Self { waiters: vec![0; dump.tables.blocked.len()], ..Self::default() };
        for id in goroutines.clone().filter_map(|one| one.blocked_on) {
            if let Some(waiters) = alone.waiters.get_mut(id.index()) {
                *waiters += 1;
            }
        }
        for one in goroutines {
            if let Some(place) = alone.place(dump, one) {
                *alone.places.entry(place).or_insert(0) += 1;
            }
        }
        alone
    }

    /// Where the goroutine waits for something that no other goroutine waits for.
    fn place(&self, dump: &Dump, goroutine: &DumpGoroutine) -> Option<Place> {
        let id = goroutine.blocked_on.filter(|id| self.waiters.get(id.index()) == Some(&1))?;
        Some((goroutine.stack, kind(dump.tables.blocked(id)?)))
    }

    /// The same, if there are several of that sort.
    fn one_of_several(&self, dump: &Dump, goroutine: &DumpGoroutine) -> Option<Place> {
        self.place(dump, goroutine).filter(|place| self.places.get(place).is_some_and(|&count| count > 1))
    }
}

const fn kind(blocked: &BlockedOn) -> &'static str {
    match blocked {
        BlockedOn::Channel { operation, .. } | BlockedOn::NilChannel { operation } => operation.as_str(),
        BlockedOn::Select { .. } | BlockedOn::NoCases => "select",
        BlockedOn::Lock { kind, .. } => kind.as_str(),
        BlockedOn::Sleep { .. } => "sleep",
        BlockedOn::Io { .. } => "io",
    }
}

struct Groups<'d> {
    dump: &'d Dump,
    by: By,
    alone: Alone,
    /// The groups of the sorts that were met.
    known: KeyedMap<Sort, usize>,
    index: KeyedMap<Key<'d>, usize>,
    found: Vec<Group>,
}

impl Groups<'_> {
    fn add(&mut self, index: u32, goroutine: &DumpGoroutine) {
        let sort = Sort::of(self.by, goroutine);
        let known = sort.and_then(|sort| self.known.get(&sort).copied());
        let at = known.unwrap_or_else(|| self.find(goroutine));
        if known.is_none() {
            self.known.extend(sort.map(|sort| (sort, at)));
        }
        self.found[at].add(index, goroutine);
    }

    /// Which group a goroutine belongs to, perhaps a new one.
    fn find(&mut self, goroutine: &DumpGoroutine) -> usize {
        let (dump, by) = (self.dump, self.by);
        let groups = &mut self.found;
        let key = key(dump, by, &self.alone, goroutine);
        let each_its_own = matches!(key, Key::ItsOwn(_));
        *self.index.entry(key).or_insert_with(|| {
            let title = if each_its_own { own_title(dump, goroutine) } else { title(dump, by, goroutine) };
            groups.push(Group { title, members: Vec::new(), oldest_ns: None, stack_bytes: 0, each_its_own });
            groups.len() - 1
        })
    }
}

fn key<'d>(dump: &'d Dump, by: By, alone: &Alone, goroutine: &DumpGoroutine) -> Key<'d> {
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
            Some((id, _)) => alone.one_of_several(dump, goroutine).map_or(Key::Blocked(id), Key::ItsOwn),
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

fn own_title(dump: &Dump, goroutine: &DumpGoroutine) -> String {
    let at = dump.standing_at(goroutine.stack).map(|frame| format!(" at {}", dump.place(&frame)));
    format!("{}, each on its own{}", dump.doing(goroutine), at.unwrap_or_default())
}
