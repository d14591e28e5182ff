//! All Go processes of a node, each in little room: what it counts, which of its `go` statements grow, and when it is
//! read next.
//!
//! **Invariant:** a suspicion is never called a verdict; whatever a process says of itself, its row is bounded, and costs
//! its neighbours nothing.

mod ages;
pub mod black_box;
mod cgroup;
mod choice;
mod families;
mod floors;
mod identity;
mod level;
mod memory;
mod newcomers;
mod pace;
mod pods;
mod process_event;
pub mod push;
mod read_queue;
mod row;
mod scope;
mod sites;
mod suspicion;
#[cfg(test)]
mod testing;
mod turns;

pub use ages::{Ages, OLD};
pub use cgroup::Place;
pub use choice::{LeftOut, Most, Wanted, choose};
pub use families::{BlackBoxFigures, Bounds, OwnFigures, Totals, families, metric_names};
pub use level::Probed;
pub use memory::MemoryLimit;
pub use newcomers::Newcomers;
pub use pace::{Load, Pace, Read, for_target};
pub use pods::{MAX_CONTAINERS, Pods, PodsError};
pub use process_event::{Happened, ProcessEvent, ProcessEventError};
pub use read_queue::{NextRead, ReadQueue};
pub use row::Row;
pub use scope::{Scope, Sides, opts_out};
pub use sites::{MAX_SITES, SiteRow, SiteTable};
pub use suspicion::{Suspicion, SuspicionKind, suspect};
pub use turns::{Candidate, NotNow, Turns, Why};

pub use crate::go::counts::Counts;
