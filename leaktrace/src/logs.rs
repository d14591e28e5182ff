//! Where diagnostics go: standard error, never standard output.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// The variable that overrides `-v`, in the syntax of `tracing-subscriber`: `LEAKTRACE_LOG=leaktrace=debug`.
const VARIABLE: &str = "LEAKTRACE_LOG";

/// Starts logging, with as much as `-v` was given often.
pub fn start(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "warn,leaktrace=info",
        2 => "warn,leaktrace=debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new(level));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(verbose > 1)
        .without_time();
    // Only a second call could fail, and then the first one's choice stands.
    _ = subscriber.try_init();
}
