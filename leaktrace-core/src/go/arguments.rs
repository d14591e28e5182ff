//! How Go's own tracebacks print the arguments of a frame: which words of it, and of which of them the compiler says that
//! they may be out of date by then.
//!
//! Source: Go `src/runtime/traceback.go` (`printArgs`), `src/internal/abi/symtab.go` and `funcdata.go`, the same in
//! go1.19 to go1.27.

use crate::go::moduledata::Module;
use crate::go::pclntab::{Function, TextOffset};

const PCDATA_ARG_LIVE_INDEX: u32 = 3;
const FUNCDATA_ARG_INFO: u8 = 5;
const FUNCDATA_ARG_LIVE_INFO: u8 = 6;
/// The longest description of arguments that compilers write, in bytes: `abi.TraceArgsMaxLen`.
const MAX_LEN: usize = 171;

const END: u8 = 0xff;
const OPEN: u8 = 0xfe;
const CLOSE: u8 = 0xfd;
const MORE: u8 = 0xfc;
const TOO_FAR: u8 = 0xfb;

/// The arguments of a function as they are printed where it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArgumentList {
    items: Vec<Item>,
}

/// A part of what is printed between the parentheses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    Open,
    Close,
    More,
    TooFar,
    Value {
        offset: u8,
        size: u8,
        /// Whether the value is known to be what it was in the call.
        live: bool,
    },
}

impl ArgumentList {
    /// Those of `function`, one of `module`'s, when it stands at `at`. A function without a description, such as one in
    /// assembly, prints none. `None` if the description is corrupt.
    pub fn of(module: &Module<'_>, function: &Function<'_>, at: TextOffset) -> Option<Self> {
        let Some(info) = function.funcdata(FUNCDATA_ARG_INFO) else { return Some(Self::default()) };
        let live_info = function.funcdata(FUNCDATA_ARG_LIVE_INFO).map(|offset| module.funcdata(offset));
        let live_info = match live_info {
            None => &[],
            Some(found) => found?,
        };
        Self::parse(module.funcdata(info)?, live_info, function.pcdata(PCDATA_ARG_LIVE_INDEX, at)?)
    }

    /// Reads a description; `live_info` is empty where there is none, so that all is live.
    fn parse(info: &[u8], live_info: &[u8], live_index: i32) -> Option<Self> {
        let first_checked = live_info.first().copied().unwrap_or(u8::MAX);
        let (mut items, mut slot) = (Vec::new(), 0);
        let mut bytes = info.iter().take(MAX_LEN).copied();
        loop {
            let item = match bytes.next()? {
                END => return Some(Self { items }),
                OPEN => Item::Open,
                CLOSE => Item::Close,
                MORE => Item::More,
                TOO_FAR => Item::TooFar,
                offset => {
                    let size = bytes.next()?;
                    let checked = offset >= first_checked;
                    let live = !checked || is_live(live_info, live_index, slot)?;
                    slot += usize::from(checked);
                    Item::Value { offset, size, live }
                }
            };
            items.push(item);
        }
    }

    /// Puts the values into `out`; `word` is asked for the eight bytes at an offset of the arguments. `None` if it does
    /// not know one of them.
    pub fn values(&self, word: impl Fn(u8) -> Option<u64>, out: &mut Vec<u64>) -> Option<()> {
        out.clear();
        for item in &self.items {
            if let Item::Value { offset, size, .. } = *item {
                out.push(cut(word(offset)?, size));
            }
        }
        Some(())
    }

    /// The text between the parentheses for these [`values`](Self::values).
    pub fn print(&self, values: &[u64]) -> String {
        let (mut text, mut first, mut values) = (String::new(), true, values.iter());
        for item in &self.items {
            if !first && !matches!(item, Item::Close) {
                text.push_str(", ");
            }
            match *item {
                Item::Open => text.push('{'),
                Item::Close => text.push('}'),
                Item::More => text.push_str("..."),
                Item::TooFar => text.push('_'),
                Item::Value { live, .. } => {
                    push_hex(values.next().copied().unwrap_or_default(), &mut text);
                    text.push_str(if live { "" } else { "?" });
                }
            }
            first = matches!(item, Item::Open);
        }
        text
    }
}

/// Writes a number without the machinery of formatting.
fn push_hex(value: u64, text: &mut String) {
    text.push_str("0x");
    let digits = (u64::BITS - value.leading_zeros()).div_ceil(4).max(1);
    let digit = |place: u32| char::from_digit(u32::from((value >> (place * 4)).to_le_bytes()[0] & 0xf), 16);
    text.extend((0..digits).rev().filter_map(digit));
}

/// Whether the argument in this slot has its value where `live_index` counts.
fn is_live(live_info: &[u8], live_index: i32, slot: usize) -> Option<bool> {
    let Some(index) = usize::try_from(live_index).ok().filter(|&index| index > 0) else { return Some(true) };
    let bits = live_info.get(index.checked_add(slot / 8)?)?;
    Some(bits >> (slot % 8) & 1 == 1)
}

/// The lowest `size` bytes of a word.
const fn cut(word: u64, size: u8) -> u64 {
    match size {
        0 => 0,
        1..8 => word & ((1 << (size * 8)) - 1),
        8.. => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(info: &[u8], live_info: &[u8], live_index: i32) -> Option<String> {
        let list = ArgumentList::parse(info, live_info, live_index)?;
        let mut values = Vec::new();
        let word = |offset| (offset < 100).then_some(0x1122_3344_5566_7700 + u64::from(offset));
        list.values(word, &mut values).map(|()| list.print(&values))
    }

    #[test]
    fn values_have_their_size_and_aggregates_braces() {
        assert_eq!(printed(&[END], &[], -1).as_deref(), Some(""));
        assert_eq!(printed(&[0, 8, 8, 1, END], &[], -1).as_deref(), Some("0x1122334455667700, 0x8"));
        let nested = [OPEN, 0, 1, OPEN, CLOSE, 16, 2, CLOSE, MORE, TOO_FAR, END];
        assert_eq!(printed(&nested, &[], -1).as_deref(), Some("{0x0, {}, 0x7710}, ..., _"));
    }

    #[test]
    fn what_may_be_out_of_date_has_a_question_mark() {
        // The arguments from offset 8 on are checked: of two slots the first is dead at index 1, the second live.
        let (info, live_info) = ([0, 1, 8, 1, 16, 1, END], [8, 0b10]);
        assert_eq!(printed(&info, &live_info, 1).as_deref(), Some("0x0, 0x8?, 0x10"));
        assert_eq!(printed(&info, &live_info, -1).as_deref(), Some("0x0, 0x8, 0x10"));
        assert_eq!(printed(&info, &live_info, 0).as_deref(), Some("0x0, 0x8, 0x10"));
    }

    #[test]
    fn what_is_corrupt_or_not_known_is_not_printed() {
        assert_eq!(printed(&[0, 8], &[], -1), None, "it has no end");
        assert_eq!(printed(&[0], &[], -1), None, "it ends within an argument");
        assert_eq!(printed(&[OPEN; 4_000], &[], -1), None, "it is longer than any");
        assert_eq!(printed(&[8, 1, END], &[8], 1), None, "what is live is not told");
        assert_eq!(printed(&[120, 8, END], &[], -1), None, "the word cannot be read");
    }
}
