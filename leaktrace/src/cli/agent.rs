//! `leaktrace agent`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args as ClapArgs;

use crate::quantity::{self, Bytes, Overhead, Span};

/// What `leaktrace agent` takes.
#[derive(Debug, ClapArgs)]
pub struct Agent {
    /// Watch only processes whose executable matches GLOB: its path, or its name if GLOB has no slash
    #[arg(long, value_name = "GLOB", help_heading = "Target")]
    pub exe: Option<String>,
    /// Watch only processes whose command matches REGEX
    #[arg(long, value_name = "REGEX", help_heading = "Target")]
    pub comm: Option<String>,
    /// How many processes are watched at most; others are listed with that reason
    #[arg(long, value_name = "COUNT", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=4096), help_heading = "Target")]
    pub max_processes: u32,

    /// Address to listen on
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:9464",
        conflicts_with = "listen_unix",
        help_heading = "Server"
    )]
    pub listen: SocketAddr,
    /// Listen on a Unix socket instead, which only its owner may use
    #[arg(long, value_name = "PATH", help_heading = "Server")]
    pub listen_unix: Option<PathBuf>,
    /// Serve only requests that carry the token in FILE (`Authorization: Bearer TOKEN`)
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    pub token_file: Option<PathBuf>,
    /// Serve everybody who can reach the address, without a token
    #[arg(long, help_heading = "Server")]
    pub allow_unauthenticated: bool,
    /// What scrapers that ask /sd are told to connect to [default: the address that they ask]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Server")]
    pub advertise: Option<String>,
    /// Accept requests for this host name too; may be repeated. Addresses and `localhost` are always accepted
    #[arg(long, value_name = "NAME", help_heading = "Server")]
    pub allowed_host: Vec<String>,

    /// How much of one core regular reads may use, or `off`; studies of suspects and profiles come on top
    #[arg(long, value_name = "PERCENT", default_value = "1%", value_parser = quantity::overhead, help_heading = "Limits")]
    pub max_cpu: Overhead,
    /// How many series /metrics shows at most
    #[arg(long, value_name = "COUNT", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000), help_heading = "Limits")]
    pub max_series: u32,

    /// What is kept of processes.
    #[command(flatten)]
    pub black_box: BlackBoxArgs,
}

/// What is kept of processes for the time after their end.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Black box")]
pub struct BlackBoxArgs {
    /// Keep in DIR what processes looked like that were conspicuous or were killed for want of memory, for `leaktrace report`
    #[arg(long, value_name = "DIR")]
    pub black_box: Option<PathBuf>,
    /// Take a snapshot when a process's memory reaches PERCENT of its limit, and again at 90% and 95%
    #[arg(long, value_name = "PERCENT", default_value = "80%", value_parser = quantity::percent, requires = "black_box")]
    pub black_box_memory: u32,
    /// Delete the oldest entries when all of them have more than SIZE
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = quantity::bytes, requires = "black_box")]
    pub black_box_size: Bytes,
    /// Delete entries that are older than TIME
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = quantity::span, requires = "black_box")]
    pub black_box_age: Span,
}
