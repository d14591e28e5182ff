//! What decides about verdicts: which of them to fail on, and what is shown beside them.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use leaktrace_core::schema::Severity;

use super::dump::named;

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// Text for people
    Text,
    /// JSON for programs, documented in docs/report.md
    Json,
    /// Annotations for GitHub Actions, one for each verdict
    Github,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// JUnit XML, with a failed test for each verdict that meets a failure condition
    Junit,
}

impl ReportFormat {
    /// The word that users type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Github => "github",
            Self::Sarif => "sarif",
            Self::Junit => "junit",
        }
    }

    /// Whether a tool reads it that wants one report, and the files as the repository calls them.
    pub const fn is_for_tools(self) -> bool {
        match self {
            Self::Text | Self::Json => false,
            Self::Github | Self::Sarif | Self::Junit => true,
        }
    }
}

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
