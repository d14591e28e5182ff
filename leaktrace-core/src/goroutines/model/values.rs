//! The values of arguments, as numbers. Text is made of them only where it is printed.

use super::ids::{ArgumentsId, StrId, ValuesId};
use super::tables::Tables;
use crate::go::goroutines::WordRows;

/// What stands for a value in the text of a frame's arguments.
pub(crate) const HOLE: char = '#';
/// How many values a dump has room for.
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
    /// What is between the parentheses, a `HOLE` in the place of each value.
    pub text: &'d str,
    /// Which of the goroutine's values is the first one of this frame.
    pub first: usize,
}

/// The values of the arguments of many goroutines, each of which has a row of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values {
    rows: WordRows,
}

impl From<WordRows> for Values {
    fn from(rows: WordRows) -> Self {
        Self { rows }
    }
}

impl Values {
    /// Sets `out` to those with number `id`; to none for a number of another table.
    pub fn read(&self, id: ValuesId, out: &mut Vec<u64>) {
        self.rows.read(id.index(), out);
    }

    /// How many there are with this number.
    pub fn count(&self, id: ValuesId) -> usize {
        self.rows.row_len(id.index())
    }

    /// How many goroutines have values.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How many values are stored: of those that are like others, only what differs.
    pub(in crate::goroutines) fn stored(&self) -> usize {
        self.rows.stored()
    }

    /// Adds those of a goroutine, which are `like` others.
    pub(in crate::goroutines) fn push(&mut self, values: &[u64], like: Option<ValuesId>) -> ValuesId {
        let index = self.rows.push(values, like.map(ValuesId::index));
        ValuesId::from_index(index).unwrap_or(ValuesId::next_of::<()>(&[]))
    }
}

impl Tables {
    /// How the arguments of a goroutine's frames are printed, innermost first: those that are known, and all of whose
    /// values are there. The values are of the innermost frames, as many as could be read.
    pub(crate) fn arguments_of(
        &self,
        arguments: Arguments,
    ) -> impl Iterator<Item = Option<FrameArguments<'_>>> {
        let texts = self.arguments.get(arguments.texts.index()).map_or(&[][..], AsRef::as_ref);
        let (mut end, count) = (0, self.values.count(arguments.values));
        texts.iter().map(move |text: &Option<StrId>| {
            let (text, first) = (self.strings.get((*text)?), end);
            end += text.matches(HOLE).count();
            (end <= count).then_some(FrameArguments { text, first })
        })
    }
}
