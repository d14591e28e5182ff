//! The values of arguments, as numbers. Text is made of them only where it is printed.

use super::ids::{ArgumentsId, StrId, ValuesId};
use super::tables::Tables;

/// What stands for a value in the text of a frame's arguments.
pub const HOLE: char = '#';
/// How many values a dump has room for. What comes after is cut off.
pub const MAX_VALUES: usize = 32 << 20;

/// The arguments of one goroutine's frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// How they are printed, which all goroutines have in common that stand at the same place.
    pub texts: ArgumentsId,
    /// Their values.
    pub values: ValuesId,
}

/// How the arguments of one frame are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameArguments<'d> {
    /// What is between the parentheses, a [`HOLE`] in the place of each value.
    pub text: &'d str,
    /// Which of the goroutine's values is the first one of this frame.
    pub first: usize,
}

/// The values of many goroutines behind each other in one array.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    numbers: Vec<u64>,
    ends: Vec<u32>,
}

impl Values {
    /// Those with number `id`; none for a number of another table.
    pub fn get(&self, id: ValuesId) -> &[u64] {
        let index = id.index();
        let start = index.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        let end = self.ends.get(index).copied();
        let range = start.zip(end).map(|(start, end)| start as usize..end as usize);
        range.and_then(|range| self.numbers.get(range)).unwrap_or_default()
    }

    /// How many goroutines have values.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Adds those of a goroutine. What does not fit in the table any more is cut off.
    pub(in crate::dump) fn push(&mut self, values: &[u64]) -> ValuesId {
        let room = MAX_VALUES.saturating_sub(self.numbers.len());
        self.numbers.extend_from_slice(&values[..values.len().min(room)]);
        self.push_end(u32::try_from(self.numbers.len()).unwrap_or(u32::MAX))
    }

    /// Adds the values of many goroutines, which [`push_end`](Self::push_end) shares out.
    pub(in crate::dump) fn extend(&mut self, numbers: Vec<u64>) {
        if self.numbers.is_empty() {
            self.numbers = numbers;
        } else {
            self.numbers.extend(numbers);
        }
    }

    /// Adds a goroutine that has the values from the end of those of the goroutine before on.
    pub(in crate::dump) fn push_end(&mut self, end: u32) -> ValuesId {
        let id = ValuesId::next_of(&self.ends);
        self.ends.push(end);
        id
    }
}

impl Tables {
    /// How the arguments of a goroutine's frames are printed, innermost first: those that are known, and all of whose
    /// values are there. The values are of the innermost frames, as many as could be read.
    pub fn arguments_of(&self, arguments: Arguments) -> impl Iterator<Item = Option<FrameArguments<'_>>> {
        let texts = self.arguments.get(arguments.texts.index()).map_or(&[][..], AsRef::as_ref);
        let (mut end, count) = (0, self.values.get(arguments.values).len());
        texts.iter().map(move |text: &Option<StrId>| {
            let (text, first) = (self.strings.get((*text)?), end);
            end += text.matches(HOLE).count();
            (end <= count).then_some(FrameArguments { text, first })
        })
    }
}
