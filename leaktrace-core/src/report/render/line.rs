//! A line of text whose pieces have roles: cut to a width without cutting into an escape sequence. Whatever its pieces
//! hold, it is one line.

use std::fmt::Display;
use std::io::{self, Write};

use super::paint::{Role, Style};
use crate::base::escape::shown;

/// How lines come out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Page {
    pub(super) style: Style,
    pub(super) width: Option<usize>,
}

/// A line as it is put together.
#[derive(Default)]
pub(super) struct Line {
    pieces: Vec<(Option<Role>, String)>,
}

impl Line {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// A line that begins with `text`.
    pub(super) fn of(text: impl Display) -> Self {
        Self::new().text(text)
    }

    /// Adds text without a role.
    pub(super) fn text(mut self, text: impl Display) -> Self {
        self.pieces.push((None, shown(text)));
        self
    }

    /// Adds text with a role.
    pub(super) fn role(mut self, role: Role, text: impl Display) -> Self {
        self.pieces.push((Some(role), shown(text)));
        self
    }

    /// Writes the line and its end.
    pub(super) fn write(self, page: Page, out: &mut dyn Write) -> io::Result<()> {
        let mut room = page.width.unwrap_or(usize::MAX);
        let total: usize = self.pieces.iter().map(|(_, text)| text.chars().count()).sum();
        let cut = total > room;
        room -= usize::from(cut && room > 0);
        for (role, text) in self.pieces {
            let text: String = text.chars().take(room).collect();
            room -= text.chars().count();
            match role {
                Some(role) if !text.is_empty() => write!(out, "{}", page.style.paint(role, text))?,
                Some(_) | None => out.write_all(text.as_bytes())?,
            }
        }
        out.write_all(if cut { "…\n".as_bytes() } else { b"\n" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(line: Line, width: Option<usize>, style: Style) -> String {
        let mut out = Vec::new();
        line.write(Page { style, width }, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_is_cut_between_its_colours() {
        let line = || Line::of("ab").role(Role::Strong, "cdé").text("f");
        assert_eq!(written(line(), None, Style::Plain), "abcdéf\n");
        assert_eq!(written(line(), Some(6), Style::Plain), "abcdéf\n");
        assert_eq!(written(line(), Some(4), Style::Ansi), "ab\x1b[1mc\x1b[0m…\n");
        assert_eq!(written(line(), Some(0), Style::Plain), "…\n");
    }

    #[test]
    fn a_name_cannot_move_the_cursor() {
        assert_eq!(written(Line::of("main.\x1b[2Jf\n"), None, Style::Plain), "main.\\x1b[2Jf\\n\n");
    }
}
