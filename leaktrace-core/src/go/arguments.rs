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

    /// Where the values are, counted from the beginning of the arguments, and which bits of the eight bytes there count.
    pub fn words(&self) -> impl Iterator<Item = (u8, u64)> {
        self.items.iter().filter_map(|item| match *item {
            Item::Value { offset, size, .. } => Some((offset, mask(size))),
            Item::Open | Item::Close | Item::More | Item::TooFar => None,
        })
    }

    /// The text between the parentheses, with a `#` in the place of each of the [values](Self::words).
    pub fn text(&self) -> String {
        let (mut text, mut first) = (String::new(), true);
        for item in &self.items {
            if !first && !matches!(item, Item::Close) {
                text.push_str(", ");
            }
            text.push_str(match *item {
                Item::Open => "{",
                Item::Close => "}",
                Item::More => "...",
                Item::TooFar => "_",
                Item::Value { live: true, .. } => "#",
                Item::Value { live: false, .. } => "#?",
            });
            first = matches!(item, Item::Open);
        }
        text
    }
}

/// Whether the argument in this slot has its value where `live_index` counts.
fn is_live(live_info: &[u8], live_index: i32, slot: usize) -> Option<bool> {
    let Some(index) = usize::try_from(live_index).ok().filter(|&index| index > 0) else { return Some(true) };
    let bits = live_info.get(index.checked_add(slot / 8)?)?;
    Some(bits >> (slot % 8) & 1 == 1)
}

/// The lowest `size` bytes of a word.
const fn mask(size: u8) -> u64 {
    match size {
        0..8 => (1 << (size * 8)) - 1,
        8.. => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(info: &[u8], live_info: &[u8], live_index: i32) -> Option<String> {
        let list = ArgumentList::parse(info, live_info, live_index)?;
        let values = list.words().map(|(offset, mask)| (0x1122_3344_5566_7700 + u64::from(offset)) & mask);
        Some(values.fold(list.text(), |text, value| text.replacen('#', &format!("{value:#x}"), 1)))
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
    }
}
