//! `leaktrace run`: starts a program under watch from its first instruction, and judges what is left at its end.

mod forward;
mod place;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use leaktrace_core::go::symbols::Symbols;
use leaktrace_core::judge::detect::Policy;
use leaktrace_core::judge::left;
use leaktrace_core::judge::owners::Owners;
use leaktrace_core::schema::Report;
use leaktrace_core::session::StopReason;
use leaktrace_core::trace::registry::Registry;

use crate::Done;
use crate::cli::Common;
use crate::cli::run::Run;
use crate::config::{self, Config, ConfigError, Judging, Output, Schedule, Tracing, View, Writing};
use crate::diagnose::is_broken_pipe;
use crate::policy;
use crate::process::Procfs;
use crate::process::exit::ExitWatch;
use crate::process::launch::Launched;
use crate::session::{self, Ended, ReportPass};
use crate::signals::Mask;

const WRONG_PROCESS: &str = "this traces the go command, not the programs that it starts; to trace those, use \
                             `go test -exec 'leaktrace run --' ./...` or `go run -exec 'leaktrace run --' .`";

/// Runs the program to its end. The exit status to end with is the program's own, or 1 if that is 0 and there is what
/// the user wants to fail on.
pub fn run(args: &Run, common: &Common, procfs: &Procfs, blocked: Mask) -> anyhow::Result<Done> {
    let (name, arguments) = args.program.split_first().context("no program given")?;
    let policy = policy::resolve(&args.rules)?;
    let mut command = Command::new(name);
    command.args(arguments);
    if starts_others(name, arguments) {
        tracing::warn!("{WRONG_PROCESS}");
    }
    // What makes no sense is refused before anything is started.
    if let Some(word) = args.output.as_deref().and_then(place::unknown) {
        return Err(ConfigError::Placeholder(word.to_owned()).into());
    }
    let tracing = Tracing { every_stack: true, ..Tracing::new(&args.tracing, false)? };
    let mut launched = Launched::start(command, blocked)?;
    let pid = launched.pid();
    let config = configure(args, common, tracing, policy, |file| place::fill_in(file, name, pid));
    forward::start(ExitWatch::open(procfs, pid)?).context("cannot forward signals")?;
    let leftovers = || Leftovers { policy: config.judging.policy.clone(), top: args.top };
    let make_pass = Box::new(|| -> Box<dyn ReportPass> { Box::new(leftovers()) });
    let ended = session::run_launched(&config, procfs, &mut launched, args.at_exit, make_pass);
    // Whatever became of the watching, the program goes on to its end.
    let ran = launched.is_released();
    let code = launched.wait().context("cannot wait for the program")?;
    done(ended, code, ran)
}

/// What became of the program goes before what became of watching it.
fn done(ended: anyhow::Result<Ended>, code: u8, ran: bool) -> anyhow::Result<Done> {
    match ended {
        Ok(ended) => {
            let remark = session::remark(&ended).filter(|_| ended.reason != StopReason::Exited);
            Ok(Done { remark: remark.map(str::to_owned), found: ended.found && code == 0, code })
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

/// How a program is watched; `file` says where its report goes.
fn configure(
    args: &Run,
    common: &Common,
    tracing: Tracing,
    policy: Policy,
    file: impl Fn(&Path) -> PathBuf,
) -> Config {
    let file = args.output.as_deref().map(file);
    let output = Output::to_stderr(file.as_deref(), args.format, common.color);
    Config {
        tracing,
        schedule: Schedule { duration: None, interval: None },
        view: View { incidents: View::incidents(output.format, args.top), ..View::EVERYTHING },
        judging: Judging::new(policy, args.findings.fail_on, []),
        writing: Writing { sources: config::sources(&args.findings, output.format), output, record: None },
    }
}

/// Judges what is left at the end.
struct Leftovers {
    policy: Policy,
    top: usize,
}

impl ReportPass for Leftovers {
    fn pass(
        &mut self,
        report: &mut Report,
        registry: &Registry,
        symbols: &dyn Symbols,
        _is_last: bool,
    ) -> bool {
        left::add_verdicts(report, &Owners::of(registry, symbols), &self.policy);
        report.keep_alive(self.top);
        true
    }
}
