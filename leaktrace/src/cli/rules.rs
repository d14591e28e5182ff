//! Which rules are heard, and about what.

use std::path::PathBuf;

use clap::Args as ClapArgs;

/// What every command takes that judges.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(next_help_heading = "Rules")]
pub struct Rules {
    /// Report what these rules find, by code or name, `all` for every rule: this is the default
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    pub warn: Vec<String>,
    /// Do not report what these rules find
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    pub allow: Vec<String>,
    /// Report what these rules find, and end with exit code 1 if the last report has any of it
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    pub deny: Vec<String>,
    /// Look for the ways to leak in this file as well, docs/rules.md says how to write one
    #[arg(long, value_name = "FILE")]
    pub signatures: Vec<PathBuf>,
    /// Do not report what is in this report in JSON already
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
    /// Leave goroutines alone whose innermost function is this
    #[arg(long, value_name = "FUNC")]
    pub ignore_top: Vec<String>,
    /// Leave goroutines alone with this function anywhere on the stack
    #[arg(long, value_name = "FUNC")]
    pub ignore_any: Vec<String>,
    /// Leave goroutines alone that this function started
    #[arg(long, value_name = "FUNC")]
    pub ignore_created_by: Vec<String>,
}

/// What `leaktrace explain` takes.
#[derive(Debug, ClapArgs)]
pub struct Explain {
    /// The rule, by code or name
    #[arg(value_name = "RULE")]
    pub rule: String,
}
