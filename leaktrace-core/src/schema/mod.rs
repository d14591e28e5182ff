//! What a report is made of: plain data, without the code that makes it.
//!
//! The fields are documented for users in `docs/report.md`; a change of their meaning changes [`SCHEMA_VERSION`].
//!
//! **Invariant:** nothing here knows where the data comes from or what it looks like: this wing imports only plain
//! data of `leaktrace-common`, so that everything may import it.

mod black_box;
mod completeness;
mod incident;
mod metrics;
mod node;
mod report;
mod round;
mod source_line;
mod verdict;

pub use black_box::{
    BLACK_BOX_SCHEMA_VERSION, BlackBoxChange, BlackBoxEntry, BlackBoxEvent, BlackBoxLook, BlackBoxName,
    BlackBoxReason, BlackBoxSnapshot, Ending, MemoryOf, MemoryUse, NoBlackBoxName, Sureness,
};
pub use completeness::{Completeness, HeapPasses, Traced};
pub use incident::{Incident, OwnLine, Route, Shared};
pub use metrics::{MetricFamily, MetricKind, MetricSample};
pub use node::{
    Level, NODE_SCHEMA_VERSION, NoLevel, NoProcessId, Node, NodeIncident, NodeProcess, NodeSite, NodeState,
    PodPlace, ProcessId,
};
pub use report::{
    Blocked, Frame, FurtherVerdict, Group, Listing, Location, NotListed, Overhead, Report, SCHEMA_VERSION,
    Shed, TargetInfo, Totals, Window,
};
pub use round::{ProcessReport, ProcessState, Round};
pub use source_line::{Blame, SourceLine};
#[cfg(test)]
pub(crate) use verdict::made_up;
pub use verdict::{Severity, Verdict};
