//! `leaktrace run`: starts a program under watch from its first instruction, and judges what is left at its end.

mod forward;
mod place;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use leaktrace_core::go::symbols::Symbols;
use leaktrace_core::judge::detect::{Gate, Policy};
use leaktrace_core::judge::left;
use leaktrace_core::judge::owners::Owners;
use leaktrace_core::schema::Report;
use leaktrace_core::trace::registry::Registry;

use crate::Done;
use crate::cli::run::Run;
use crate::cli::{Common, Sort};
use crate::config::{self, Config, ConfigError, Output, View};
use crate::diagnose::is_broken_pipe;
use crate::policy;
use crate::process::exit::ExitWatch;
use crate::process::launch::Launched;
use crate::process::{Pid, Procfs};
use crate::session::{self, End, Ended, Judge};

const WRONG_PROCESS: &str = "this traces the go command, not the programs that it starts; to trace those, use \
                             `go test -exec 'leaktrace run --' ./...` or `go run -exec 'leaktrace run --' .`";

/// Runs the program to its end. The exit status to end with is the program's own, or 1 if that is 0 and there is what
/// the user wants to fail on.
pub fn run(args: &Run, common: &Common, procfs: &Procfs) -> anyhow::Result<Done> {
    let signals = forward::block().context("cannot block signals")?;
    let (name, arguments) = args.program.split_first().context("no program given")?;
    let mut config = resolve(args, common)?;
    config.policy(policy::resolve(&args.rules)?);
    let mut command = Command::new(name);
    command.args(arguments);
    if starts_others(name, arguments) {
        tracing::warn!("{WRONG_PROCESS}");
    }
    let mut launched = Launched::start(command, signals)?;
    config.pid = launched.pid();
    config.output.file = config.output.file.map(|file| place::fill_in(&file, name, launched.pid()));
    forward::start(ExitWatch::open(procfs, config.pid)?).context("cannot forward signals")?;
    let mut leftovers = Leftovers { policy: &config.policy, top: args.top };
    let ended = session::run_launched(&config, procfs, &mut launched, &mut leftovers);
    // Whatever became of the watching, the program goes on to its end.
    let ran = launched.is_released();
    let code = launched.wait().context("cannot wait for the program")?;
    done(ended, code, ran)
}

/// What became of the program goes before what became of watching it.
fn done(ended: anyhow::Result<Ended>, code: u8, ran: bool) -> anyhow::Result<Done> {
    match ended {
        Ok(Ended { end, found }) => {
            let remark = if end == End::Execed { end.remark() } else { None };
            Ok(Done { remark: remark.map(str::to_owned), found: found && code == 0, code })
        }
        Err(error) if ran && code != 0 => Ok(Done { remark: Some(format!("{error:#}")), found: false, code }),
        // Nobody reads the report any more: that changes nothing about the program.
        Err(error) if is_broken_pipe(&error) => Ok(Done { code, ..Done::default() }),
        Err(error) => Err(error),
    }
}

/// Whether this is the `go` command, to run what is another process.
fn starts_others(name: &OsStr, arguments: &[OsString]) -> bool {
    let is_go = Path::new(name).file_name() == Some(OsStr::new("go"));
    is_go && arguments.first().is_some_and(|command| command == "test" || command == "run")
}

fn resolve(args: &Run, common: &Common) -> Result<Config, ConfigError> {
    let output = Output::to_stderr(args.output.as_deref(), args.format, common.color);
    Ok(Config {
        pid: Pid(0),
        duration: None,
        interval: None,
        view: View { min_age: Duration::ZERO, top: None, sort: Sort::Live, include_runtime: false },
        probes: args.tracing.probes.0.clone(),
        max_overhead: args.tracing.max_overhead.0,
        ring_bytes: config::ring_bytes(args.tracing.ring_size.0)?,
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
