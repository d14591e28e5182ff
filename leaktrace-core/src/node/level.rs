//! How closely a process is watched: from memory alone, or with probes as well.

use crate::schema::Level;
use crate::trace::plan::Statement;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_level_has_options_of_its_own() {
        let site = Probed::Site("main.go:67".parse().unwrap());
        let all = [Probed::Nothing, site, Probed::Lives, Probed::All];
        assert_eq!(all.each_ref().map(|probed| probed.level().number()), [0, 1, 2, 3]);
        assert_eq!(all[1].options(), ["--site", "main.go:67"]);
    }
}
