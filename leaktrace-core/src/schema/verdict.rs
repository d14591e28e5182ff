//! What is said about a site.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Blocked, Frame, Location, OwnLine};

/// How sure a verdict is; the surest is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The goroutines cannot run again.
    Certain,
    /// The evidence is such that it would be wrong once in twenty times at most.
    Likely,
    /// Worth a look, and no more.
    Watch,
}

impl Severity {
    /// Every severity, the surest first.
    pub const ALL: [Self; 3] = [Self::Certain, Self::Likely, Self::Watch];

    /// Its name, as users type it and formats print it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Certain => "certain",
            Self::Likely => "likely",
            Self::Watch => "watch",
        }
    }
}

/// What one rule found out about the goroutines of one `go` statement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The rule's code: `LT002`.
    pub code: String,
    /// The rule's name: `one-sided-channel`.
    pub name: String,
    /// How sure it is.
    pub severity: Severity,
    /// The `go` statement.
    pub created_by: Location,
    /// The user's own line that most of them come from, if that is known.
    #[serde(default)]
    pub own_line: Option<OwnLine>,
    /// The function that it started.
    pub start_function: Option<String>,
    /// Goroutines alive that this is about.
    pub live: u64,
    /// Births less ends of the site in a minute, where somebody watched for long enough.
    pub net_per_minute: Option<f64>,
    /// The age of the oldest, in nanoseconds.
    pub oldest_age_ns: Option<u64>,
    /// Whether the oldest may be older.
    pub age_is_lower_bound: bool,
    /// What most of them wait for, in the runtime's words; empty if they do not wait.
    pub wait_reason: String,
    /// Where most of them stand.
    pub blocked_at: Vec<Blocked>,
    /// The stack that reached the `go` statement most often, innermost first; empty if it was not seen.
    pub creation_stack: Vec<Frame>,
    /// The stack memory that they hold, in bytes.
    pub stack_bytes: u64,
    /// The numbers that it rests on, by name, as the rule's documentation explains them.
    pub evidence: BTreeMap<String, Value>,
    /// One line of words: `3,104 goroutines, +41/min, created by …, all blocked sending on one channel …`.
    pub summary: String,
    /// The likely cause, in plain words.
    pub cause: String,
    /// What to do about it, in plain words.
    pub remedy: String,
}

/// A verdict of no rule.
#[cfg(test)]
pub(crate) fn made_up(code: &str, severity: Severity) -> Verdict {
    Verdict {
        code: code.to_owned(),
        name: "made-up".to_owned(),
        severity,
        created_by: Location { function: None, file: None, line: None, pc: "0x1".to_owned() },
        own_line: None,
        start_function: None,
        live: 1,
        net_per_minute: None,
        oldest_age_ns: None,
        age_is_lower_bound: false,
        wait_reason: String::new(),
        blocked_at: Vec::new(),
        creation_stack: Vec::new(),
        stack_bytes: 0,
        evidence: BTreeMap::new(),
        summary: "1 goroutine".to_owned(),
        cause: String::new(),
        remedy: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::Severity;

    #[test]
    fn the_surest_comes_first() {
        assert!(Severity::ALL.is_sorted());
    }
}
