//! What of a report is wanted.

use std::time::Duration;

/// By what groups are sorted, the greatest first. Equal ones are sorted by the number and age of their goroutines,
/// and then by name, so that the order is always the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Goroutines alive that have reached the least age.
    Live,
    /// The age of the oldest.
    Age,
    /// Births less ends.
    Net,
    /// Births since attach.
    Born,
    /// Stack memory.
    Stack,
}

impl Sort {
    /// The word that users type and read.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Age => "age",
            Self::Net => "net",
            Self::Born => "born",
            Self::Stack => "stack",
        }
    }
}

/// What of a report is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Groups with no goroutine as old as this are counted and not listed.
    pub min_age: Duration,
    /// How many groups are listed; `None` is all.
    pub top: Option<usize>,
    /// Which come first.
    pub sort: Sort,
    /// Whether the runtime's own goroutines are counted and listed.
    pub include_runtime: bool,
    /// How many places where goroutines stand are listed for each group.
    pub places: usize,
}

impl Default for View {
    fn default() -> Self {
        Self {
            min_age: Duration::from_secs(10),
            top: Some(10),
            sort: Sort::Live,
            include_runtime: false,
            places: 5,
        }
    }
}
