//! What a dump can be written as: one of the formats to look at, or a file that keeps all of it.

use std::path::Path;

use leaktrace_core::dump::render::Format;

/// What a dump is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A format for people or other tools.
    Rendered(Format),
    /// A snapshot file, which `leaktrace report` and `leaktrace diff` open.
    Snapshot,
}

impl Form {
    /// Every form.
    pub const ALL: [Self; 9] = [
        Self::Rendered(Format::Debug2),
        Self::Rendered(Format::Debug1),
        Self::Rendered(Format::Text),
        Self::Rendered(Format::Pprof),
        Self::Rendered(Format::Json),
        Self::Rendered(Format::Folded),
        Self::Rendered(Format::Svg),
        Self::Rendered(Format::Html),
        Self::Snapshot,
    ];

    /// The name that users type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rendered(format) => format.as_str(),
            Self::Snapshot => "ltr",
        }
    }

    /// The form that a file with this name is expected to have.
    pub fn by_ending(file: &Path) -> Option<Self> {
        if file.extension().is_some_and(|ending| ending == "ltr") {
            return Some(Self::Snapshot);
        }
        Format::from_file_name(file.file_name()?.to_str()?).map(Self::Rendered)
    }

    /// Whether it has the values of arguments.
    pub const fn has_arguments(self) -> bool {
        matches!(self, Self::Snapshot | Self::Rendered(Format::Debug2))
    }

    /// Whether it is not for the eye, so that a terminal should not be given it.
    pub const fn is_binary(self) -> bool {
        matches!(self, Self::Snapshot | Self::Rendered(Format::Pprof))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_has_a_name_of_its_own_and_every_format_is_one() {
        for format in Format::ALL {
            assert!(Form::ALL.contains(&Form::Rendered(format)), "{format:?}");
        }
        let mut names: Vec<_> = Form::ALL.iter().map(|form| form.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Form::ALL.len());
    }

    #[test]
    fn endings_choose_the_form() {
        let form = |name: &str| Form::by_ending(Path::new(name)).map(Form::as_str);
        assert_eq!(form("/tmp/a.ltr"), Some("ltr"));
        assert_eq!(form("g.pb.gz"), Some("pprof"));
        assert_eq!(form("page.html"), Some("html"));
        assert_eq!(form("/tmp.json/goroutines"), None);
    }
}
