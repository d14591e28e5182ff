//! What the commands that trace have in common.

use clap::Args as ClapArgs;

use crate::quantity::{self, Bytes, Overhead, Probes};

/// What is traced, and what that may cost.
#[derive(Debug, ClapArgs)]
pub struct Tracing {
    /// What to trace: any of birth, end, park, ready, or none to work from memory alone
    #[arg(
        long,
        value_name = "LIST",
        value_parser = quantity::probes,
        default_value = "birth,end,park,ready",
        help_heading = "Tracing"
    )]
    pub probes: Probes,

    /// The most that tracing may cost, in percent of one core for each core that the target keeps busy; what is
    /// shed to stay below is reported. `off` for no limit
    #[arg(
        long,
        value_name = "PERCENT",
        value_parser = quantity::overhead,
        default_value = "5%",
        help_heading = "Tracing"
    )]
    pub max_overhead: Overhead,

    /// How much the ring buffer between kernel and leaktrace holds
    #[arg(long, value_name = "SIZE", value_parser = quantity::bytes, default_value = "16MiB", help_heading = "Tracing")]
    pub ring_size: Bytes,
}
