//! A report as one line of JSON, as `docs/report.md` describes it; reports that follow each other are JSON Lines.

use std::io::{self, Write};

use super::Options;
use crate::base::json::Visible;
use crate::schema::Report;

/// Writes `report` as one line of JSON.
pub(super) fn render(report: &Report, _: &Options<'_>, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(Visible(out), report)?;
    out.write_all(b"\n")
}
