//! Reads what the eBPF programs say when something happens that never should.

use std::os::fd::BorrowedFd;

use aya::Ebpf;
use aya_log::EbpfLogger;
use log::Log;

use super::sys;

/// The reader's end of the programs' log, if it could be opened. Without it the mishaps are still counted.
pub(super) struct Diagnostics {
    logger: Option<EbpfLogger<&'static dyn Log>>,
}

impl Diagnostics {
    /// Those of the programs in aya's object.
    pub(super) fn of_object(object: &mut Ebpf) -> Self {
        Self::opened(EbpfLogger::init(object))
    }

    /// Those of a program that was loaded without aya. Its log can only be looked up in the list of all programs
    /// of the system, which wants `CAP_SYS_ADMIN`: tracing must not depend on it.
    pub(super) fn of_program(program: Option<BorrowedFd<'_>>) -> Self {
        match program.map(sys::program_id) {
            Some(Ok(id)) => Self::opened(EbpfLogger::init_from_id(id)),
            Some(Err(error)) => Self::unavailable(&error),
            None => Self { logger: None },
        }
    }

    fn opened(logger: Result<EbpfLogger<&'static dyn Log>, aya_log::Error>) -> Self {
        match logger {
            Ok(logger) => Self { logger: Some(logger) },
            Err(error) => Self::unavailable(&error),
        }
    }

    fn unavailable(error: &dyn std::fmt::Display) -> Self {
        tracing::debug!(%error, "the eBPF programs' diagnostics cannot be read; mishaps are only counted");
        Self { logger: None }
    }

    /// Hands on what waits.
    pub(super) fn tell(&mut self) {
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
    }
}
