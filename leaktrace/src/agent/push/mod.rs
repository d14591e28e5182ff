//! What the agent sends by itself: profiles to Pyroscope and Parca, metrics to OpenTelemetry.
//!
//! A thread of its own does that. It has no capabilities and touches no process: what it sends it asks for, as the server does.
//!
//! **Invariant:** a server that hangs, fails or talks without end costs a bounded time and memory, and nobody but itself.

mod client;
mod config;
mod counts;
mod courier;
mod metrics;
mod profiles;
#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use anyhow::Context as _;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};

pub(super) use config::PushConfig;

use self::config::Server;
use self::counts::Counts;
use self::courier::Courier;
use super::http::Answers;
use crate::privilege;

/// How many names of hosts may be looked up at a time; each takes a thread until the resolver gives up.
const MOST_LOOKUPS: usize = 4;

/// What is sent to others. It ends when this is dropped.
pub(super) struct Pushes {
    answers: Arc<dyn Answers>,
    counts: Arc<Counts>,
    /// Who is told of other settings, once there is a thread.
    config: Option<watch::Sender<PushConfig>>,
}

impl Pushes {
    /// Begins, if there is anybody to whom something is sent.
    pub(super) fn start(config: PushConfig, answers: Arc<dyn Answers>) -> anyhow::Result<Self> {
        let mut pushes = Self { answers, counts: Arc::default(), config: None };
        pushes.begin(config)?;
        Ok(pushes)
    }

    /// From now on that is sent to whom `config` says. What is under way is cut off.
    pub(super) fn change(&mut self, config: PushConfig) {
        let changed = match &self.config {
            Some(thread) => {
                thread.send_if_modified(|before| std::mem::replace(before, config.clone()) != config);
                Ok(())
            }
            None => self.begin(config),
        };
        if let Err(error) = changed {
            tracing::warn!("{error:#}");
        }
    }

    /// To whom something was sent, with which result, and how often.
    pub(super) fn figures(&self) -> Vec<(&'static str, &'static str, u64)> {
        let Some(config) = &self.config else { return Vec::new() };
        let servers = config.borrow().destinations.iter().map(|to| to.server).collect::<Vec<_>>();
        self.counts.figures(&servers)
    }

    fn begin(&mut self, config: PushConfig) -> anyhow::Result<()> {
        if config.destinations.is_empty() {
            return Ok(());
        }
        let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(MOST_LOOKUPS).build();
        let runtime = runtime.context("cannot start the thread that pushes")?;
        let (sender, receiver) = watch::channel(config);
        let (answers, counts) = (Arc::clone(&self.answers), Arc::clone(&self.counts));
        let run = move || run(runtime, receiver, &answers, &counts);
        let thread = thread::Builder::new().name("push".to_owned()).spawn(run);
        thread.context("cannot start the thread that pushes")?;
        self.config = Some(sender);
        Ok(())
    }
}

fn run(
    runtime: Runtime,
    config: watch::Receiver<PushConfig>,
    answers: &Arc<dyn Answers>,
    counts: &Arc<Counts>,
) {
    match privilege::lay_down() {
        Ok(()) => LocalSet::new().block_on(&runtime, push(config, answers, counts)),
        Err(error) => tracing::warn!("nothing is pushed: cannot give up capabilities: {error}"),
    }
    // A lookup that hangs is not waited for.
    runtime.shutdown_background();
}

/// Sends to each server by itself, until there are other settings, or none any more.
async fn push(mut config: watch::Receiver<PushConfig>, answers: &Arc<dyn Answers>, counts: &Arc<Counts>) {
    loop {
        let now = Rc::new(config.borrow_and_update().clone());
        // They end with this.
        let mut all = JoinSet::new();
        for destination in &now.destinations {
            let courier = Courier::new(destination.clone(), now.interval, Arc::clone(counts));
            let (answers, config) = (Arc::clone(answers), Rc::clone(&now));
            all.spawn_local(async move {
                match courier.server() {
                    Server::Otlp => metrics::push(courier, &config, &*answers).await,
                    Server::Pyroscope | Server::Parca => profiles::push(courier, &config, &*answers).await,
                }
            });
        }
        if config.changed().await.is_err() {
            return;
        }
    }
}
