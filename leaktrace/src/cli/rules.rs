//! Which rules are heard, and about what.

use std::path::PathBuf;

use clap::Args as ClapArgs;

/// What every command takes that judges.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(next_help_heading = "Rules")]
pub struct Rules {
    /// Report what RULE finds (a code or a name, or `all`); this is the default
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    pub warn: Vec<String>,
    /// Do not report what RULE finds
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    pub allow: Vec<String>,
    /// Report what RULE finds, and exit with status 1 if the last report contains such a verdict
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    pub deny: Vec<String>,
    /// Load additional leak signatures from FILE (format: docs/rules.md)
    #[arg(long, value_name = "FILE")]
    pub signatures: Vec<PathBuf>,
    /// Hide verdicts that FILE, an earlier JSON report, already contains
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Treat functions whose names begin with PREFIX as your own code, besides those of the main module; may be repeated
    #[arg(long, value_name = "PREFIX")]
    pub own: Vec<String>,
    /// Leave out goroutines whose innermost function is FUNC
    #[arg(long, value_name = "FUNC")]
    pub ignore_top: Vec<String>,
    /// Leave out goroutines with FUNC anywhere on the stack
    #[arg(long, value_name = "FUNC")]
    pub ignore_any: Vec<String>,
    /// Leave out goroutines that FUNC created
    #[arg(long, value_name = "FUNC")]
    pub ignore_created_by: Vec<String>,
}

/// What `leaktrace explain` takes.
#[derive(Debug, ClapArgs)]
pub struct Explain {
    /// Code or name of the rule
    #[arg(value_name = "RULE")]
    pub rule: String,
}
