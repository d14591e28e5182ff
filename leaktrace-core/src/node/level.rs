//! How closely a process is watched: from memory alone, or with probes as well.

use thiserror::Error;

use crate::schema::{Level, Location};
use crate::trace::plan::{Statement, StatementError};

/// What is probed in a process while it is studied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probed {
    /// Nothing.
    Nothing,
    /// The births of one `go` statement.
    Site(Statement),
    /// All births and ends.
    Lives,
    /// All four kinds of events.
    All,
}

impl Probed {
    /// Which level that is.
    pub const fn level(&self) -> Level {
        match self {
            Self::Nothing => Level::Memory,
            Self::Site(_) => Level::Site,
            Self::Lives => Level::Lives,
            Self::All => Level::All,
        }
    }

    /// The options of leaktrace that say so.
    pub fn options(&self) -> [String; 2] {
        match self {
            Self::Nothing => ["--probes".to_owned(), "none".to_owned()],
            Self::Site(statement) => ["--site".to_owned(), statement.to_string()],
            Self::Lives => ["--probes".to_owned(), "birth,end".to_owned()],
            Self::All => ["--probes".to_owned(), "birth,end,park,ready".to_owned()],
        }
    }
}

/// Why a `go` statement cannot be named.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unnamed {
    /// Its program does not say in which line it is.
    #[error("the line of the go statement at {0} is not known")]
    NoLine(String),
    /// What it says is no name of one.
    #[error("the go statement has no name that can be probed")]
    NoName(#[from] StatementError),
}

/// The name of the `go` statement at `at`: its line in its file, which nothing else shares, else that in its function.
pub fn statement(at: &Location) -> Result<Statement, Unnamed> {
    let line = at.line.ok_or_else(|| Unnamed::NoLine(at.pc.clone()))?;
    let file = at.file.as_deref().filter(|file| file.ends_with(".go"));
    let place = file.or(at.function.as_deref()).ok_or_else(|| Unnamed::NoLine(at.pc.clone()))?;
    Ok(format!("{place}:{line}").parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(function: Option<&str>, file: Option<&str>, line: Option<u32>) -> Location {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Location { function: owned(function), file: owned(file), line, pc: "0x401000".to_owned() }
    }

    #[test]
    fn a_statement_is_named_by_its_line() {
        let name = |at: &Location| statement(at).map(|statement| statement.to_string());
        let main = at(Some("main.serve"), Some("/src/main.go"), Some(67));
        assert_eq!(name(&main).unwrap(), "/src/main.go:67");
        // Whatever `//line` makes of it.
        let parser = at(Some("main.(*T).parse"), Some("/src/expr.y"), Some(9));
        assert_eq!(name(&parser).unwrap(), "main.(*T).parse:9");
        let unknown = at(Some("main.serve"), Some("/src/main.go"), None);
        assert_eq!(
            name(&unknown).unwrap_err().to_string(),
            "the line of the go statement at 0x401000 is not known"
        );
        assert!(matches!(name(&at(None, Some("a.y"), Some(1))), Err(Unnamed::NoLine(_))));
        assert!(matches!(name(&at(Some("main.f\n"), None, Some(1))), Err(Unnamed::NoName(_))));
    }

    #[test]
    fn each_level_has_options_of_its_own() {
        let site = Probed::Site("main.go:67".parse().unwrap());
        let all = [Probed::Nothing, site, Probed::Lives, Probed::All];
        assert_eq!(all.each_ref().map(|probed| probed.level().number()), [0, 1, 2, 3]);
        assert_eq!(all[1].options(), ["--site", "main.go:67"]);
    }
}
