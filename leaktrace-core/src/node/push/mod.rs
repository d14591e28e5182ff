//! What an agent sends by itself, as bytes: profiles for Pyroscope and Parca, metrics for OpenTelemetry; what their answers
//! mean, whose turn it is, and how long to wait after a failure.
//!
//! **Invariant:** nothing here says more of a process than metrics do: no command line, no environment, no argument, and none of
//! the program's own labels.

mod answer;
mod backoff;
mod connect;
mod grpc_web;
mod label;
mod labels;
pub mod otlp;
mod parca;
mod pyroscope;
#[cfg(test)]
mod tests;
mod turns;

pub use answer::Outcome;
pub use backoff::Backoff;
pub use connect::connect_outcome;
pub use grpc_web::grpc_web_outcome;
pub use labels::profile_labels;
pub use otlp::{Metrics, otlp_outcome, otlp_request};
pub use parca::{PARCA_PATH, parca_request};
pub use pyroscope::{PYROSCOPE_PATH, profile_id, pyroscope_request};
pub use turns::{PushCandidate, PushTurns};
