//! `leaktrace dump`, `report` and `diff`: takes dumps and opens those that were taken. Nothing is attached to the
//! process, and nothing in it is stopped.
//!
//! What a dump is taken of is a [`subject::Subject`], whatever its memory is; what a dump consists of, and how it is
//! written, is [`leaktrace_core::dump`]'s.

pub(crate) mod black_box;
pub mod compare;
pub mod config;
pub mod core;
pub mod destination;
pub(crate) mod facts;
pub mod file;
mod recorded;
pub mod subject;
mod walk;

use leaktrace_core::base::human;
use leaktrace_core::dump::render::render;
use leaktrace_core::goroutines::Dump;

use crate::cli;
use crate::config::{ConfigError, System};
use crate::process::{Pid, Procfs};
use config::{DumpConfig, DumpConfigError};
use core::Core;
use destination::Destination;
use file::Opened;
use subject::{LiveProcess, Subject};

/// Dumps a process.
pub fn run(args: &cli::dump::Dump, system: &System, procfs: &Procfs) -> anyhow::Result<()> {
    let config = DumpConfig::resolve(&args.wanted, system)?;
    let destination = config.open()?;
    let dump = subject(args, procfs)?.dump(config.format.writer.arguments)?;
    write(dump, &config, destination)
}

/// What the user wants a dump of.
fn subject<'a>(args: &'a cli::dump::Dump, procfs: &'a Procfs) -> Result<Box<dyn Subject + 'a>, ConfigError> {
    if let (Some(core), Some(exe)) = (&args.core, &args.exe) {
        return Ok(Box::new(Core { core, exe }));
    }
    let pid = Pid(args.pid.ok_or(ConfigError::NoPid)?);
    Ok(Box::new(LiveProcess { pid, procfs }))
}

/// Writes what is in a file that was taken earlier.
pub fn report(args: &cli::report::Report, common: &cli::Common, system: &System) -> anyhow::Result<()> {
    if let Some(found) = black_box::find(&args.file) {
        return black_box::report(found, args, common, system);
    }
    match file::open_any(&args.file)? {
        Opened::Snapshot(_) if args.recording.at.is_some() => {
            Err(DumpConfigError::NotRecorded { path: args.file.clone() }.into())
        }
        Opened::Snapshot(dump) => {
            let config = DumpConfig::resolve(&args.wanted, system)?;
            let destination = config.open()?;
            write(*dump, &config, destination)
        }
        Opened::Recording(input) => recorded::report(args, input, common, system),
    }
}

/// Writes what is wanted of a dump.
fn write(mut dump: Dump, config: &DumpConfig, destination: Destination) -> anyhow::Result<()> {
    config.filter.apply(&mut dump, config.options.include_runtime);
    if let Some(remark) = nothing_left(&dump, config) {
        eprintln!("leaktrace: {remark}");
    }
    destination.write(|out| render(config.format, &dump, &config.options, out))
}

/// What is said where filters let nothing pass, since most formats then show nothing at all.
fn nothing_left(dump: &Dump, config: &DumpConfig) -> Option<String> {
    let include_runtime = config.options.include_runtime;
    let is_empty = dump.listed(include_runtime).next().is_none() && !config.filter.is_empty();
    is_empty.then(|| {
        let others = human::some(dump.completeness.filtered_out, "goroutine");
        format!("no goroutine matches; {others} left out")
    })
}

/// That no dump came about. Says to [`crate::diagnose`] that nothing was to be traced, so that less is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CannotDump {
    /// Of which process.
    pub pid: Pid,
}

impl std::fmt::Display for CannotDump {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot dump pid {}", self.pid)
    }
}
