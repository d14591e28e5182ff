//! A report as one line of JSON, as `docs/report.md` describes it; reports that follow each other are JSON Lines.

use std::io::{self, Write};

use crate::schema::Report;

/// Writes `report` as one line of JSON.
pub fn json(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, report)?;
    out.write_all(b"\n")
}
