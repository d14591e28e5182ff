//! `leaktrace agent`: watches every Go process of a machine by what its memory says, and tells of it over HTTP.
//!
//! Nothing is attached to any process. One thread has the loop; threads that may be given up read processes; a thread
//! without rights speaks to the network and touches neither a process nor its binary.

mod asks;
pub(crate) mod black_box;
mod config;
mod finding;
pub mod http;
mod main_loop;
mod metrics;
mod reads;
mod roster;
mod shared;
mod studies;
mod taking;
mod telling;

use std::io::{self, Write as _};

use anyhow::Context as _;
use tokio::sync::mpsc;

use self::black_box::Recorder;
use self::config::AgentConfig;
use self::main_loop::Agent;
use self::shared::Shared;
use crate::process::Procfs;
use crate::signals::Interrupts;
use crate::{cli, clock};

/// Watches all processes until a signal ends that.
pub fn run(args: &cli::agent::Agent, procfs: &Procfs, interrupts: Interrupts) -> anyhow::Result<()> {
    let (config, guard) = AgentConfig::resolve(args, procfs)?;
    let (answer, answers) = mpsc::unbounded_channel();
    let recorder = config.black_box.as_ref().map(|config| Recorder::start(config, procfs, answer.clone()));
    let recorder = recorder.transpose()?;
    let desk = recorder.as_ref().map(|recorder| recorder.desk.clone());
    let (shared, asked) = Shared::new(clock::now(), desk);
    let server = http::start(config.listen.clone(), guard, shared.clone())?;
    if let Some(address) = server.address() {
        // Whoever has closed standard error does not want to know.
        _ = writeln!(io::stderr(), "leaktrace: listening on http://{address}/");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let mut agent = Agent::new(&config, procfs, (shared, asked), (answer, answers), recorder);
    runtime.context("cannot start the event loop")?.block_on(agent.run(interrupts.wishes().end));
    server.stop();
    Ok(())
}
