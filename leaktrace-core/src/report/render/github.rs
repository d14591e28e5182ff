//! Verdicts as workflow commands of GitHub Actions: annotations on file and line.
//!
//! Source: "Workflow commands for GitHub Actions", and `@actions/core` (`command.ts`) for what is escaped.

use std::io::{self, Write};

use super::Options;
use super::finding::{Finding, Level, findings};
use crate::schema::Report;

/// Writes an annotation for each verdict: nothing if there is none.
pub(super) fn render(report: &Report, options: &Options<'_>, out: &mut dyn Write) -> io::Result<()> {
    findings(report, options.gate).try_for_each(|finding| annotation(&finding, out))
}

fn annotation(finding: &Finding<'_>, out: &mut dyn Write) -> io::Result<()> {
    let command = match finding.level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Note => "notice",
    };
    write!(out, "::{command} ")?;
    if let Some(place) = finding.place() {
        write!(out, "file={},line={},", property(place.path), place.line)?;
    }
    writeln!(out, "title={}::{}", property(&finding.title()), data(&finding.message()))
}

/// Control characters would colour the log, or worse.
fn data(text: &str) -> String {
    let text = text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    text.replace(char::is_control, "\u{fffd}")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_ends_the_command() {
        assert_eq!(property("a,b::c\nd%"), "a%2Cb%3A%3Ac%0Ad%25");
        assert_eq!(data("a,b::c\r\nd\u{1b}[31m%"), "a,b::c%0D%0Ad\u{fffd}[31m%25");
    }
}
