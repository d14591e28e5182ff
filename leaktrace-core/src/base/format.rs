//! The table of output formats: name, file extensions, help text and writer.

use std::fmt;
use std::path::Path;

/// For whom a format is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// People, who may like colours and a screen.
    People,
    /// Programs, which take in what is text one after the other.
    Programs,
    /// Programs, with bytes that a terminal should not be given.
    Binary,
    /// Other tools, which want one whole file, and sources as the repository calls them.
    Tools,
}

/// A format: a row of a [`Formats`].
pub struct Format<W: 'static> {
    /// What users type.
    pub name: &'static str,
    /// The extensions of files in this format, with their dots.
    pub extensions: &'static [&'static str],
    /// What it is good for, as the help says it: a phrase without a full stop.
    pub help: &'static str,
    /// For whom it is.
    pub reader: Audience,
    /// What writes it.
    pub writer: W,
}

impl<W> Format<W> {
    /// Whether people read it.
    pub fn is_for_people(&self) -> bool {
        self.reader == Audience::People
    }

    /// Whether a tool reads it that wants one whole file, and sources as the repository calls them.
    pub fn is_for_tools(&self) -> bool {
        self.reader == Audience::Tools
    }

    /// Whether a terminal should not be given it.
    pub fn is_binary(&self) -> bool {
        self.reader == Audience::Binary
    }
}

/// Names are unique, so the name identifies the format.
impl<W> PartialEq for Format<W> {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl<W> Eq for Format<W> {}

impl<W> fmt::Debug for Format<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Every format that something can be written in; the first is the one that is taken where none is named.
pub struct Formats<W: 'static>(&'static [Format<W>]);

impl<W> Formats<W> {
    /// A table with these rows.
    ///
    /// # Panics
    /// Without any, which in a `static` does not compile.
    pub const fn new(rows: &'static [Format<W>]) -> Self {
        assert!(!rows.is_empty(), "a table of formats has no rows");
        Self(rows)
    }

    /// Every format, in the order of the help.
    pub fn all(&self) -> &'static [Format<W>] {
        self.0
    }

    /// The one that is taken where none is named.
    pub fn default_format(&self) -> &'static Format<W> {
        &self.0[0]
    }

    /// The format with this name.
    pub fn named(&self, name: &str) -> Option<&'static Format<W>> {
        self.0.iter().find(|format| format.name == name)
    }

    /// The format that a file with this name is expected to have.
    pub fn of_file(&self, file: &Path) -> Option<&'static Format<W>> {
        let name = file.file_name()?.to_str()?;
        self.0.iter().find(|format| format.extensions.iter().any(|extension| name.ends_with(extension)))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const fn row(name: &'static str, extensions: &'static [&'static str]) -> Format<()> {
        Format { name, extensions, help: "", reader: Audience::People, writer: () }
    }

    static FORMATS: Formats<()> =
        Formats::new(&[row("text", &[".txt"]), row("pprof", &[".pb.gz", ".prof"]), row("plain", &[])]);

    #[test]
    fn formats_go_by_name_and_by_extension() {
        let named = |name: &str| FORMATS.named(name).map(|format| format.name);
        let of_file = |name: &str| FORMATS.of_file(Path::new(name)).map(|format| format.name);
        assert_eq!((named("plain"), named("plai"), named("")), (Some("plain"), None, None));
        assert_eq!(
            (of_file("g.pb.gz"), of_file("g.prof"), of_file("a.txt")),
            (Some("pprof"), Some("pprof"), Some("text"))
        );
        assert_eq!((of_file("g.gz"), of_file("txt"), of_file("a.txt/g")), (None, None, None));
        assert_eq!(FORMATS.default_format().name, "text");
    }

    /// What every table of formats keeps to: nobody is called as another, and no file could be in two formats.
    #[track_caller]
    pub(crate) fn assert_distinct<W>(formats: &Formats<W>) {
        let mut words: Vec<&str> = formats.0.iter().map(|format| format.name).collect();
        words.extend(formats.0.iter().flat_map(|format| format.extensions));
        let all = words.len();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), all, "{words:?}");
        for format in formats.0 {
            assert!(format.extensions.iter().all(|extension| extension.starts_with('.')), "{format:?}");
            assert!(!format.help.is_empty() && !format.help.ends_with('.'), "{format:?}");
        }
    }
}
