//! `leaktrace agent`: watches every Go process of a machine by what its memory says, and tells of it over HTTP.
//!
//! Nothing is attached to any process but by studies, which are processes of their own. One thread has the loop; threads that
//! may be given up read processes; threads without rights speak to the network and touch neither a process nor its binary.

mod asks;
pub(crate) mod black_box;
mod coming;
mod config;
mod deltas;
mod dumps;
mod events;
mod exits;
mod finding;
mod headers;
pub mod http;
mod kubernetes;
mod levels;
mod main_loop;
mod memory;
mod metrics;
mod naming;
mod node_profile;
mod push;
mod readiness;
mod reads;
mod reload;
mod roster;
mod service;
pub mod settings;
mod shared;
mod studied;
mod studies;
mod study;
mod taking;
mod telling;
pub mod tls;
mod turns;
mod under_way;
mod waiting;

use std::io::{self, Write as _};

use anyhow::Context as _;
use tokio::sync::mpsc;

use self::black_box::Recorder;
use self::config::{AgentConfig, Resolved};
use self::events::Events;
use self::exits::Exits;
use self::kubernetes::{Kubernetes, Ways};
use self::main_loop::{Agent, Answer, Beginning};
use self::naming::Naming;
use self::push::Pushes;
use self::reload::Network;
use self::settings::Settings;
use self::shared::Shared;
use crate::clock;
use crate::process::Procfs;
use crate::signals::Interrupts;

/// Watches all processes until a signal ends that.
pub fn run(procfs: &Procfs, interrupts: Interrupts) -> anyhow::Result<()> {
    let settings = Settings::of_this_process();
    let Resolved { args, config, guard } = AgentConfig::resolve(&settings.read()?, procfs)?;
    let ways = Ways::find(&args.kubernetes)?;
    let answers = mpsc::unbounded_channel();
    let recorder = config.black_box.as_ref().map(|config| Recorder::start(config, procfs, answers.0.clone()));
    let black_box = recorder.transpose()?;
    let desk = black_box.as_ref().map(|recorder| recorder.desk.clone());
    let (shared, asked) = Shared::new(clock::now(), desk);
    let server = http::start(config.listen.clone(), guard, shared.clone())?;
    if let Some(address) = server.address() {
        // Whoever has closed standard error does not want to know.
        let scheme = config.listen.scheme();
        _ = writeln!(io::stderr(), "leaktrace: listening on {scheme}://{address}/");
    }
    let pushes = Pushes::start(config.push.clone(), shared.clone())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let network = Network { doors: server.doors(), pushes };
    let answer = answers.0.clone();
    let told = move |pods| answer.send(Answer::Pods(pods)).is_ok();
    let kubernetes = Kubernetes::start(ways, told).context("cannot ask for names of pods")?;
    let runtime = runtime.context("cannot start the event loop")?;
    let watched = async {
        let (events, exits) = (Events::start(), Exits::new().context("cannot wait for processes")?);
        let beginning =
            Beginning { args, config, settings, network, shared, asked, answers, events, exits, black_box };
        let mut agent = Agent::new(beginning, procfs);
        agent.roster.naming = Naming::new(kubernetes);
        agent.run(interrupts.wishes()).await;
        anyhow::Ok(())
    };
    runtime.block_on(watched)?;
    server.stop();
    Ok(())
}
