//! `leaktrace check`: watches a process for a while, and fails on verdicts and on limits that users set.

use std::time::Duration;

use leaktrace_core::go::symbols::Symbols;
use leaktrace_core::judge::detect::{Gate, Policy};
use leaktrace_core::judge::thresholds::{CODES, Thresholds};
use leaktrace_core::schema::Report;
use leaktrace_core::trace::registry::Registry;

use crate::Done;
use crate::cli::check::Check;
use crate::cli::{Common, Sort};
use crate::config::{self, Config, ConfigError, Output, System, View};
use crate::diagnose::Exit;
use crate::policy;
use crate::process::{Pid, Procfs};
use crate::session::{self, End, INTERRUPTED, Judge, clock};

/// How often limits are looked at: so many times in a check, but not more or less often than this.
const LOOKS: u32 = 60;
const OFTEN: Duration = Duration::from_millis(500);
const SELDOM: Duration = Duration::from_secs(10);

const CUT_SHORT: &str = "the check was interrupted by a signal; the report covers what was seen until then";

/// Checks a process.
pub fn run(args: &Check, common: &Common, system: &System, procfs: &Procfs) -> anyhow::Result<Done> {
    let mut config = resolve(args, common, system)?;
    config.policy(policy::resolve(&args.rules)?);
    let limits = args.max.iter().chain(&args.max_growth).cloned();
    let mut limits = Limits {
        thresholds: Thresholds::new(limits),
        top: args.top,
        hides_notices: config.output.format.is_for_tools(),
    };
    let ended = session::run(&config, procfs, &mut limits)?;
    let remark = if ended.end == End::Asked { Some(CUT_SHORT) } else { ended.end.remark() };
    Ok(Done { remark: remark.map(str::to_owned), found: ended.found, code: code(ended.end) })
}

/// What could not be watched to the end has not passed.
const fn code(end: End) -> u8 {
    match end {
        End::TimeUp => 0,
        End::Asked => INTERRUPTED,
        End::Exited | End::Execed | End::Leaving => Exit::NoTarget as u8,
    }
}

fn resolve(args: &Check, common: &Common, system: &System) -> Result<Config, ConfigError> {
    let output = Output::to_stdout(args.output.as_deref(), args.format, common.color, system);
    Ok(Config {
        pid: Pid(args.pid),
        duration: Some(args.duration),
        interval: Some((args.duration / LOOKS).clamp(OFTEN, SELDOM)),
        view: View { min_age: Duration::ZERO, top: None, sort: Sort::Live, include_runtime: false },
        probes: args.tracing.probes.0.clone(),
        max_overhead: args.tracing.max_overhead.0,
        ring_bytes: config::ring_bytes(args.tracing.ring_size.0)?,
        at_exit: false,
        every_stack: false,
        record: None,
        gate: Gate { fail_on: args.findings.fail_on, deny: CODES.map(str::to_owned).into() },
        policy: Policy::default(),
        sources: config::sources(&args.findings, output.format),
        output,
    })
}

/// Compares every report with the limits, and writes the last one.
struct Limits {
    thresholds: Thresholds,
    top: usize,
    /// Whether the format of the report has no place for notices.
    hides_notices: bool,
}

impl Judge for Limits {
    fn judge(&mut self, report: &mut Report, _: &Registry, _: &dyn Symbols, is_last: bool) -> bool {
        self.thresholds.observe(clock::now(), report);
        if is_last {
            let known = report.notices.len();
            self.thresholds.judge(report);
            for notice in report.notices.iter().skip(known).filter(|_| self.hides_notices) {
                tracing::warn!("{notice}");
            }
            report.keep_alive(self.top);
        }
        is_last
    }
}
