//! A report in the formats that people and programs read. Each is a pure function of the report: same report, same
//! bytes.

mod finding;
mod github;
mod json;
mod junit;
mod left_out;
mod line;
mod losses;
mod paint;
mod path;
mod round;
mod sarif;
mod text;
mod trust;
mod verdicts;

use std::io::{self, Write};

use crate::base::format::{self, Audience, Formats};
use crate::judge::detect::Gate;
use crate::schema::{Report, Round};
pub use paint::Style;

/// What a format may want to know beside the report.
#[derive(Clone, Copy, Debug)]
pub struct Options<'g> {
    /// Whether text is coloured.
    pub style: Style,
    /// Where lines of text are cut; `None` leaves them whole.
    pub width: Option<usize>,
    /// Which verdicts the user wants to fail on.
    pub gate: &'g Gate,
}

/// Writes the report on one process.
pub type WriteReport = fn(&Report, &Options<'_>, &mut dyn Write) -> io::Result<()>;

/// Writes the reports on several processes.
pub type WriteRound = fn(&Round<&Report>, &Options<'_>, &mut dyn Write) -> io::Result<()>;

/// What writes reports in one format.
pub struct Writer {
    /// Writes the report on one process.
    pub report: WriteReport,
    /// Writes those on several; `None` where the format has no place for them.
    pub round: Option<WriteRound>,
}

/// A format of reports.
pub type Format = format::Format<Writer>;

/// Every format of reports, a row each.
pub static FORMATS: Formats<Writer> = Formats::new(&[
    Format {
        name: "text",
        extensions: &[".txt"],
        help: "Text for people",
        reader: Audience::People,
        writer: Writer { report: text::render, round: Some(round::text) },
    },
    Format {
        name: "json",
        extensions: &[".json"],
        help: "JSON for programs, documented in docs/report.md",
        reader: Audience::Programs,
        writer: Writer { report: json::render, round: Some(round::json) },
    },
    Format {
        name: "github",
        extensions: &[],
        help: "Annotations for GitHub Actions, one for each incident",
        reader: Audience::Tools,
        writer: Writer { report: github::render, round: None },
    },
    Format {
        name: "sarif",
        extensions: &[".sarif"],
        help: "SARIF 2.1.0, for code scanning",
        reader: Audience::Tools,
        writer: Writer { report: sarif::render, round: None },
    },
    Format {
        name: "junit",
        extensions: &[".xml"],
        help: "JUnit XML, with a failed test for each incident that meets a failure condition",
        reader: Audience::Tools,
        writer: Writer { report: junit::render, round: None },
    },
]);

#[cfg(test)]
mod tests {
    use super::FORMATS;
    use crate::base::format::tests::assert_distinct;

    #[test]
    fn no_format_is_taken_for_another() {
        assert_distinct(&FORMATS);
    }
}
