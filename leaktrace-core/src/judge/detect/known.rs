//! What users do not want to hear about: goroutines that they know, and verdicts of a former report.

use std::collections::BTreeSet;

use serde::Deserialize;
use thiserror::Error;

use super::observation::Standing;
use crate::base::path::base_name;
use crate::schema::Verdict;
use crate::schema::{Frame, Location};

/// Goroutines to leave alone, with the notions of `go.uber.org/goleak`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ignore {
    /// Those whose innermost function has this name.
    pub top: Vec<String>,
    /// Those with a function of this name anywhere on the stack.
    pub any: Vec<String>,
    /// Those that the function with this name started.
    pub created_by: Vec<String>,
}

impl Ignore {
    /// Whether it leaves none alone.
    pub(crate) const fn is_empty(&self) -> bool {
        self.top.is_empty() && self.any.is_empty() && self.created_by.is_empty()
    }

    /// Whether to leave goroutines alone that stand like this.
    pub fn matches(&self, standing: &Standing) -> bool {
        self.matches_stack(standing.created_by.function.as_ref(), &standing.stack)
    }

    /// Whether to leave goroutines alone that `creator` started and that stand like this.
    pub(crate) fn matches_stack(&self, creator: Option<&String>, stack: &[Frame]) -> bool {
        let mut functions = stack.iter().filter_map(|frame| frame.function.as_ref());
        functions.clone().next().is_some_and(|top| self.top.contains(top))
            || functions.any(|function| self.any.contains(function))
            || creator.is_some_and(|creator| self.created_by.contains(creator))
    }
}

/// Why a baseline is none.
#[derive(Debug, Error)]
#[error("not a JSON report: {0}")]
pub struct BaselineError(#[from] serde_json::Error);

/// The verdicts of a former report: rule, and `go` statement with its file but not its line, which moves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline(BTreeSet<Known>);

type Known = (String, Option<String>, Option<String>);

/// What matters of a former report.
#[derive(Deserialize)]
struct Former {
    #[serde(default)]
    verdicts: Vec<FormerVerdict>,
}

#[derive(Deserialize)]
struct FormerVerdict {
    code: String,
    created_by: Location,
}

impl Baseline {
    /// Reads what `--format json` wrote: the last report of several.
    pub fn read(json: &str) -> Result<Self, BaselineError> {
        let last = json.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        // A report that was indented by hand spans lines.
        let former: Former = serde_json::from_str(last).or_else(|_| serde_json::from_str(json))?;
        let known = |verdict: &FormerVerdict| known(&verdict.code, &verdict.created_by);
        Ok(Self(former.verdicts.iter().map(known).collect()))
    }

    /// Whether the former report has this verdict too.
    pub fn knows(&self, verdict: &Verdict) -> bool {
        self.0.contains(&known(&verdict.code, &verdict.created_by))
    }
}

fn known(code: &str, at: &Location) -> Known {
    let file = at.file.as_deref().map(|file| base_name(file).to_owned());
    (code.to_owned(), at.function.clone(), file)
}
