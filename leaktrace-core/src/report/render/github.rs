//! Verdicts as workflow commands of GitHub Actions: annotations on file and line.
//!
//! Source: "Workflow commands for GitHub Actions", and `@actions/core` (`command.ts`) for what is escaped.

use std::io::{self, Write};

use super::Options;
use super::finding::{Finding, Level, findings};
use crate::base::escape;
use crate::schema::Report;

/// Writes an annotation for each incident: nothing if there is none.
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

/// The paragraphs of a text.
fn data(text: &str) -> String {
    let paragraphs: Vec<_> = text.split('\n').map(escape::line).collect();
    paragraphs.join("\n").replace('%', "%25").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(&escape::line(text)).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_ends_the_command() {
        assert_eq!(property("a,b::c\nd%"), "a%2Cb%3A%3Ac\\nd%25");
        assert_eq!(data("a,b::c\r\nd\u{1b}[31m%"), "a,b::c\\r%0Ad\\x1b[31m%25");
    }
}
