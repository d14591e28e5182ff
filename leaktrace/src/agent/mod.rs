//! All Go processes of a machine, all the time.

pub mod http;
mod metrics;
