//! The shell of leaktrace: the command line, `/proc`, the kernel and the terminal. Everything that can be a
//! function of bytes lives in `leaktrace_core`.

pub mod cli;
pub mod config;
pub mod diagnose;
pub mod kernel;
pub mod logs;
pub mod process;
pub mod quantity;

use anyhow::Context;

use crate::cli::{Args, Command};
use crate::config::{Config, System};
use crate::process::Procfs;
use crate::process::find::Target;

/// Does what was typed.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let system = System::probe();
    match &args.command {
        Some(Command::Doctor(_)) => anyhow::bail!("doctor has not come yet"),
        None => {
            let config = Config::resolve(&args.watch, &args.common, &system)?;
            let target = Target::open(&Procfs::system(), config.pid)
                .with_context(|| format!("cannot attach to pid {}", config.pid))?;
            anyhow::bail!("found {}, but cannot watch it yet", target.about.name)
        }
    }
}
