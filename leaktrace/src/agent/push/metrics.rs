//! Metrics of all processes, for an OpenTelemetry collector. They are what is known anyway: no process is read for them.

use std::time::Duration;

use leaktrace_core::node::push::otlp_request;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::config::PushConfig;
use super::courier::{Courier, part_of};
use crate::agent::http::Answers;
use crate::clock;

/// How many processes are told of in a request: with incidents each takes some ten kilobytes at most.
const MOST_PROCESSES: usize = 128;
/// When the first ones are pushed at the latest.
const FIRST: Duration = Duration::from_mins(1);

/// Pushes for ever.
pub(super) async fn push(mut courier: Courier, config: &PushConfig, answers: &dyn Answers) {
    let mut rounds = interval_at(Instant::now() + part_of(config.interval.min(FIRST)), config.interval);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        let node = answers.node();
        let now = clock::unix_ns().unwrap_or_default();
        for processes in node.processes.chunks(MOST_PROCESSES) {
            let Some(request) = otlp_request(processes, &config.about, now) else { continue };
            if courier.is_open() {
                courier.send(request).await;
            } else {
                courier.drop(1);
            }
        }
    }
}
