//! What the commands that trace have in common.

use clap::Args as ClapArgs;
use leaktrace_core::trace::plan::Statement;

use crate::quantity::{self, Bytes, Overhead, Probes};

/// What is traced, and what that may cost.
#[derive(Debug, ClapArgs)]
pub struct Tracing {
    /// Events to trace: any of birth, end, park and ready, or `none` to work from memory alone
    #[arg(
        long,
        value_name = "LIST",
        value_parser = quantity::probes,
        default_value = "birth,end,park,ready",
        help_heading = "Tracing"
    )]
    pub probes: Probes,

    /// Trace only the goroutines that this `go` statement starts: `FILE:LINE`, FUNCTION for all in it, or `FUNCTION:LINE`, as
    /// reports and tracebacks name them; may be repeated. Costs something only where it runs, and takes every creator's
    /// stack; all else is what snapshots show
    #[arg(long, value_name = "STATEMENT", conflicts_with = "probes", help_heading = "Tracing")]
    pub site: Vec<Statement>,

    /// Limit what tracing costs the target and what leaktrace itself uses, in percent of one core for each core that the
    /// target keeps busy; `off` for no limit. The report says what was left out, or done less often, to stay within it
    #[arg(
        long,
        value_name = "PERCENT",
        value_parser = quantity::overhead,
        default_value = "5%",
        help_heading = "Tracing"
    )]
    pub max_overhead: Overhead,

    /// Size of the ring buffer between the kernel and leaktrace [default: 16MiB; with several processes, 2MiB each]
    #[arg(long, value_name = "SIZE", value_parser = quantity::bytes, help_heading = "Tracing")]
    pub ring_size: Option<Bytes>,
}
