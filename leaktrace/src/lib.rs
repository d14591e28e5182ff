//! The shell of leaktrace: the command line, `/proc`, the kernel and the terminal. Everything that can be a
//! function of bytes lives in `leaktrace_core`.

pub mod cli;
pub mod config;
pub mod diagnose;
pub mod doctor;
pub mod inspect;
pub mod kernel;
pub mod logs;
pub mod output;
pub mod process;
pub mod quantity;
pub mod session;

use crate::cli::{Args, Command};
use crate::config::{Config, System};
use crate::process::{Pid, Procfs};

/// Does what was typed; there may be a remark on how it ended.
pub fn run(args: &Args) -> anyhow::Result<Option<&'static str>> {
    let (system, procfs) = (System::probe(), Procfs::system());
    match &args.command {
        Some(Command::Doctor(doctor)) => {
            let color = config::color(args.common.color, &system);
            doctor::run(doctor.pid.map(Pid), &procfs, color, &mut std::io::stdout().lock())?;
            Ok(None)
        }
        None => {
            let config = Config::resolve(&args.watch, &args.common, &system)?;
            Ok(session::run(&config, &procfs)?.remark())
        }
    }
}
