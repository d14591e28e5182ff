//! What belongs together of what is said.

use serde::{Deserialize, Serialize};

use super::{Severity, Verdict};

/// One problem: the verdicts on all `go` statements that it shows at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// The same in each report on a program, and in another run of it: twelve hexadecimal digits.
    pub id: String,
    /// How sure the surest of its verdicts is.
    pub severity: Severity,
    /// The user's own line to look at first, if one is known.
    pub own_line: Option<OwnLine>,
    /// Goroutines alive that it is about.
    pub live: u64,
    /// Births less ends in a minute, as far as known.
    pub net_per_minute: Option<f64>,
    /// The age of the oldest, in nanoseconds.
    pub oldest_age_ns: Option<u64>,
    /// Whether the oldest may be older.
    pub age_is_lower_bound: bool,
    /// The stack memory that they hold, in bytes.
    pub stack_bytes: u64,
    /// What its verdicts have in common.
    pub shared: Vec<Shared>,
    /// The verdicts: first the one with the best evidence, then by size.
    pub verdicts: Vec<Verdict>,
}

/// Incidents, and beside them the verdicts of all in one list: tools that look at one verdict after the other need no more.
pub(super) mod with_verdicts {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{Incident, Verdict};

    #[derive(Serialize)]
    struct Written<'i> {
        incidents: &'i [Incident],
        verdicts: Vec<&'i Verdict>,
    }

    #[derive(Deserialize)]
    struct Read {
        #[serde(default)]
        incidents: Vec<Incident>,
    }

    pub(in crate::schema) fn serialize<S: Serializer>(
        incidents: &[Incident],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let verdicts = incidents.iter().flat_map(|incident| &incident.verdicts).collect();
        Written { incidents, verdicts }.serialize(serializer)
    }

    pub(in crate::schema) fn deserialize<'d, D: Deserializer<'d>>(
        deserializer: D,
    ) -> Result<Vec<Incident>, D::Error> {
        Read::deserialize(deserializer).map(|read| read.incidents)
    }
}

impl Incident {
    /// The verdict with the best evidence, and the others.
    pub fn lead(&self) -> Option<(&Verdict, &[Verdict])> {
        self.verdicts.split_first()
    }
}

/// What verdicts of one incident have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shared {
    /// They wait for one channel or lock, or for what one goroutine holds.
    Object,
    /// One line of the user's led to all of them.
    OwnLine,
    /// The goroutines of one started those of the other, in step.
    Lineage,
}

/// The line of the user's own code that goroutines come from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OwnLine {
    /// The function.
    pub function: String,
    /// The path of the source file.
    pub file: Option<String>,
    /// The line in it.
    pub line: Option<u32>,
    /// How it led to them.
    pub by: Route,
}

/// How a line of code leads to goroutines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// It is the `go` statement.
    GoStatement,
    /// It called what has the `go` statement.
    Caller,
    /// It called what started a goroutine whose descendants they are.
    Ancestor,
    /// The goroutine that started them stands in that call at present; nobody saw it start them.
    ParentStack,
    /// They run it, on behalf of a library.
    Runs,
}

impl OwnLine {
    /// Whether both are one place.
    pub fn is_at(&self, other: &Self) -> bool {
        (&self.function, &self.file, self.line) == (&other.function, &other.file, other.line)
    }
}
