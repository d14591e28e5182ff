//! The reports on several processes: one after the other for people, one document for programs.

use std::io::{self, Write};

use super::line::{Line, Page};
use super::paint::Role;
use super::{Options, text};
use crate::base::json::Visible;
use crate::schema::{ProcessReport, ProcessState, Report, Round};

/// Writes `round` as one line of JSON, as `docs/report.md` describes it.
pub(super) fn json(round: &Round<&Report>, _: &Options<'_>, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(Visible(out), round)?;
    out.write_all(b"\n")
}

/// Writes `round` as text: a heading for each process, and below it the report on it.
pub(super) fn text(round: &Round<&Report>, options: &Options<'_>, out: &mut dyn Write) -> io::Result<()> {
    let page = Page { style: options.style, width: options.width };
    for (index, process) in round.processes.iter().enumerate() {
        if index > 0 {
            Line::new().write(page, out)?;
        }
        heading(process).write(page, out)?;
        if let Some(report) = process.report {
            text::render(report, options, out)?;
        }
    }
    match round.ended_and_forgotten {
        0 => Ok(()),
        ended => Line::new().text(format_args!("and {ended} processes that ended earlier")).write(page, out),
    }
}

fn heading(process: &ProcessReport<&Report>) -> Line {
    let line = Line::new()
        .role(Role::Strong, format_args!("== {}", process.pid))
        .text(format_args!("  {}", process.exe.as_deref().unwrap_or("?")));
    let line = match process.state {
        ProcessState::Watched => line,
        state => line.text(format_args!("  {}", state.as_str())),
    };
    match &process.reason {
        Some(reason) => line.text(format_args!(": {reason}")),
        None => line,
    }
}
