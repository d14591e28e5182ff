//! Reads the table of wait reasons from the target.
//!
//! `waitReasonStrings` (`src/runtime/runtime2.go`) is an array of strings in initialised data, and
//! `waitReason.String`, which every program has, names it and compares with its length. Should that function
//! have changed, the table is still the only array of strings that begins as it does.

use crate::base::memory::{Memory, Unchanging};
use crate::base::num::Avma;
use crate::binary::disasm::Operation;
use crate::go::code::Code;
use crate::go::moduledata::AvmaRange;
use crate::go::names::WaitReasons;

/// What the table begins with in every release: reasons 0, 1 and 2.
const BEGINNING: [&str; 3] = ["", "GC assist marking", "IO wait"];
/// A `waitReason` is one byte, and no release has fewer than these.
const PLAUSIBLE: std::ops::RangeInclusive<u64> = 20..=255;
/// The size of a string's header: pointer and length.
const STRING: u64 = 16;
/// The longest name that is believed.
const MAX_NAME: usize = 128;
/// The most initialised data that is searched.
const MAX_SEARCHED: u64 = 64 << 20;
/// How much of it is read at a time.
const CHUNK: u64 = 1 << 20;

impl WaitReasons {
    /// The table of a running process; empty if there is none that looks like it.
    pub fn read(code: &Code<'_, '_>, memory: &dyn Memory) -> Self {
        Self::named_by_code(code, memory)
            .or_else(|| Self::found_in(code.module().data, memory))
            .unwrap_or_default()
    }

    fn named_by_code(code: &Code<'_, '_>, memory: &dyn Memory) -> Option<Self> {
        let instructions = code.instructions("runtime.waitReason.String").ok()?;
        let compared = instructions.iter().find_map(|one| match one.operation {
            Operation::Compare(number) if PLAUSIBLE.contains(&number) => Some(number),
            _ => None,
        })?;
        let named = instructions.iter().filter_map(|one| one.data);
        named
            .map(|data| code.bias().to_avma(data.address))
            .find_map(|at| Self::at(at, compared, memory).filter(|table| table.len() as u64 == compared))
    }

    fn found_in(data: AvmaRange, memory: &dyn Memory) -> Option<Self> {
        let len = data.end.offset_from(data.start)?.min(MAX_SEARCHED);
        let lengths = BEGINNING.map(|name| name.len() as u64);
        let mut chunks = (0..len).step_by(usize::try_from(CHUNK).ok()?);
        chunks.find_map(|start| {
            let at = data.start.plus(start);
            let bytes = memory.bytes(at, (CHUNK + 3 * STRING).min(len - start), usize::MAX).ok()?;
            let words: Vec<u64> =
                bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
            let mut headers = words.windows(6).enumerate();
            headers.find_map(|(index, words)| {
                let is_beginning = [words[1], words[3], words[5]] == lengths;
                let table = at.plus(index as u64 * 8);
                is_beginning.then(|| Self::at(table, *PLAUSIBLE.end(), memory)).flatten()
            })
        })
    }

    /// The table at `at`: as many names as look like one, at most `most`.
    fn at(at: Avma, most: u64, memory: &dyn Memory) -> Option<Self> {
        // The runtime never writes to it.
        let table = Unchanging::new(memory, [at..at.plus(most * STRING)]);
        let name = |index: u64| table.go_string(at.plus(index * STRING), MAX_NAME).ok();
        let looks_right = |(index, name): &(u64, String)| (*index == 0) == name.is_empty() && is_text(name);
        let names: Vec<String> = (0..most)
            .map_while(|index| Some((index, name(index)?)))
            .take_while(looks_right)
            .map(|(_, name)| name)
            .collect();
        let begins_right = BEGINNING.iter().zip(&names).all(|(wanted, name)| wanted == name);
        (begins_right && names.len() as u64 >= *PLAUSIBLE.start()).then(|| Self::new(names))
    }
}

fn is_text(name: &str) -> bool {
    name.chars().all(|character| character.is_ascii_graphic() || character == ' ')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::memory::Pieces;

    const TABLE: u64 = 0x1000;

    fn process(names: &[&str]) -> Pieces<'static> {
        let (mut headers, mut text) = (Vec::new(), Vec::new());
        for name in names {
            headers.extend((0x8000 + text.len() as u64).to_le_bytes());
            headers.extend((name.len() as u64).to_le_bytes());
            text.extend(name.as_bytes());
        }
        // Something else follows.
        headers.extend([0; 64]);
        Pieces::new().with(Avma(TABLE), headers).with(Avma(0x8000), text)
    }

    fn names() -> Vec<&'static str> {
        let mut names = BEGINNING.to_vec();
        names.resize(30, "chan receive");
        names
    }

    #[test]
    fn the_table_is_found_by_how_it_begins() {
        let memory = process(&names());
        let data = AvmaRange { start: Avma(TABLE), end: Avma(TABLE + 30 * 16 + 64) };
        let found = WaitReasons::found_in(data, &memory).unwrap();
        assert_eq!((found.len(), found.name(2), found.name(30)), (30, Some("IO wait"), None));
    }

    #[test]
    fn another_array_of_strings_is_not_taken_for_it() {
        let mut other = names();
        other[1] = "GC assist marking!";
        let data = AvmaRange { start: Avma(TABLE), end: Avma(TABLE + 30 * 16 + 64) };
        assert_eq!(WaitReasons::found_in(data, &process(&other)), None);
        assert_eq!(WaitReasons::at(Avma(TABLE), 47, &process(&names()[..10])), None);
    }
}
