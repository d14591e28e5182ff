//! Who sends to one server: says once that it fails, leaves it alone for a while, and counts.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use leaktrace_core::node::push::{
    Backoff, Outcome, PARCA_PATH, PYROSCOPE_PATH, connect_outcome, grpc_web_outcome, otlp_outcome,
};

use super::client::{self, Answer, PATIENCE};
use super::config::{Destination, Server};
use super::counts::{Counts, PushResult};
use crate::clock;

/// Where OTLP's metrics go.
const OTLP_PATH: &str = "/v1/metrics";

/// Sends to one server.
pub(super) struct Courier {
    to: Destination,
    interval: Duration,
    backoff: Backoff,
    counts: Arc<Counts>,
    /// Whether it was said that the server refuses something.
    is_refusal_told: bool,
    patience: Duration,
}

impl Courier {
    pub(super) fn new(to: Destination, interval: Duration, counts: Arc<Counts>) -> Self {
        let backoff = Backoff::default();
        Self { to, interval, backoff, counts, is_refusal_told: false, patience: PATIENCE }
    }

    /// One who waits so long for an answer.
    #[cfg(test)]
    pub(super) fn patient(to: Destination, patience: Duration, counts: Arc<Counts>) -> Self {
        Self { patience, ..Self::new(to, Duration::from_mins(1), counts) }
    }

    /// To whom.
    pub(super) const fn server(&self) -> Server {
        self.to.server
    }

    /// Whether the server may be tried.
    pub(super) fn is_open(&self) -> bool {
        self.backoff.is_over(clock::now())
    }

    /// So many are not sent.
    pub(super) fn drop(&self, count: u64) {
        self.counts.add(self.server(), PushResult::Dropped, count);
    }

    /// Sends one request.
    pub(super) async fn send(&mut self, body: Vec<u8>) {
        let (path, content_type) = match self.server() {
            Server::Pyroscope => (PYROSCOPE_PATH, "application/proto"),
            Server::Parca => (PARCA_PATH, "application/grpc-web+proto"),
            Server::Otlp => (OTLP_PATH, "application/x-protobuf"),
        };
        let answer = client::post(&self.to, path, content_type, Bytes::from(body), self.patience).await;
        let outcome = match answer {
            Ok(answer) => outcome(self.server(), &answer),
            Err(error) => Outcome::Failed(format!("{:#}", anyhow::Error::from(error))),
        };
        self.note(&outcome);
    }

    fn note(&mut self, outcome: &Outcome) {
        let (name, url) = (self.server().as_str(), &self.to.url);
        let result = match outcome {
            Outcome::Sent => PushResult::Sent,
            Outcome::Refused(_) => PushResult::Refused,
            Outcome::Failed(_) => PushResult::Failed,
        };
        self.counts.add(self.server(), result, 1);
        if let Outcome::Failed(why) = outcome {
            if self.backoff.failed(clock::now(), self.interval, random()) {
                tracing::warn!("cannot push to {name} at {url}: {why}; it is tried again ever less often");
            }
            return;
        }
        if self.backoff.succeeded() {
            tracing::warn!("{name} at {url} answers again");
        }
        if let Outcome::Refused(why) = outcome
            && !std::mem::replace(&mut self.is_refusal_told, true)
        {
            tracing::warn!("{name} at {url} refuses what is pushed: {why}; this is not said again");
        }
    }
}

fn outcome(server: Server, answer: &Answer) -> Outcome {
    let Answer { status, body, .. } = answer;
    match server {
        Server::Pyroscope => connect_outcome(*status, body),
        Server::Parca => {
            grpc_web_outcome(*status, answer.header("grpc-status"), answer.header("grpc-message"), body)
        }
        Server::Otlp => otlp_outcome(*status, body),
    }
}

/// A number by chance, for what nobody gains from guessing.
pub(super) fn random() -> u64 {
    // Each of these has keys of its own.
    RandomState::new().hash_one(0)
}

/// A time by chance, so that many agents that start together do not push together.
pub(super) fn part_of(time: Duration) -> Duration {
    let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(random().checked_rem(milliseconds).unwrap_or(0))
}
