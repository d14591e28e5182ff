//! The tables that goroutines refer to.

use super::blocked::{BlockedOn, Channel};
use super::ids::{BlockedId, ChannelId, FunctionId, LabelsId, LocationId, StackId, StrId};
use super::values::Values;
use crate::base::num::Pc;
use crate::go::traceback::FunctionKind;

/// Strings behind each other in one buffer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strings {
    text: String,
    ends: Vec<usize>,
}

impl Strings {
    /// The string with number `id`; empty for a number of another table.
    pub fn get(&self, id: StrId) -> &str {
        let index = id.index();
        let start = index.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        let end = self.ends.get(index).copied();
        start.zip(end).and_then(|(start, end)| self.text.get(start..end)).unwrap_or_default()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All of them, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).filter_map(StrId::from_index).map(|id| self.get(id))
    }

    pub(in crate::goroutines) fn push(&mut self, string: &str) -> StrId {
        let id = StrId::next_of(&self.ends);
        self.text.push_str(string);
        self.ends.push(self.text.len());
        id
    }
}

/// A function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Function {
    /// Its full name, type arguments included where the binary has them.
    pub name: StrId,
    /// The line on which it begins.
    pub start_line: Option<u32>,
    /// What it means to a traceback.
    pub kind: FunctionKind,
}

/// A place in code that stands on a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    /// Its address: the return address of a call, as `runtime.Callers` has it. Where calls were inlined, the
    /// innermost one has the real address, the others one that stands for them.
    pub pc: u64,
    /// How far `pc` lies after the entry of the function whose code it is in, which is the outermost one if
    /// this is inlined.
    pub offset: u64,
    /// The function, if it is known.
    pub function: Option<FunctionId>,
    /// The source file; empty where unknown.
    pub file: StrId,
    /// The line in it; 0 where the binary's own table says so.
    pub line: u32,
    /// Whether this call was inlined into the next frame.
    pub inlined: bool,
    /// Whether `pc` is the instruction itself, as after a fault, and not a return address.
    pub exact: bool,
}

/// A [`Location`] with its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedFrame<'d> {
    /// The function's full name; empty if it is not known.
    pub function: &'d str,
    /// The source file.
    pub file: &'d str,
    /// The line in it.
    pub line: u32,
    /// What the function means to a traceback.
    pub kind: FunctionKind,
    /// The line on which the function begins.
    pub start_line: Option<u32>,
    /// See [`Location::pc`].
    pub pc: u64,
    /// See [`Location::offset`].
    pub offset: u64,
    /// See [`Location::inlined`].
    pub inlined: bool,
    /// See [`Location::exact`].
    pub exact: bool,
}

impl NamedFrame<'_> {
    /// The address as `runtime.Callers` returns it: one after an instruction that is no call, too.
    pub(crate) const fn callers_pc(&self) -> u64 {
        self.pc.wrapping_add(self.exact as u64)
    }

    /// The address within the instruction that stands here.
    pub const fn call_site(&self) -> Pc {
        Pc(self.callers_pc().wrapping_sub(1))
    }

    /// Whether the function is known.
    pub const fn is_known(&self) -> bool {
        !self.function.is_empty()
    }
}

/// Stacks behind each other in one array, innermost frame first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StackTable {
    frames: Vec<LocationId>,
    ends: Vec<u32>,
}

impl StackTable {
    /// The stack with number `id`; empty for a number of another table.
    pub fn get(&self, id: StackId) -> &[LocationId] {
        let index = id.index();
        let start = index.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        let end = self.ends.get(index).copied();
        let range = start.zip(end).map(|(start, end)| start as usize..end as usize);
        range.and_then(|range| self.frames.get(range)).unwrap_or_default()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All of them, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &[LocationId]> {
        (0..self.len()).filter_map(StackId::from_index).map(|id| self.get(id))
    }

    /// Adds a stack. What does not fit in the table any more is cut off.
    pub(in crate::goroutines) fn push(&mut self, stack: &[LocationId]) -> StackId {
        let id = StackId::next_of(&self.ends);
        let room = (u32::MAX as usize).saturating_sub(self.frames.len());
        self.frames.extend_from_slice(&stack[..stack.len().min(room)]);
        self.ends.push(u32::try_from(self.frames.len()).unwrap_or(u32::MAX));
        id
    }
}

/// Everything that goroutines have in common, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// Strings.
    pub strings: Strings,
    /// Functions.
    pub functions: Vec<Function>,
    /// Places in code.
    pub locations: Vec<Location>,
    /// Stacks.
    pub stacks: StackTable,
    /// Sets of profiler labels.
    pub labels: Vec<Box<[(StrId, StrId)]>>,
    /// Channels.
    pub channels: Vec<Channel>,
    /// What goroutines are blocked on.
    pub blocked: Vec<BlockedOn>,
    /// How the arguments of a stack's frames are printed, innermost first, without the parentheses and with a
    /// `HOLE` in the place of each value.
    pub arguments: Vec<Box<[Option<StrId>]>>,
    /// The values of goroutines' arguments.
    pub values: Values,
}

impl Tables {
    /// The place with this number, with its names. A number of another table gives a place that has none.
    pub fn frame(&self, id: LocationId) -> NamedFrame<'_> {
        let Some(location) = self.locations.get(id.index()) else { return NamedFrame::unknown(0) };
        let function = location.function.and_then(|id| self.functions.get(id.index()));
        NamedFrame {
            function: function.map_or("", |function| self.strings.get(function.name)),
            file: self.strings.get(location.file),
            line: location.line,
            kind: function.map_or(FunctionKind::Normal, |function| function.kind),
            start_line: function.and_then(|function| function.start_line),
            pc: location.pc,
            offset: location.offset,
            inlined: location.inlined,
            exact: location.exact,
        }
    }

    /// The labels with this number.
    pub fn labels(&self, id: LabelsId) -> &[(StrId, StrId)] {
        self.labels.get(id.index()).map_or(&[], AsRef::as_ref)
    }

    /// The channel with this number.
    pub fn channel(&self, id: ChannelId) -> Option<&Channel> {
        self.channels.get(id.index())
    }

    /// What a goroutine with this number is blocked on.
    pub fn blocked(&self, id: BlockedId) -> Option<&BlockedOn> {
        self.blocked.get(id.index())
    }
}

impl NamedFrame<'_> {
    /// A place of which nothing is known but its address.
    pub const fn unknown(pc: u64) -> Self {
        Self {
            function: "",
            file: "",
            line: 0,
            kind: FunctionKind::Normal,
            start_line: None,
            pc,
            offset: 0,
            inlined: false,
            exact: false,
        }
    }
}
