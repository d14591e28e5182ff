//! A `go` statement as users name it, and what it is in a program.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::base::path::base_name;
use crate::go::symbolize::{SymbolFrame, display_name};
use crate::schema::Location;

/// The longest name that is believed, in bytes.
const MAX_LEN: usize = 4096;
/// What the names of Go's source files end with.
const SOURCE: &str = ".go";
/// How Go prints the type arguments of an instance.
const INSTANCE: &str = "[...]";

/// A `go` statement, or all those of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    place: Place,
    /// The line of the `go` statement, from 1 on.
    line: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// A path of a source file, or the end of one.
    File(String),
    /// A function as Go's tracebacks print it, with or without the `[...]` of a generic one.
    Function(String),
}

/// Why a text names no `go` statement.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StatementError {
    /// A file has many lines.
    #[error("`{0}` has no line: for example, use {0}:67")]
    NoLine(String),
    /// It is nothing that a function or a file is called.
    #[error("`{0}` is neither a line such as main.go:67 nor a function such as main.serve or main.serve:67")]
    Malformed(String),
    /// Its program does not say in which line it is.
    #[error("the line of the go statement at {0} is not known")]
    Unnamed(String),
    /// It is longer than names are.
    #[error("{len} bytes are more than the {MAX_LEN} that a name may have")]
    TooLong {
        /// How long it is.
        len: usize,
    },
}

impl FromStr for Statement {
    type Err = StatementError;

    fn from_str(text: &str) -> Result<Self, StatementError> {
        let malformed = || StatementError::Malformed(text.to_owned());
        if text.len() > MAX_LEN {
            return Err(StatementError::TooLong { len: text.len() });
        }
        let (name, line) = match text.rsplit_once(':') {
            Some((name, line)) => {
                let line = line.parse().ok().filter(|line| *line > 0);
                (name, Some(line.ok_or_else(malformed)?))
            }
            None => (text, None),
        };
        if base_name(name).is_empty() || name.chars().any(char::is_control) {
            return Err(malformed());
        }
        if !name.ends_with(SOURCE) {
            return Ok(Self { place: Place::Function(name.to_owned()), line });
        }
        if line.is_none() {
            return Err(StatementError::NoLine(text.to_owned()));
        }
        Ok(Self { place: Place::File(name.to_owned()), line })
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Place::File(name) | Place::Function(name)) = &self.place;
        f.write_str(name)?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

impl Statement {
    /// The one that is at this place: its line in its file, which nothing else shares, or what `//line` calls that, else in its
    /// function.
    pub fn of(at: &Location) -> Result<Self, StatementError> {
        let unnamed = || StatementError::Unnamed(at.pc.clone());
        let line = at.line.ok_or_else(unnamed)?;
        let file = at.file.as_deref().filter(|file| file.ends_with(SOURCE));
        let place = file.or(at.function.as_deref()).ok_or_else(unnamed)?;
        format!("{place}:{line}").parse()
    }

