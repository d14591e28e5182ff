//! From what a session knows to a written report.

use leaktrace_core::base::num::Goid;
use leaktrace_core::judge::detect::{self, UNREACHABLE};
use leaktrace_core::report::render::{self, Style, TextOptions};
use leaktrace_core::report::{self, LazyDebugInfo, ProgramSymbols, Sort, Sources, View};
use leaktrace_core::schema::{self, Report};

use super::clock;
use super::judge::Judge;
use super::meter::Reading;
use super::watch::Watch;
use crate::cli;
use crate::cli::findings::ReportFormat;
use crate::config::{self, Config};
use crate::inspect::Inspected;
use crate::output::Sink;
use crate::process::find::Target;
use crate::sources::SourceTree;

/// Makes the reports of one session.
pub(super) struct Reporter<'t> {
    symbols: ProgramSymbols<'t, 't>,
    about: schema::Target,
    view: View,
    config: &'t Config,
    sources: Option<SourceTree>,
    judge: &'t mut dyn Judge,
    sink: Sink,
    /// What users should know about every report.
    notices: Vec<String>,
    /// What had been counted and used when the last report was made.
    last: Reading,
}

impl<'t> Reporter<'t> {
    pub(super) fn new(
        watch: &Watch<'_>,
        inspected: &'t Inspected,
        debug: &'t LazyDebugInfo<'t>,
        config: &'t Config,
        sink: Sink,
        notices: Vec<String>,
        judge: &'t mut dyn Judge,
    ) -> anyhow::Result<Self> {
        let about = about(watch.target, inspected);
        let wish = &config.sources;
        let sources =
            wish.folder.as_deref().map(|folder| SourceTree::open(folder, wish.blame)).transpose()?;
        Ok(Self {
            symbols: inspected.symbols(debug),
            about,
            view: view(&config.view),
            config,
            sources,
            judge,
            sink,
            notices,
            last: watch.budgeted,
        })
    }

    /// Adds what users should know about every report from now on.
    pub(super) fn note(&mut self, notice: Option<String>) {
        self.notices.extend(notice);
    }

    /// Makes and writes one; whether it holds what the user wants to fail on.
    pub(super) fn write(&mut self, watch: &Watch<'_>, is_last: bool) -> anyhow::Result<bool> {
        let mut report = self.make(watch)?;
        if !self.judge.judge(&mut report, &watch.registry, &self.symbols, is_last) {
            return Ok(false);
        }
        if let Some(sources) = &mut self.sources {
            sources.annotate(&mut report);
        }
        let bytes = self.render(&report, is_last)?;
        self.sink.write(&bytes, is_last)?;
        Ok(self.config.gate.fails_any(&report.verdicts))
    }

    fn render(&self, report: &Report, is_last: bool) -> std::io::Result<Vec<u8>> {
        let (mut bytes, gate) = (Vec::new(), &self.config.gate);
        match self.config.output.format {
            ReportFormat::Text => render::text(report, self.look(is_last), &mut bytes),
            ReportFormat::Json => render::json(report, &mut bytes),
            ReportFormat::Github => render::github(report, gate, &mut bytes),
            ReportFormat::Sarif => render::sarif(report, gate, &mut bytes),
            ReportFormat::Junit => render::junit(report, gate, &mut bytes),
        }?;
        Ok(bytes)
    }

    fn look(&self, is_last: bool) -> TextOptions {
        let style = if self.config.output.color { Style::Ansi } else { Style::Plain };
        TextOptions { style, width: self.sink.width(is_last) }
    }

    fn make(&mut self, watch: &Watch<'_>) -> anyhow::Result<Report> {
        let reading = watch.read()?;
        let overhead = watch.overhead(&reading, &self.last);
        self.last = reading;
        let now = clock::now();
        let facts = |goids: &[Goid]| detect::facts(&watch.registry, now, goids);
        let sources = Sources {
            target: self.about.clone(),
            registry: &watch.registry,
            snapshot: watch.snapshot.as_ref(),
            symbols: &self.symbols,
            now,
            unix_ns: clock::unix_ns(),
            probes: &watch.config.probes,
            traced: watch.traced()?,
            overhead,
            findings: detect::judge(&watch.watched, &self.config.policy, &facts),
            notices: self.notices.clone(),
        };
        let mut report = report::build(sources, &self.view);
        report.notices.extend(watch.heap.refused.as_ref().map(|why| unsought(why)));
        report.completeness.heap = watch.heap.clone();
        Ok(report)
    }
}

/// What users should know where the heap was not looked through.
fn unsought(why: &str) -> String {
    format!("{UNREACHABLE} was not checked: {why}")
}

/// What a report and a recording say of the process.
pub(super) fn about(target: &Target, inspected: &Inspected) -> schema::Target {
    schema::Target {
        pid: target.pid.0,
        exe: target.exe.name().display().to_string(),
        go_version: Some(inspected.program().version.to_string()),
        build_id: inspected.elf().build_id(),
        arch: inspected.program().arch.as_str().to_owned(),
    }
}

/// What the options mean to a report.
pub(crate) fn view(view: &config::View) -> View {
    View {
        min_age: u64::try_from(view.min_age.as_nanos()).unwrap_or(u64::MAX),
        top: view.top,
        sort: match view.sort {
            cli::Sort::Live => Sort::Live,
            cli::Sort::Age => Sort::Age,
            cli::Sort::Net => Sort::Net,
            cli::Sort::Born => Sort::Born,
            cli::Sort::Stack => Sort::Stack,
        },
        include_runtime: view.include_runtime,
        ..View::default()
    }
}
