//! `leaktrace run`: starts a program under watch from its first instruction, and judges what is left at its end.

mod forward;

use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use leaktrace_core::detect::{Gate, Policy};
use leaktrace_core::left;
use leaktrace_core::registry::Registry;
use leaktrace_core::report::{Owners, Report, Symbols};

use crate::cli::run::Run;
use crate::cli::{Common, Sort};
use crate::config::{self, Config, ConfigError, Output, View};
use crate::policy;
use crate::process::exit::ExitWatch;
use crate::process::launch::Launched;
use crate::process::{Pid, Procfs};
use crate::session::{self, Judge};

/// What `leaktrace` ends with where the program itself did well.
const FOUND: u8 = 1;

/// Runs the program to its end. Returns the exit status to end with: the program's own, or 1 if that is 0 and there
/// is what the user wants to fail on.
pub fn run(args: &Run, common: &Common, procfs: &Procfs) -> anyhow::Result<u8> {
    let signals = forward::block().context("cannot block signals")?;
    let (name, arguments) = args.program.split_first().context("no program was named")?;
    let mut config = resolve(args, common)?;
    config.policy(policy::resolve(&args.rules)?);
    let mut command = Command::new(name);
    command.args(arguments);
    let started = Launched::start(command, signals);
    let mut launched = started.with_context(|| format!("cannot start {}", name.display()))?;
    config.pid = launched.pid();
    forward::start(ExitWatch::open(procfs, config.pid)?).context("cannot hand signals on")?;
    let mut leftovers = Leftovers { policy: &config.policy, top: args.top };
    let ended = session::run_launched(&config, procfs, &mut launched, &mut leftovers);
    // Whatever became of the watching, the program goes on to its end.
    let code = launched.wait().context("cannot wait for the program")?;
    let found = ended?.found;
    Ok(if code == 0 && found { FOUND } else { code })
}

fn resolve(args: &Run, common: &Common) -> Result<Config, ConfigError> {
    let output = Output::to_stderr(args.output.as_deref(), args.format, common.color);
    Ok(Config {
        pid: Pid(0),
        duration: None,
        interval: None,
        view: View { min_age: Duration::ZERO, top: None, sort: Sort::Live, include_runtime: false },
        probes: args.probes.0.clone(),
        max_overhead: args.max_overhead.0,
        ring_bytes: config::ring_bytes(args.ring_size.0)?,
        at_exit: args.at_exit,
        every_stack: true,
        record: None,
        gate: Gate { fail_on: args.findings.fail_on, deny: Vec::new() },
        policy: Policy::default(),
        sources: config::sources(&args.findings, output.format),
        output,
    })
}

/// Judges what is left at the end.
struct Leftovers<'p> {
    policy: &'p Policy,
    top: usize,
}

impl Judge for Leftovers<'_> {
    fn judge(
        &mut self,
        report: &mut Report,
        registry: &Registry,
        symbols: &dyn Symbols,
        _is_last: bool,
    ) -> bool {
        left::judge(report, &Owners::of(registry, symbols), self.policy);
        report.keep_alive(self.top);
        true
    }
}
