//! JSON of which no part does anything else than to be read: what a terminal or an editor would act on is written as
//! `\u202e`, which means the same to whoever parses it.

use std::io::{self, Write};

use super::escape;

/// Passes on JSON with every character visible. Outside of its strings there are no others, and the control characters of
/// ASCII are written like this anyway. What is written at a time ends with a whole character, as serde's does.
pub(crate) struct Visible<'w>(pub(crate) &'w mut dyn Write);

impl Write for Visible<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(bytes) {
            Ok(text) if !bytes.iter().all(|byte| *byte < DELETE) => write_visibly(self.0, text)?,
            Ok(_) | Err(_) => self.0.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The first character that JSON does not care for.
const DELETE: u8 = 0x7f;

fn write_visibly(out: &mut dyn Write, text: &str) -> io::Result<()> {
    let mut rest = text;
    while let Some((before, hostile, after)) = next_hostile(rest) {
        out.write_all(before.as_bytes())?;
        for unit in hostile.encode_utf16(&mut [0; 2]) {
            write!(out, "\\u{unit:04x}")?;
        }
        rest = after;
    }
    out.write_all(rest.as_bytes())
}

/// The first character that does something, with what is before and after it.
fn next_hostile(text: &str) -> Option<(&str, char, &str)> {
    let does_something = |c: &char| *c >= char::from(DELETE) && escape::is_hostile(*c);
    let (at, hostile) = text.char_indices().find(|(_, c)| does_something(c))?;
    Some((&text[..at], hostile, &text[at + hostile.len_utf8()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_something_is_written_so_that_it_can_be_seen_and_means_the_same() {
        let hostile = "a\u{9b}2J\u{7f}\u{202e}b\u{2028}\u{feff}\u{e0001}\n\x1b\"";
        for text in [hostile, "", "größe 世界 😀", "main.(*Server).serve"] {
            let mut json = Vec::new();
            serde_json::to_writer_pretty(Visible(&mut json), &[text]).unwrap();
            let json = String::from_utf8(json).unwrap();
            assert!(json.lines().all(escape::is_printable), "{json:?}");
            assert_eq!(serde_json::from_str::<Vec<String>>(&json).unwrap(), [text]);
        }
    }

    #[test]
    fn what_does_nothing_is_written_as_it_is() {
        let mut json = Vec::new();
        Visible(&mut json).write_all("{\n  \"größe\": \"😀\"\n}".as_bytes()).unwrap();
        assert_eq!(json, "{\n  \"größe\": \"😀\"\n}".as_bytes());
    }
}
