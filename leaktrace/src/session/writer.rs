//! Writes reports where users want them: those on one process as they come, those on several in rounds.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use leaktrace_core::judge::detect::Gate;
use leaktrace_core::report::render::{Format, Options, Style};
use leaktrace_core::schema::{ProcessReport, ProcessState, Report, Round, SCHEMA_VERSION};

use super::publish::{Consumer, Process, Publication};
use crate::config::Config;
use crate::output::{Outlet, Sink};

/// Of how many processes that have ended the last report is kept.
const MOST_ENDED: usize = 256;

/// How reports are written.
struct Form {
    outlet: Outlet,
    format: &'static Format,
    color: bool,
    gate: Gate,
    /// Whether reports replace what is in a file.
    is_file: bool,
}

/// Writes the reports on one process.
pub(super) struct Writer(Form);

/// Writes the reports on several processes.
pub(super) struct RoundWriter {
    form: Form,
    /// The processes, by their numbers in this session.
    known: BTreeMap<u32, Known>,
    forgotten: u64,
}

/// What is known of a process.
struct Known {
    process: Process,
    state: ProcessState,
    has_ended: bool,
    reason: Option<String>,
    report: Option<Arc<Report>>,
}

/// Opens the destination for the reports on one process, or on many.
pub(super) fn open(config: &Config, is_many: bool) -> anyhow::Result<Option<Box<dyn Consumer>>> {
    let output = &config.writing.output;
    let outlet =
        Outlet::start(Sink::open(output)?).context("cannot start a thread that writes the reports")?;
    let (gate, is_file) = (config.judging.gate.clone(), output.file.is_some());
    let form = Form { outlet, format: output.format, color: output.color, gate, is_file };
    Ok(Some(if is_many {
        Box::new(RoundWriter { form, known: BTreeMap::new(), forgotten: 0 })
    } else {
        Box::new(Writer(form))
    }))
}

impl Form {
    fn options(&self, is_last: bool) -> Options<'_> {
        let style = if self.color { Style::Ansi } else { Style::Plain };
        Options { style, width: self.outlet.width(is_last), gate: &self.gate }
    }

    fn write(&self, report: &Report, is_last: bool) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        (self.format.writer.report)(report, &self.options(is_last), &mut bytes)?;
        Ok(self.outlet.put(bytes, is_last)?)
    }

    /// Formats without rounds are refused for several processes before anything begins.
    fn write_round(&self, round: &Round<&Report>, is_last: bool) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        if let Some(write) = self.format.writer.round {
            write(round, &self.options(is_last), &mut bytes)?;
        }
        Ok(self.outlet.put(bytes, is_last)?)
    }
}

impl Consumer for Writer {
    fn take(&mut self, publication: &Publication<'_>) -> anyhow::Result<()> {
        match publication {
            Publication::Report { report, is_last, .. } => self.0.write(report, *is_last),
            Publication::Ended { .. } | Publication::Round { .. } => Ok(()),
        }
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        Ok(self.0.outlet.finish()?)
    }
}

impl Consumer for RoundWriter {
    fn take(&mut self, publication: &Publication<'_>) -> anyhow::Result<()> {
        match publication {
            Publication::Report { process, report, .. } => {
                self.known(process).report = Some(Arc::clone(report));
                Ok(())
            }
            Publication::Ended { process, state, reason } => {
                let known = self.known(process);
                (known.state, known.has_ended) = (*state, true);
                known.reason.clone_from(reason);
                self.forget();
                Ok(())
            }
            Publication::Round { is_last } => self.write(*is_last),
        }
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        Ok(self.form.outlet.finish()?)
    }
}

impl RoundWriter {
    fn known(&mut self, process: &Process) -> &mut Known {
        if !self.known.contains_key(&process.number) {
            // What was refused and is tried again is one process.
            self.known
                .retain(|_, known| known.process.pid != process.pid || known.state != ProcessState::Refused);
        }
        let known = self.known.entry(process.number).or_insert_with(|| Known {
            process: process.clone(),
            state: ProcessState::Watched,
            has_ended: false,
            reason: None,
            report: None,
        });
        if process.exe.is_some() {
            known.process.exe.clone_from(&process.exe);
        }
        known
    }

    /// Forgets those that ended the longest ago, as far as they are too many.
    fn forget(&mut self) {
        let ended = self.known.iter().filter(|(_, known)| known.has_ended).map(|(number, _)| *number);
        let ended: Vec<u32> = ended.collect();
        for number in ended.iter().take(ended.len().saturating_sub(MOST_ENDED)) {
            self.known.remove(number);
            self.forgotten += 1;
        }
    }

    /// As long as there was no process there is nothing to replace a file with, and nothing to end with.
    fn write(&self, is_last: bool) -> anyhow::Result<()> {
        if self.known.is_empty() && self.forgotten == 0 && (is_last || self.form.is_file) {
            return Ok(());
        }
        let processes = self.known.values().map(|known| ProcessReport {
            pid: known.process.pid.0,
            exe: known.process.exe.clone(),
            state: known.state,
            reason: known.reason.clone(),
            report: known.report.as_deref(),
        });
        let mut processes: Vec<_> = processes.collect();
        processes.sort_by_key(|process| process.pid);
        let round = Round { schema_version: SCHEMA_VERSION, processes, ended_and_forgotten: self.forgotten };
        self.form.write_round(&round, is_last)
    }
}
