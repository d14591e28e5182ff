//! What users do not want to hear about: goroutines that they know, and verdicts of a former report.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::IgnoredAny;
use thiserror::Error;

use super::observation::Standing;
use crate::base::path::base_name;
use crate::goroutines::snapshot;
use crate::schema::Verdict;
use crate::schema::{Frame, Location};
use crate::trace::recording::is_recording;

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
pub enum BaselineError {
    /// It is no JSON, or has something else where a report has its verdicts.
    #[error("not a JSON report: {0}")]
    NotJson(#[from] serde_json::Error),
    /// It is another file of ours.
    #[error("{0}, not a JSON report")]
    Other(&'static str),
}

/// The verdicts of a former report: rule, and `go` statement with its file but not its line, which moves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline(BTreeSet<Known>);

type Known = (String, Option<String>, Option<String>);

/// What matters of a former report.
#[derive(Deserialize)]
struct Former {
    incidents: Option<Vec<FormerIncident>>,
    #[serde(default)]
    not_listed: FormerNotListed,
    /// What reports had before there were incidents (`schema_version` 1).
    verdicts: Option<Vec<FormerVerdict>>,
    /// What reports on several processes, dumps and differences have instead.
    processes: Option<IgnoredAny>,
    goroutines: Option<IgnoredAny>,
    changes: Option<IgnoredAny>,
}

impl Former {
    fn verdicts(self) -> Result<Vec<FormerVerdict>, BaselineError> {
        let what = match self {
            Self { incidents: Some(incidents), not_listed, .. } => {
                let listed = incidents.into_iter().flat_map(|incident| incident.verdicts);
                return Ok(listed.chain(not_listed.further_verdicts).collect());
            }
            Self { verdicts: Some(verdicts), .. } => return Ok(verdicts),
            Self { processes: Some(_), .. } => "a report on several processes",
            Self { goroutines: Some(_), .. } => "a dump",
            Self { changes: Some(_), .. } => "a difference between dumps",
            _ => "JSON without verdicts",
        };
        Err(BaselineError::Other(what))
    }
}

#[derive(Deserialize)]
struct FormerIncident {
    verdicts: Vec<FormerVerdict>,
}

#[derive(Default, Deserialize)]
struct FormerNotListed {
    #[serde(default)]
    further_verdicts: Vec<FormerVerdict>,
}

#[derive(Deserialize)]
struct FormerVerdict {
    code: String,
    created_by: Location,
}

impl Baseline {
    /// Reads what `--format json` wrote: the last report of several.
    pub fn read(file: &[u8]) -> Result<Self, BaselineError> {
        if file.starts_with(&snapshot::MAGIC[..4]) {
            return Err(BaselineError::Other("a snapshot"));
        }
        if is_recording(file) {
            return Err(BaselineError::Other("a recording"));
        }
        let json = &String::from_utf8_lossy(file);
        let last = json.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        // A report that was indented by hand spans lines.
        let former: Former = serde_json::from_str(last).or_else(|_| serde_json::from_str(json))?;
        let known = |verdict: &FormerVerdict| known(&verdict.code, &verdict.created_by);
        Ok(Self(former.verdicts()?.iter().map(known).collect()))
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