    /// Whether it is the one at which these frames are, the innermost first. One that was inlined is a `go` statement of
    /// its own function as well as of those around it.
    pub(super) fn is_at(&self, frames: &[SymbolFrame<'_>]) -> bool {
        let Some(innermost) = frames.first() else { return false };
        if self.line.is_some_and(|line| line != innermost.line) {
            return false;
        }
        match &self.place {
            Place::File(file) => is_file(innermost.file, file),
            Place::Function(function) => frames.iter().any(|frame| is_function(frame.function, function)),
        }
    }

    /// How near to it a `go` statement is at which these frames are: less is nearer, `None` where the two have nothing in
    /// common.
    pub(super) fn distance(&self, frames: &[SymbolFrame<'_>]) -> Option<u32> {
        let innermost = frames.first()?;
        let lines = self.line.map_or(0, |line| line.abs_diff(innermost.line));
        let is_near = match &self.place {
            Place::File(file) => base_name(innermost.file) == base_name(file),
            Place::Function(function) => frames.iter().any(|frame| has_part(frame.function, function)),
        };
        is_near.then_some(lines)
    }

    /// Whether it may be in the function of this name that begins in this file.
    pub(super) fn may_be_in(&self, function: &str, file: &str) -> bool {
        match &self.place {
            Place::File(wanted) => is_file(file, wanted),
            Place::Function(wanted) => is_function(function, wanted),
        }
    }
}

/// Whether a path is `wanted`, or ends with all parts of it.
fn is_file(path: &str, wanted: &str) -> bool {
    let before = path.strip_suffix(wanted);
    before.is_some_and(|before| before.is_empty() || before.ends_with('/') || wanted.starts_with('/'))
}

fn is_function(name: &str, wanted: &str) -> bool {
    let printed = display_name(name);
    name == wanted || printed == wanted || printed.replace(INSTANCE, "") == wanted
}

/// Whether a function's name has the last part of what is wanted in it, be it written large or small.
fn has_part(name: &str, wanted: &str) -> bool {
    let last = base_name(wanted).rsplit('.').find(|part| !part.is_empty()).unwrap_or(wanted);
    display_name(name).to_ascii_lowercase().contains(&last.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::num::Pc;
    use crate::go::pclntab::FuncId;

    fn frame<'d>(function: &'d str, file: &'d str, line: u32) -> SymbolFrame<'d> {
        let (entry, pc) = (Pc(0x1000), Pc(0x1010));
        SymbolFrame { function, file, line, inlined: false, id: FuncId::Normal, start_line: None, entry, pc }
    }

    fn parsed(text: &str) -> Statement {
        text.parse().unwrap()
    }

    #[test]
    fn lines_and_functions_are_read_and_written_alike() {
        for text in ["main.go:67", "/src/a/main.go:1", "main.(*T).serve", "main.Map[...].func1:9"] {
            assert_eq!(parsed(text).to_string(), text);
        }
        let error = |text: &str| text.parse::<Statement>().unwrap_err();
        assert_eq!(error("main.go").to_string(), "`main.go` has no line: for example, use main.go:67");
        for text in
            ["", ":7", "main.go:0", "main.go:x", "main.f:", "a/:3", "main.f\n:4", "main.f:99999999999"]
        {
            assert_eq!(error(text), StatementError::Malformed(text.to_owned()), "{text:?}");
        }
        assert_eq!(error(&"f".repeat(MAX_LEN + 1)), StatementError::TooLong { len: MAX_LEN + 1 });
    }

    #[test]
    fn a_place_is_named_by_its_line() {
        let at = |function: Option<&str>, file: Option<&str>, line: Option<u32>| {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            Location { function: owned(function), file: owned(file), line, pc: "0x401000".to_owned() }
        };
        let name = |at: Location| Statement::of(&at).map(|statement| statement.to_string());
        let main = at(Some("main.serve"), Some("/src/main.go"), Some(67));
        assert_eq!(name(main).unwrap(), "/src/main.go:67");
        let parser = at(Some("main.(*T).parse"), Some("/src/expr.y"), Some(9));
        assert_eq!(name(parser).unwrap(), "main.(*T).parse:9");
        let unknown = name(at(Some("main.serve"), Some("/src/main.go"), None)).unwrap_err();
        assert_eq!(unknown.to_string(), "the line of the go statement at 0x401000 is not known");
        assert!(matches!(name(at(None, Some("a.y"), Some(1))), Err(StatementError::Unnamed(_))));
        assert!(matches!(name(at(Some("main.f\n"), None, Some(1))), Err(StatementError::Malformed(_))));
    }

    #[test]
    fn a_file_is_named_by_any_number_of_its_last_parts() {
        let frames = [frame("main.serve", "/src/app/main.go", 67)];
        for text in ["main.go:67", "app/main.go:67", "/src/app/main.go:67"] {
            assert!(parsed(text).is_at(&frames), "{text}");
        }
        for text in ["main.go:68", "pp/main.go:67", "ain.go:67", "lib/main.go:67"] {
            assert!(!parsed(text).is_at(&frames), "{text}");
        }
    }

    #[test]
    fn an_inlined_statement_is_of_its_own_function_and_of_those_around_it() {
        let frames = [frame("main.start", "/src/start.go", 9), frame("main.main", "/src/main.go", 40)];
        for text in ["main.start", "main.main", "main.start:9", "main.main:9", "start.go:9"] {
            assert!(parsed(text).is_at(&frames), "{text}");
        }
        for text in ["main.go:40", "main.main:40", "main.mai"] {
            assert!(!parsed(text).is_at(&frames), "{text}");
        }
    }

    #[test]
    fn all_instances_of_a_generic_function_are_meant() {
        let frames = [frame("main.Map[go.shape.int]", "/src/main.go", 5)];
        for text in ["main.Map", "main.Map[...]", "main.Map[go.shape.int]", "main.Map:5"] {
            assert!(parsed(text).is_at(&frames), "{text}");
        }
        assert!(!parsed("main.Map[go.shape.string]").is_at(&frames));
    }

    #[test]
    fn the_near_ones_are_in_the_same_file_or_have_a_name_like_it() {
        let frames = [frame("main.(*Server).Serve", "/src/main.go", 60)];
        let distance = |text: &str| parsed(text).distance(&frames);
        assert_eq!([distance("main.go:67"), distance("other.go:60")], [Some(7), None]);
        assert_eq!([distance("main.serve"), distance("lib.(*T).Serve:50")], [Some(0), Some(10)]);
        assert_eq!(distance("main.close"), None);
    }
}
