//! `leaktrace check`: watches a process for a while, and fails on verdicts and on limits that users set.

use std::time::Duration;

use anyhow::Context as _;
use leaktrace_core::go::symbols::Symbols;
use leaktrace_core::judge::detect::Policy;
use leaktrace_core::judge::thresholds::{CODES, Thresholds};
use leaktrace_core::schema::Report;
use leaktrace_core::session::StopReason;
use leaktrace_core::trace::registry::Registry;

use crate::Done;
use crate::cli::Common;
use crate::cli::check::Check;
use crate::clock;
use crate::config::{
    self, Config, ConfigError, Judging, Output, Schedule, Selection, System, Tracing, View, Writing,
};
use crate::exit::Exit;
use crate::policy;
use crate::process::{Pid, Procfs};
use crate::session::{self, Ended, ReportPass};
use crate::signals::Interrupts;

/// How often limits are looked at: so many times in a check, but not more or less often than this.
const LOOKS: u32 = 60;
const OFTEN: Duration = Duration::from_millis(500);
const SELDOM: Duration = Duration::from_secs(10);

const NO_CONDITION: &str = "nothing can fail this check: give --fail-on, --deny, --max or --max-growth";

const CUT_SHORT: &str = "the check was interrupted by a signal; the report covers what was seen until then";

/// Checks a process.
pub fn run(args: &Check, common: &Common, system: &System, procfs: &Procfs) -> anyhow::Result<Done> {
    let interrupts = Interrupts::listen().context("cannot listen to signals")?;
    let config = resolve(args, policy::resolve(&args.rules)?, common, system)?;
    if !has_condition(args) {
        tracing::warn!("{NO_CONDITION}");
    }
    let limits = || Limits {
        thresholds: Thresholds::new(args.max.iter().chain(&args.max_growth).cloned()),
        top: args.top,
        hides_notices: config.writing.output.format.is_for_tools(),
    };
    let selection = Selection::Pids(vec![Pid(args.pid)]);
    let ended = session::run(&config, &selection, procfs, interrupts, Box::new(|| Box::new(limits())))?;
    let remark = if ended.reason == StopReason::Asked { Some(CUT_SHORT) } else { session::remark(&ended) };
    Ok(Done { remark: remark.map(str::to_owned), found: ended.found, code: code(&ended) })
}

/// Whether anything that may be found fails the check.
const fn has_condition(args: &Check) -> bool {
    let has_limit = !args.max.is_empty() || !args.max_growth.is_empty();
    args.findings.fail_on.is_some() || !args.rules.deny.is_empty() || has_limit
}

/// What could not be watched to the end has not passed.
fn code(ended: &Ended) -> u8 {
    match ended.reason {
        StopReason::TimeUp => 0,
        StopReason::Asked => ended.interrupted.unwrap_or(Exit::Usage as u8),
        StopReason::Exited | StopReason::Execed | StopReason::HeldAtExit => Exit::NoTarget as u8,
        StopReason::Blocked => Exit::Usage as u8,
    }
}

fn resolve(args: &Check, policy: Policy, common: &Common, system: &System) -> Result<Config, ConfigError> {
    let output = Output::to_stdout(args.output.as_deref(), args.format, common.color, system);
    let interval = (args.duration / LOOKS).clamp(OFTEN, SELDOM);
    Ok(Config {
        tracing: Tracing::new(&args.tracing, false)?,
        schedule: Schedule { duration: Some(args.duration), interval: Some(interval) },
        view: View { incidents: View::incidents(output.format, args.top), ..View::EVERYTHING },
        judging: Judging::new(policy, args.findings.fail_on, CODES.map(str::to_owned)),
        writing: Writing { sources: config::sources(&args.findings, output.format), output, record: None },
    })
}

/// Compares every report with the limits, and writes the last one.
struct Limits {
    thresholds: Thresholds,
    top: usize,
    /// Whether the format of the report has no place for notices.
    hides_notices: bool,
}

impl ReportPass for Limits {
    fn pass(&mut self, report: &mut Report, _: &Registry, _: &dyn Symbols, is_last: bool) -> bool {
        self.thresholds.observe(clock::now(), report);
        if is_last {
            let known = report.notices.len();
            self.thresholds.add_verdicts(report);
            for notice in report.notices.iter().skip(known).filter(|_| self.hides_notices) {
                tracing::warn!("{notice}");
            }
            report.keep_alive(self.top);
        }
        is_last
    }
}
