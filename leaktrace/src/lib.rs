//! The shell of leaktrace: the command line, `/proc`, the kernel and the terminal. Everything that can be a
//! function of bytes lives in `leaktrace_core`.

pub mod agent;
pub mod allocator;
pub mod check;
pub mod cli;
pub mod clock;
pub mod config;
pub mod diagnose;
pub mod doctor;
pub mod dump;
pub mod exit;
pub mod inspect;
pub mod kernel;
pub mod logs;
pub mod output;
pub mod policy;
pub mod privilege;
pub mod process;
pub mod quantity;
pub mod run;
pub mod server_url;
pub mod session;
pub mod signals;
pub mod sources;

use anyhow::Context as _;

use crate::cli::{Args, Command};
use crate::config::{Config, Selection, System};
use crate::output::Stdout;
use crate::process::{Pid, Procfs};
use crate::session::ReportPass;
use crate::signals::{Interrupts, Mask, Taken};

/// How what was asked for ended, where it did not fail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// What the user should be told.
    pub remark: Option<String>,
    /// Whether that was found on which the user wants to fail.
    pub found: bool,
    /// The exit status to end with where nothing was found: another program's, or that of what was not finished.
    pub code: u8,
}

/// Who takes signals while that is done.
pub const fn takes_signals(args: &Args) -> Taken {
    match &args.command {
        Some(Command::Run(_)) => Taken::ByProgram,
        Some(Command::Check(_) | Command::Agent(_)) => Taken::Here,
        None if !args.list_rules => Taken::Here,
        _ => Taken::Never,
    }
}

/// Does what was typed, with `blocked` signals for the programs that it starts.
pub fn run(args: &Args, blocked: Mask) -> anyhow::Result<Done> {
    let (system, procfs) = (System::probe(), Procfs::system());
    let mut done = Done::default();
    match &args.command {
        Some(Command::Run(run)) => done = run::run(run, &args.common, &procfs, blocked)?,
        Some(Command::Check(check)) => done = check::run(check, &args.common, &system, &procfs)?,
        Some(Command::Dump(dump)) => dump::run(dump, &system, &procfs)?,
        Some(Command::Report(report)) => dump::report(report, &args.common, &system)?,
        Some(Command::Diff(diff)) => {
            done.remark = dump::compare::run(diff)?;
            done.found = done.remark.is_some();
        }
        Some(Command::Doctor(doctor)) => {
            let color = config::color(args.common.color, &system);
            doctor::run(doctor.pid.map(Pid), &doctor.site, &procfs, color, &mut Stdout::lock())?;
        }
        Some(Command::Agent(_)) => {
            let interrupts = Interrupts::listen_and_reload().context("cannot listen to signals")?;
            agent::run(&procfs, interrupts)?;
        }
        Some(Command::Explain(explain)) => policy::explain(&explain.rule, &mut Stdout::lock())?,
        None if args.list_rules => policy::list(&mut Stdout::lock())?,
        None => done = watch(args, &system, &procfs)?,
    }
    Ok(done)
}

fn watch(args: &Args, system: &System, procfs: &Procfs) -> anyhow::Result<Done> {
    let interrupts = Interrupts::listen().context("cannot listen to signals")?;
    let selection = Selection::new(&args.watch)?;
    let policy = policy::resolve(&args.rules)?;
    let config = Config::resolve(&args.watch, selection.is_many(), policy, &args.common, system)?;
    let make_pass = Box::new(|| -> Box<dyn ReportPass> { Box::new(session::AsItIs) });
    let ended = session::run(&config, &selection, procfs, interrupts, make_pass)?;
    let code = ended.interrupted.filter(|_| !ended.has_reported).unwrap_or(0);
    Ok(Done { remark: session::remark(&ended).map(str::to_owned), found: ended.found, code })
}
