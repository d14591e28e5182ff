//! `cargo xtask demo`: leaktrace's main job, on a real leaking Go program, on a machine that has neither.

use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use leaktrace_tests::go::{self, Mode, Program, Version};

use crate::step::{build_leaktrace, say};

/// Build leaktrace and a Go service that leaks, and watch the service
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long to watch
    #[arg(long, default_value = "30s")]
    duration: String,
}

/// Fetches and builds what is needed, starts the service and watches it.
pub(crate) fn run(args: &Args) -> Result<()> {
    let leaktrace = build_leaktrace()?;
    let binary = go::build(Program::Service, Version::NEWEST, Mode::Stripped, &mut say)?;
    let service = Service::start(&binary)?;
    say(&format!("started a leaking Go service, stripped, pid {}: {}", service.0.id(), binary.display()));
    let pid = service.0.id().to_string();
    let mut watch = as_root(&leaktrace.to_string_lossy());
    watch.args(["--pid", &pid, "--duration", &args.duration]);
    say(&format!("running: {}", shown(&watch)));
    let status = watch.status().with_context(|| format!("cannot start {}", shown(&watch)))?;
    if !status.success() {
        bail!("leaktrace failed ({status})");
    }
    Ok(())
}

/// The demo service; killed when dropped.
struct Service(Child);

impl Service {
    fn start(binary: &std::path::Path) -> Result<Self> {
        let child = Command::new(binary).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        Ok(Self(child.with_context(|| format!("cannot start {}", binary.display()))?))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It can only have ended by itself: nothing is left to do then.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// `program`, through sudo unless we are root.
fn as_root(program: &str) -> Command {
    if leaktrace_tests::privilege::is_root() {
        return Command::new(program);
    }
    let mut sudo = Command::new("sudo");
    sudo.arg(program);
    sudo
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
