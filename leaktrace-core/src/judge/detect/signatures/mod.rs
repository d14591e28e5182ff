//! How libraries leak when they are misused, recognised by their frames: a table in a file, to which users can add.

#[cfg(test)]
mod seen;

use regex::Regex;
use serde::Deserialize;
use thiserror::Error;

use super::observation::Standing;
use crate::schema::Severity;

/// The table that comes with leaktrace.
const BUILT_IN: &str = include_str!("signatures.json");

/// A known way to leak.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Its name: `http-body-not-closed`.
    pub name: String,
    /// Regular expressions of which each matches the name of a function on the stack.
    #[serde(default)]
    frames: Vec<Pattern>,
    /// A regular expression that matches the name of the function with the `go` statement.
    #[serde(default)]
    created_by: Option<Pattern>,
    /// How the wait reason begins, in the runtime's words.
    #[serde(default)]
    waits: Option<String>,
    /// Regular expressions of functions on the stacks of those who still use what would be left behind. There is no verdict
    /// if they are half as many; if nearly all of them stay where they are, it takes three quarters.
    #[serde(default)]
    used_by: Vec<Pattern>,
    /// How many of the goroutines there are for each thing that is used.
    #[serde(default = "one")]
    pub(super) each: u64,
    /// Whether the library itself keeps a goroutine beside each that waits for the network: that is no client then.
    #[serde(default)]
    pub(super) has_reader: bool,
    /// Whether most of those that are a minute old must not have run in the second half of their lives: what is used again is
    /// none.
    #[serde(default)]
    pub(super) unused: bool,
    /// What it takes to call it a leak.
    pub when: When,
    /// How many goroutines that takes at least.
    #[serde(default = "few")]
    pub least: u32,
    /// How sure it is then: `likely` or `watch`.
    pub severity: Severity,
    /// The cause.
    pub cause: String,
    /// What to do about it.
    pub remedy: String,
}

/// What it takes, besides the frames, to call goroutines a leak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// They grow in number and none leaves.
    Grows,
    /// The same, and next to all of those who started them have gone.
    Orphans,
    /// One has kept still for 30 seconds.
    Still,
    /// Nothing more.
    Seen,
}

const fn few() -> u32 {
    5
}

const fn one() -> u64 {
    1
}

/// A regular expression.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Pattern(Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl TryFrom<String> for Pattern {
    type Error = regex::Error;

    fn try_from(pattern: String) -> Result<Self, regex::Error> {
        Regex::new(&pattern).map(Self)
    }
}

/// Why a file of signatures is none.
#[derive(Debug, Error)]
#[error("not a list of signatures: {0}")]
pub struct SignatureError(#[from] serde_json::Error);

/// All signatures that are looked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Signatures(Vec<Signature>);

impl Signatures {
    /// Those that come with leaktrace.
    pub fn built_in() -> Self {
        // A test reads it.
        Self(serde_json::from_str(BUILT_IN).unwrap_or_default())
    }

    /// Puts those of a user's file before the others, so that they win.
    pub fn add(&mut self, json: &str) -> Result<(), SignatureError> {
        let mut own: Vec<Signature> = serde_json::from_str(json)?;
        own.append(&mut self.0);
        self.0 = own;
        Ok(())
    }

    /// The first one that fits.
    pub fn find(&self, standing: &Standing) -> Option<&Signature> {
        self.0.iter().find(|signature| signature.fits(standing))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Signature> {
        self.0.iter()
    }
}

impl Signature {
    /// Whether it is known who uses what is left behind.
    pub(super) const fn has_users(&self) -> bool {
        !self.used_by.is_empty()
    }

    /// Whether goroutines that stand here still use what others would have left behind.
    pub(super) fn is_used_by(&self, standing: &Standing) -> bool {
        let mut functions = standing.stack.iter().filter_map(|frame| frame.function.as_deref());
        functions.any(|function| self.used_by.iter().any(|pattern| pattern.0.is_match(function)))
    }

    fn fits(&self, standing: &Standing) -> bool {
        let functions = || standing.stack.iter().filter_map(|frame| frame.function.as_deref());
        let creator = standing.created_by.function.as_deref().unwrap_or_default();
        self.waits.as_ref().is_none_or(|waits| standing.doing.starts_with(waits.as_str()))
            && self.created_by.as_ref().is_none_or(|pattern| pattern.0.is_match(creator))
            && self.frames.iter().all(|pattern| functions().any(|function| pattern.0.is_match(function)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_table_can_be_read_and_says_everything() {
        let all: Vec<Signature> = serde_json::from_str(BUILT_IN).unwrap();
        assert!(all.len() > 12);
        for signature in &all {
            assert!(!signature.frames.is_empty() || signature.created_by.is_some(), "{}", signature.name);
            assert!(signature.severity != Severity::Certain, "{}", signature.name);
            assert!(!signature.cause.is_empty() && !signature.remedy.is_empty(), "{}", signature.name);
        }
    }

    #[test]
    fn a_mistake_in_a_users_file_is_told() {
        let mut signatures = Signatures::built_in();
        let error = signatures.add(r#"[{"name": "x", "frames": ["("]}]"#).unwrap_err();
        assert!(error.to_string().starts_with("not a list of signatures: "), "{error}");
    }
}
