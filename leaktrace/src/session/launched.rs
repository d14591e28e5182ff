//! What is different for a program that we have started.

use std::io;
use std::sync::OnceLock;

use anyhow::Context as _;
use leaktrace_core::go::layout::InvalidLayout;
use leaktrace_core::go::program::ProgramError;
use leaktrace_core::trace::budget::Costs;
use tokio::sync::oneshot;

use super::{End, Traced, clock, signals};
use crate::inspect::Inspected;
use crate::process::launch::Launched;

/// What ends a session from outside of it.
#[derive(Default)]
pub(super) struct Ends {
    /// The user wants it to end.
    interrupted: Option<oneshot::Receiver<()>>,
    /// The program is held at its exit.
    leaving: Option<oneshot::Receiver<()>>,
}

impl Ends {
    /// A program that we have started gets the signals itself.
    pub(super) fn of(launched: Option<&mut Launched>) -> io::Result<Self> {
        match launched {
            Some(launched) => Ok(Self { interrupted: None, leaving: launched.leaving() }),
            None => Ok(Self { interrupted: Some(signals::listen()?), leaving: None }),
        }
    }

    /// The next end that is told. Safe to cancel.
    pub(super) async fn next(&mut self) -> End {
        tokio::select! {
            biased;
            () = told(&mut self.interrupted) => End::Asked,
            () = told(&mut self.leaving) => End::Leaving,
        }
    }
}

/// Comes once, when the other side tells; never, if there is none or it has gone.
async fn told(receiver: &mut Option<oneshot::Receiver<()>>) {
    if let Some(waiting) = receiver {
        let result = waiting.await;
        *receiver = None;
        if result.is_ok() {
            return;
        }
    }
    std::future::pending::<()>().await;
}

/// Goes on with memory alone where tracing is refused, and says why.
pub(super) fn without_tracing(error: &anyhow::Error, inspected: &Inspected) -> anyhow::Result<Traced> {
    let notice = format!(
        "nothing is traced: {error:#}; the report is from memory alone, read for the last time while the \
         program was held at its exit"
    );
    tracing::warn!("{notice}");
    let plan = inspected.plan(&[], false)?;
    let attached_at = clock::now();
    Ok(Traced { tracer: None, plan, costs: Costs::NOTHING, attached_at, notices: vec![notice] })
}

/// Whether what the binary says fits the program, once that runs.
#[derive(Debug, Default)]
pub(super) struct Confirmation(OnceLock<Result<(), InvalidLayout>>);

impl Confirmation {
    /// Notes how the comparison came out.
    pub(super) fn set(&self, result: Result<(), InvalidLayout>) {
        // There is one comparison.
        _ = self.0.set(result);
    }

    /// What a user should know of it: nothing, or that the program was too short. An error if it does not fit.
    pub(super) fn result(&self) -> anyhow::Result<Option<String>> {
        match self.0.get() {
            Some(Ok(())) => Ok(None),
            None | Some(Err(InvalidLayout::NotStarted | InvalidLayout::Read(_))) => Ok(Some(
                "the program exited before its memory could be compared with its binary; --at-exit holds it for \
                 that"
                    .to_owned(),
            )),
            Some(Err(invalid)) => Err(ProgramError::Invalid(invalid.clone())).context("cannot report on the program"),
        }
    }
}
