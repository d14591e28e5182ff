//! What decides about verdicts: which of them to fail on, and what is shown beside them.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use leaktrace_core::schema::Severity;

use super::dump::named;

/// On which verdicts to fail, and what is shown beside them.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct Findings {
    /// Exit with status 1 if any verdict is at least this severe
    #[arg(long, value_name = "SEVERITY", value_parser = named(&Severity::ALL, Severity::as_str), help_heading = "Findings")]
    pub fail_on: Option<Severity>,

    /// Show lines of source code from DIR [default for github, sarif and junit: the repository that contains the
    /// current directory]
    #[arg(long, value_name = "DIR", help_heading = "Findings")]
    pub source: Option<PathBuf>,

    /// Show the commit, author and age of each source line, from git
    #[arg(long, help_heading = "Findings")]
    pub blame: bool,
}
