//! Which pods the containers of this node belong to, if Kubernetes runs here.
//!
//! A thread of its own without capabilities asks every now and then. Where nobody answers, processes have the ids of their
//! containers and no names, and nothing else is different.

mod ask;
mod ways;

use std::io::{self, Write as _};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use leaktrace_core::node::Pods;
use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::time::sleep;

use self::ways::Way;
use crate::cli::agent::KubernetesArgs;
use crate::privilege;

/// How long nobody is asked again, and how much longer if no container has come that nobody knows.
const LEAST: Duration = Duration::from_secs(2);
const REST: Duration = Duration::from_secs(18);

/// Asks for pods until the process ends.
#[derive(Clone, Debug)]
pub(super) struct Kubernetes {
    wake: Arc<Notify>,
}

/// Where it can be asked.
pub(super) struct Ways(Vec<Way>);

impl Ways {
    /// Those that the options and this machine have.
    pub(super) fn find(args: &KubernetesArgs) -> anyhow::Result<Self> {
        ways::find(args, |name| std::env::var(name).ok()).map(Self)
    }
}

impl Kubernetes {
    /// Asks, if there is anybody to be asked, and tells what has changed, until `told` says that nobody wants to hear of it.
    pub(super) fn start(
        Ways(ways): Ways,
        told: impl Fn(Arc<Pods>) -> bool + Send + 'static,
    ) -> io::Result<Option<Self>> {
        if ways.is_empty() {
            return Ok(None);
        }
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let wake = Arc::new(Notify::new());
        let woken = Arc::clone(&wake);
        let run = move || match privilege::lay_down() {
            Ok(()) => runtime.block_on(go_on(&ways, told, &woken)),
            Err(error) => tracing::warn!("there are no names of pods: cannot give up capabilities: {error}"),
        };
        thread::Builder::new().name("kubernetes".to_owned()).spawn(run)?;
        Ok(Some(Self { wake }))
    }

    /// A container has come that nobody knows: asks soon.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }
}

/// Asks again and again.
async fn go_on(ways: &[Way], told: impl Fn(Arc<Pods>) -> bool, wake: &Notify) {
    let (mut before, mut said) = (None, String::new());
    loop {
        let (pods, outcome) = ask_all(ways).await;
        if said != outcome {
            // Whoever has closed standard error does not want to know.
            _ = writeln!(io::stderr(), "leaktrace: {outcome}");
            said = outcome;
        }
        if let Some(pods) = pods.map(Arc::new).filter(|pods| before.as_ref() != Some(pods)) {
            before = Some(Arc::clone(&pods));
            if !told(pods) {
                return;
            }
        }
        sleep(LEAST).await;
        tokio::select! {
            () = sleep(REST) => {}
            () = wake.notified() => {}
        }
    }
}

/// What the first way says that says anything, and what there is to tell people of that.
async fn ask_all(ways: &[Way]) -> (Option<Pods>, String) {
    let mut failures = Vec::new();
    for way in ways {
        match ask::ask(way).await {
            Ok(pods) => return (Some(pods), format!("names of pods come from {}", way.name())),
            Err(error) => {
                let hint = error.hint();
                failures.push(format!("{}: {:#}\nhint: {hint}", way.name(), anyhow::Error::from(error)));
            }
        }
    }
    (None, format!("there are no names of pods, from {}", failures.join("\nleaktrace: nor from ")))
}

#[cfg(test)]
mod tests;
