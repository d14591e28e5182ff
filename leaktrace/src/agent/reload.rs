//! Settings that are read again while the agent runs, on a hangup: which may change, and which take a restart.

use std::io::{self, Write as _};
use std::sync::Arc;

use leaktrace_core::node::MemoryLimit;

use super::config::{AgentConfig, Resolved};
use super::http::Doors;
use super::main_loop::{Agent, Answer};
use super::push::Pushes;
use crate::cli;
use crate::process::workers::Lost;

/// What speaks to the network, and may be changed.
pub(super) struct Network {
    pub(super) doors: Doors,
    pub(super) pushes: Pushes,
}

impl Agent<'_> {
    /// Reads the settings again, on a thread that may not come back.
    pub(super) fn reload(&mut self) {
        if std::mem::replace(&mut self.under_way.is_reloading, true) {
            // They may have changed since they were read.
            self.under_way.is_reloading_again = true;
            return;
        }
        self.service.reloading();
        let (settings, procfs) = (self.settings.clone(), self.procfs.clone());
        let job = move || settings.read().and_then(|args| AgentConfig::resolve(&args, &procfs));
        if !self.begin(job, |result| Answer::Reread(result.map(Box::new))) {
            self.under_way.is_reloading = false;
        }
    }

    /// They have been read. What is wrong changes nothing.
    pub(super) fn reread(&mut self, result: Result<Box<anyhow::Result<Resolved>>, Lost>) {
        self.under_way.is_reloading = false;
        let kept = "the settings stay as they were";
        match result.map(|read| *read) {
            Ok(Ok(resolved)) => {
                match self.network.doors.change(resolved.guard, resolved.config.listen.identity.clone()) {
                    Ok(()) => self.apply(&resolved.args, resolved.config),
                    Err(error) => tracing::warn!("{kept}: {error}"),
                }
            }
            Ok(Err(error)) => tracing::warn!("{kept}: {error:#}"),
            Err(lost) => tracing::warn!("{kept}: {lost}"),
        }
        if std::mem::take(&mut self.under_way.is_reloading_again) {
            self.reload();
        }
    }

    fn apply(&mut self, args: &cli::agent::Agent, config: AgentConfig) {
        for (name, _) in fixed(&self.args, args).into_iter().filter(|(_, has_changed)| *has_changed) {
            tracing::warn!("--{name} cannot be changed while the agent runs: restart it");
        }
        if config.cores.to_bits() != self.config.cores.to_bits() {
            self.pace.set_cores(config.cores);
        }
        self.studies.set_limits(config.cores, config.max_overhead);
        if config.most_memory != self.config.most_memory {
            self.memory = MemoryLimit::new(config.most_memory);
        }
        self.network.pushes.change(config.push.clone());
        self.config = AgentConfig { meant: Arc::clone(&self.config.meant), ..config };
        self.is_news = true;
        // Whoever has closed standard error does not want to know.
        _ = writeln!(io::stderr(), "leaktrace: the settings have been read again");
    }
}

/// The settings that cannot change, and whether they have. What is ignored here may.
fn fixed(before: &cli::agent::Agent, after: &cli::agent::Agent) -> [(&'static str, bool); 18] {
    let cli::agent::Agent {
        config,
        exe,
        exclude_exe,
        comm,
        container,
        exclude_container,
        unit,
        exclude_unit,
        min_age,
        listen,
        listen_unix,
        advertise,
        black_box,
        push: _,
        kubernetes,
        max_processes: _,
        token_file: _,
        tls_cert,
        tls_key: _,
        allow_unauthenticated: _,
        allowed_host: _,
        node_profile: _,
        allow_probes: _,
        max_cpu: _,
        max_overhead: _,
        max_memory: _,
        max_series: _,
    } = before;
    [
        ("config", *config != after.config),
        ("exe", *exe != after.exe),
        ("exclude-exe", *exclude_exe != after.exclude_exe),
        ("comm", *comm != after.comm),
        ("container", *container != after.container),
        ("exclude-container", *exclude_container != after.exclude_container),
        ("unit", *unit != after.unit),
        ("exclude-unit", *exclude_unit != after.exclude_unit),
        ("min-age", *min_age != after.min_age),
        ("listen", *listen != after.listen),
        ("listen-unix", *listen_unix != after.listen_unix),
        // Another file may take the place of one.
        ("tls-cert", tls_cert.is_some() != after.tls_cert.is_some()),
        ("advertise", *advertise != after.advertise),
        // It and the options that belong to it.
        ("kubernetes", *kubernetes != after.kubernetes),
        ("black-box", black_box.black_box != after.black_box.black_box),
        ("black-box-memory", black_box.black_box_memory != after.black_box.black_box_memory),
        ("black-box-size", black_box.black_box_size != after.black_box.black_box_size),
        ("black-box-age", black_box.black_box_age != after.black_box.black_box_age),
    ]
}
