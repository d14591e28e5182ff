//! Colour, where it is wanted.

use std::fmt;

/// Whether text is coloured, with ANSI escape sequences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// Text alone.
    #[default]
    Plain,
    /// Text with colours.
    Ansi,
}

/// What a piece of text is, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// What to look at first: how many, and which `go` statement.
    Strong,
    /// What is getting worse.
    Alarm,
    /// What needs attention.
    Warning,
    /// What names the rest.
    Label,
    /// What can be skipped.
    Faint,
}

impl Style {
    /// `text` in the colour of `role`.
    pub(super) fn paint<T: fmt::Display>(self, role: Role, text: T) -> Painted<T> {
        let code = match (self, role) {
            (Self::Plain, _) => None,
            (Self::Ansi, Role::Strong) => Some("1"),
            (Self::Ansi, Role::Alarm) => Some("1;31"),
            (Self::Ansi, Role::Warning) => Some("33"),
            (Self::Ansi, Role::Label) => Some("36"),
            (Self::Ansi, Role::Faint) => Some("2"),
        };
        Painted { code, text }
    }
}

/// Text in a colour.
pub(super) struct Painted<T> {
    code: Option<&'static str>,
    text: T,
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "\x1b[{code}m{}\x1b[0m", self.text),
            None => self.text.fmt(f),
        }
    }
}
