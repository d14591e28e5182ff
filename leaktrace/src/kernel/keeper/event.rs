//! What others than the hub learn of the keeper.

use std::io;

use leaktrace_core::base::num::Ktime;
use leaktrace_core::trace::budget::{Kinds, LeaseEnd};

use super::wire::{Refused, Step};
use crate::kernel::attach::AttachError;
use crate::kernel::hub::TargetId;

/// What the keeper of the probes has told.
#[derive(Debug)]
pub enum KeeperEvent {
    /// These kinds have their probes since then.
    Leased {
        /// Whose.
        id: TargetId,
        /// Since when.
        at: Ktime,
        /// Which.
        kinds: Kinds,
        /// Why others have not.
        refused: Option<AttachError>,
    },
    /// A lease is over, and its probes are being taken away.
    Ended {
        /// Whose.
        id: TargetId,
        /// Since when.
        at: Ktime,
        /// Why.
        end: LeaseEnd,
    },
    /// No probe that was let go is left.
    Detached {
        /// Of whom.
        id: TargetId,
    },
}

/// The same as an error.
pub(in crate::kernel) fn refusal(refused: Refused) -> AttachError {
    let source = io::Error::from_raw_os_error(refused.errno);
    match refused.step {
        Step::Target => AttachError::Taking(source),
        Step::Thread => AttachError::Thread(source),
        Step::Multi(kind) => AttachError::Multi { kind, source },
        Step::Perf(kind, offset) => AttachError::Perf { kind, offset, source },
    }
}
