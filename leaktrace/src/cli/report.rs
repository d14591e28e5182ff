//! `leaktrace report`.

use std::path::PathBuf;

use clap::Args as ClapArgs;

use super::dump::Wanted;

/// What `leaktrace report` takes.
#[derive(Debug, ClapArgs)]
pub struct Report {
    /// The file to open: a snapshot (`.ltr`)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What is wanted of it.
    #[command(flatten)]
    pub wanted: Wanted,
}
