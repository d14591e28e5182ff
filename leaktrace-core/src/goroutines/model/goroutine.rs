//! One goroutine of a dump.

use super::ids::{BlockedId, LabelsId, LocationId, StackId, StrId};
use super::values::Arguments;
use crate::base::num::Goid;
use crate::go::names::Status;

/// One goroutine. Strings, stacks and whatever else repeats are in the dump's tables.
#[expect(clippy::struct_excessive_bools, reason = "facts that do not exclude each other")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DumpGoroutine {
    /// Its id.
    pub goid: Goid,
    /// Who started it; unknown before Go 1.21 and for the first goroutine.
    pub parent: Option<Goid>,
    /// For how long it has waited, as the runtime reckons it: from the last garbage collection that found it
    /// running, so it may be unknown for a while and then too long.
    pub waiting_ns: Option<u64>,
    /// How long ago it was started, where somebody watched.
    pub age_ns: Option<u64>,
    /// The test bubble that it is in: the bubble's number from Go 1.25 on, the root's goid in Go 1.24.
    pub bubble: Option<u64>,
    /// The size of its stack.
    pub stack_bytes: u64,
    /// Where it stands, innermost first; empty if that is not known. See `start_only` for one that executes.
    pub stack: StackId,
    /// The `go` statement that started it.
    pub created_by: Option<LocationId>,
    /// The stack of whoever executed that statement, where somebody watched.
    pub creation_stack: Option<StackId>,
    /// What it waits for, in the runtime's words; `None` if it does not wait.
    pub wait_reason: Option<StrId>,
    /// Its profiler labels.
    pub labels: Option<LabelsId>,
    /// What it is blocked on, where that could be read.
    pub blocked_on: Option<BlockedId>,
    /// Its frames' arguments, where they are known.
    pub arguments: Option<Arguments>,
    /// Its state.
    pub status: Status,
    /// Whether the garbage collector was scanning its stack.
    pub scanning: bool,
    /// Whether it is locked to its thread.
    pub locked: bool,
    /// Whether `age_ns` is a lower bound, because it was there before anybody watched.
    pub age_is_lower_bound: bool,
    /// Whether it moved each time that its stack was read, so that the stack is not known.
    pub moved: bool,
    /// Whether it is one of the runtime's own.
    pub system: bool,
    /// Whether frames are missing at the outer end of its stack.
    pub cut: bool,
    /// Whether its stack is only the outer end: the function that it was started with. That is all that is known of one
    /// that was executing or moved.
    pub start_only: bool,
}

// A million of them have to fit beside their tables.
const _: () = assert!(size_of::<DumpGoroutine>() <= 128);

impl DumpGoroutine {
    /// Whether a list has it that has the runtime's own only with `include_runtime`.
    pub(crate) const fn is_listed(&self, include_runtime: bool) -> bool {
        include_runtime || !self.system
    }

    /// A goroutine of which nothing is known but its id, its state and where it stands.
    pub fn new(goid: Goid, status: Status, stack: StackId) -> Self {
        Self {
            goid,
            parent: None,
            waiting_ns: None,
            age_ns: None,
            bubble: None,
            stack_bytes: 0,
            stack,
            created_by: None,
            creation_stack: None,
            wait_reason: None,
            labels: None,
            blocked_on: None,
            arguments: None,
            status,
            scanning: false,
            locked: false,
            age_is_lower_bound: false,
            moved: false,
            system: false,
            cut: false,
            start_only: false,
        }
    }

    /// Whether it was executing, so that where it stood is not known for sure.
    pub fn is_running(&self) -> bool {
        self.status == Status::Running
    }

    /// Whether the runtime itself has found it to be leaked.
    pub fn is_leaked(&self) -> bool {
        self.status == Status::Leaked
    }

    /// The longest time for which it is known to have waited or lived, in nanoseconds.
    pub(crate) fn known_age_ns(&self) -> Option<u64> {
        self.waiting_ns.max(self.age_ns)
    }
}
