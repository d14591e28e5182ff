//! What a target is told, and what it wants.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::{Counted, Leases, Part};
use crate::base::num::Ktime;
use crate::go::goroutines::{Snapshot, WalkError};
use crate::go::program::ProgramError;
use crate::go::reach::{Refusal, Streaks};
use crate::go::validate::InvalidLayout;
use crate::judge::detect::Watched;
use crate::schema::Location;
use crate::trace::budget::{Costs, Kinds};
use crate::trace::plan::Reached;
use crate::trace::registry::Suite;

/// Why the watch over a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Its time was over.
    TimeUp,
    /// The user wanted it to, or whoever sends signals.
    Asked,
    /// The target exited.
    Exited,
    /// The target became another program.
    Execed,
    /// The target, which we have started, is held at its exit.
    HeldAtExit,
    /// Reading the target's memory does not return.
    Blocked,
}

impl StopReason {
    /// Whether the target is still there to be looked at once more.
    pub(super) const fn allows_a_look(self) -> bool {
        match self {
            Self::TimeUp | Self::Asked | Self::HeldAtExit => true,
            Self::Exited | Self::Execed | Self::Blocked => false,
        }
    }
}

/// What was found out about a process before anything is attached to it.
#[derive(Debug)]
pub struct Prepared {
    /// What can be traced of what is wanted.
    pub kinds: Kinds,
    /// What that costs a hit.
    pub costs: Costs,
    /// What users should know about every report.
    pub notices: Vec<String>,
    /// The `go` statements that are probed, where no others are.
    pub sites: Vec<Location>,
    /// The tests that the program runs, if it is a test binary.
    pub suite: Option<Suite>,
}

/// What one look at the memory shows.
#[derive(Debug)]
pub struct Look {
    /// The goroutines.
    pub snapshot: Snapshot,
    /// What is known of them with all earlier looks.
    pub watched: Watched,
    /// What the code showed of the probes, where there are to be any.
    pub reached: Option<Reached>,
    /// How long it took.
    pub took: Duration,
}

/// Something that has happened.
#[derive(Debug)]
pub enum Told {
    /// The process is too young to be understood.
    NotYet,
    /// It is understood.
    Prepared(Box<Prepared>),
    /// What can be traced is traced, from `at` on.
    Attached {
        /// A time before the first probe was there.
        at: Ktime,
        /// What had been counted then.
        counted: Counted,
        /// Why nothing is traced after all, in words for the report.
        untraced: Option<String>,
    },
    /// Whether the memory of a program that we have started is what its file promises.
    Confirmed(Result<(), InvalidLayout>),
    /// Records were handed over: so many bytes of them, and there are `more`.
    Drained {
        /// Their size in the ring.
        bytes: usize,
        /// Whether some were left.
        more: bool,
    },
    /// A ring is filling, perhaps this target's.
    Filling,
    /// The look that was wanted.
    Walked(Result<Box<Look>, WalkError>),
    /// The pass through the heap that was wanted.
    HeapPassed {
        /// What nothing refers to, by all passes until now.
        result: Result<Streaks, Refusal>,
        /// How long it took.
        took: Duration,
    },
    /// leaktrace has used the processor to look at it.
    Used {
        /// What for.
        part: Part,
        /// How much.
        ours: Duration,
        /// What the target had used by then in all, where that is known.
        target: Option<Duration>,
    },
    /// Reading the memory does not return; the sentence says where.
    Blocked(String),
    /// Nothing more is recorded; the sentence says why.
    Unrecorded(String),
    /// No probe is left.
    Detached,
    /// The report that was wanted is made.
    Reported,
    /// There is a reason to end.
    Stop(StopReason),
}

/// Something to be done. Each is handed out once.
#[derive(Debug)]
pub enum Want {
    /// Find out about the process; [`Told::NotYet`] or [`Told::Prepared`] answers.
    Prepare,
    /// Attach what [`Prepared::kinds`] says, for as long as these allow it; [`Told::Attached`] answers.
    Attach(Box<Leases>),
    /// Compare the memory with the file; [`Told::Confirmed`] answers.
    Confirm,
    /// Hand over the records of one batch; [`Told::Drained`] answers.
    Drain,
    /// See whether it still runs the same program; [`Told::Stop`] answers if it doesn't.
    Check,
    /// Look at the memory; [`Told::Walked`] answers.
    Walk {
        /// Whether somebody waits for it: a report, or the end.
        urgent: bool,
        /// What nothing refers to, as far as known.
        streaks: Arc<Streaks>,
    },
    /// Somebody waits for the look that was wanted last.
    Hurry,
    /// The look that was told last has been taken in, after every record that it may show the effect of.
    Keep {
        /// Whether there will be no other.
        last: bool,
    },
    /// Find out what nothing refers to; [`Told::HeapPassed`] answers.
    HeapPass(Arc<Streaks>),
    /// Make a report and hand it on; [`Told::Reported`] answers.
    Report {
        /// Whether there will be no other.
        last: bool,
    },
    /// Take all probes away; [`Told::Detached`] answers.
    Detach,
    /// Forget the process.
    Close(StopReason),
}

/// Why a target cannot be watched any longer.
#[derive(Debug, Error)]
pub enum Failure {
    /// Its memory cannot be read, or no longer makes sense.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// It is not what its file promised.
    #[error("cannot report on the program")]
    Invalid(#[source] ProgramError),
}
