//! Which goroutines are the program's and which the runtime's own.
//!
//! Source: Go `src/runtime/traceback.go` (`isSystemGoroutine`), go1.19 to go1.27.

use crate::go::names::WaitReasons;
use crate::go::pclntab::{FuncId, Function};

use super::GoroutineKind;
use super::header::Header;

/// What the function that a goroutine was started with says about whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartKind {
    /// The program's, always.
    User,
    /// The runtime's, always.
    Runtime,
    /// The runtime's, but the program's while it runs one of its finalizers.
    Finalizers,
    /// The runtime's, but the program's while it runs one of its cleanups (Go 1.25+).
    Cleanups,
}

impl StartKind {
    /// The kind of goroutines that `function` starts.
    pub fn of(function: &Function<'_>) -> Self {
        match function.id() {
            FuncId::RuntimeMain | FuncId::Corostart | FuncId::HandleAsyncEvent => Self::User,
            FuncId::RunFinalizers => Self::Finalizers,
            FuncId::RunCleanups => Self::Cleanups,
            _ if function.name().starts_with("runtime.") => Self::Runtime,
            _ => Self::User,
        }
    }
}

/// The facts besides a goroutine's own that the rule asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct KindFacts {
    /// Whether the finalizer goroutine runs a finalizer, where the runtime's own word for it can be read.
    pub(super) finalizer_runs: Option<bool>,
    /// The numbers of "finalizer wait" and "cleanup wait" in this release.
    pub(super) finalizer_wait: Option<u8>,
    pub(super) cleanup_wait: Option<u8>,
}

impl KindFacts {
    pub(super) fn of(reasons: &WaitReasons) -> Self {
        Self {
            finalizer_runs: None,
            finalizer_wait: reasons.number("finalizer wait"),
            cleanup_wait: reasons.number("cleanup wait"),
        }
    }

    /// Whose the goroutine is.
    pub(super) fn kind(self, start: StartKind, header: &Header) -> GoroutineKind {
        let waits_for = |reason| header.status.is_waiting() && Some(header.wait_reason) == reason;
        // Without the runtime's own word, what it waits for says it: for work, or for something else.
        let runs_users_code = match start {
            StartKind::User => true,
            StartKind::Runtime => false,
            StartKind::Finalizers => self.finalizer_runs.unwrap_or_else(|| !waits_for(self.finalizer_wait)),
            StartKind::Cleanups => header.running_cleanups.unwrap_or_else(|| !waits_for(self.cleanup_wait)),
        };
        if runs_users_code { GoroutineKind::User } else { GoroutineKind::Runtime }
    }
}
