//! The texts of what goroutines share, each made once.

use std::io;

/// How much text is kept, in bytes, and of how many entries: goroutines that share nothing have more of it than there
/// is memory.
const ROOM: usize = 4 << 20;
const ENTRIES: usize = 1 << 18;

/// The texts of a table's entries, the first that were met.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// Where in `text` that of each entry is; an empty one is not known.
    places: Vec<(u32, u32)>,
    text: Vec<u8>,
}

impl Texts {
    /// Appends the text of the entry with this number, which `make` appends.
    pub(super) fn push(
        &mut self,
        index: usize,
        out: &mut Vec<u8>,
        make: impl FnOnce(&mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<()> {
        let known =
            self.places.get(index).and_then(|&(start, end)| self.text.get(start as usize..end as usize));
        if let Some(text) = known.filter(|text| !text.is_empty()) {
            out.extend_from_slice(text);
            return Ok(());
        }
        let start = out.len();
        make(out)?;
        self.keep(index, &out[start..]);
        Ok(())
    }

    fn keep(&mut self, index: usize, text: &[u8]) {
        let (start, end) = (self.text.len(), self.text.len() + text.len());
        if index >= ENTRIES || end > ROOM {
            return;
        }
        let (Ok(start), Ok(end)) = (u32::try_from(start), u32::try_from(end)) else { return };
        if self.places.len() <= index {
            self.places.resize(index + 1, (0, 0));
        }
        self.places[index] = (start, end);
        self.text.extend_from_slice(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of entry `index`, and whether it had to be made.
    fn text_of(texts: &mut Texts, index: usize, text: &[u8]) -> (Vec<u8>, bool) {
        let (mut out, mut made) = (Vec::new(), false);
        let make = |out: &mut Vec<u8>| {
            made = true;
            out.extend_from_slice(text);
            Ok(())
        };
        texts.push(index, &mut out, make).unwrap();
        (out, made)
    }

    #[test]
    fn each_text_is_made_once_as_long_as_there_is_room() {
        let mut texts = Texts::default();
        assert_eq!(text_of(&mut texts, 7, b"seven"), (b"seven".to_vec(), true));
        assert_eq!(text_of(&mut texts, 3, b"three"), (b"three".to_vec(), true));
        assert_eq!(text_of(&mut texts, 7, b""), (b"seven".to_vec(), false));
        assert_eq!(text_of(&mut texts, 3, b""), (b"three".to_vec(), false));
        for _ in 0..2 {
            assert_eq!(text_of(&mut texts, ENTRIES, b"far").0, b"far");
            assert!(text_of(&mut texts, 4, &vec![b'x'; ROOM]).1, "it does not fit");
        }
    }
}
