//! From what is known of a target to a report, on a thread of its own: names lie in the target's binary, and that may be
//! as far away as its file system.

use std::sync::{Arc, Mutex, PoisonError};

use leaktrace_common::event::Kind;
use leaktrace_core::judge::detect::{Gate, Policy};
use leaktrace_core::report::{LazyDebugInfo, ProgramSymbols, View};
use leaktrace_core::schema::{self, Report};
use leaktrace_core::session::{Counted, ReportInputs, Spending, Target};

use super::pass::ReportPass;
use crate::clock;
use crate::inspect::Inspected;
use crate::sources::SourceTree;

const TORN: &str =
    "the program's file was cut short after it was opened, or cannot be read: names may be missing";

self_cell::self_cell! {
    /// A program and the debug information of its C code, which is loaded when it is first needed.
    struct Names {
        owner: Inspected,

        #[not_covariant]
        dependent: LazyDebugInfo,
    }
}

/// Makes the reports on one target.
pub(super) struct Reporter {
    names: Names,
    about: schema::TargetInfo,
    shared: Arc<Shared>,
    pass: Box<dyn ReportPass>,
}

/// What the reports of all targets of a session have in common.
pub(super) struct Shared {
    pub(super) view: View,
    /// How many incidents are listed; 0 for all.
    pub(super) incidents: usize,
    pub(super) gate: Gate,
    pub(super) probes: Vec<Kind>,
    pub(super) policy: Policy,
    pub(super) sources: Option<Mutex<SourceTree>>,
}

/// A report to be made. The target comes back with it.
pub(super) struct ReportOrder {
    pub(super) target: Box<Target>,
    pub(super) reporter: Box<Reporter>,
    pub(super) counted: Counted,
    pub(super) spending: Spending,
    pub(super) is_last: bool,
}

/// A report that was made.
pub(super) struct Made {
    pub(super) target: Box<Target>,
    pub(super) reporter: Box<Reporter>,
    pub(super) is_last: bool,
    /// Whether there is anything to fail on, listed or not.
    pub(super) fails: bool,
    /// Missing if it is not to be handed on.
    pub(super) report: Option<Arc<Report>>,
}

impl Reporter {
    pub(super) fn new(inspected: Inspected, shared: Arc<Shared>, pass: Box<dyn ReportPass>) -> Self {
        let about = about(&inspected);
        let names = Names::new(inspected, Inspected::debug);
        Self { names, about, shared, pass }
    }
}

impl ReportOrder {
    pub(super) fn make(self) -> Made {
        let Self { mut target, mut reporter, counted, spending, is_last } = self;
        let Reporter { names, about, shared, pass } = &mut *reporter;
        let report = names.with_dependent(|inspected, debug| {
            let symbols = ProgramSymbols::new(inspected.program(), inspected.bias(), debug);
            let inputs = ReportInputs {
                about: about.clone(),
                symbols: &symbols,
                probes: &shared.probes,
                policy: &shared.policy,
                view: &shared.view,
                spending: &spending,
                unix_ns: clock::unix_ns(),
            };
            let mut report = target.report(clock::now(), &counted, inputs);
            if inspected.target().exe.is_torn() {
                report.notices.push(TORN.to_owned());
            }
            pass.pass(&mut report, target.registry(), &symbols, is_last).then_some(report)
        });
        let fails = report.as_ref().is_some_and(|report| shared.gate.fails_any(report.verdicts()));
        let report = report.map(|mut report| {
            report.keep_first(shared.incidents);
            if let Some(sources) = &shared.sources {
                sources.lock().unwrap_or_else(PoisonError::into_inner).annotate(&mut report);
            }
            Arc::new(report)
        });
        Made { target, reporter, is_last, fails, report }
    }
}

/// What a report and a recording say of the process.
pub(super) fn about(inspected: &Inspected) -> schema::TargetInfo {
    let target = inspected.target();
    schema::TargetInfo {
        pid: target.pid.0,
        exe: target.exe.name().display().to_string(),
        go_version: Some(inspected.program().version.to_string()),
        build_id: inspected.elf().build_id(),
        arch: inspected.program().arch.as_str().to_owned(),
        main_module: inspected.program().build.as_ref().and_then(|build| build.main_module.clone()),
    }
}
