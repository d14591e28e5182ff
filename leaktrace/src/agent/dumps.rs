//! Dumps that somebody waits for: who gets one, and when.

use std::sync::Arc;
use std::time::Duration;

use leaktrace_core::schema::ProcessId;

use super::asks::{self, Taken};
use super::deltas::{self, First};
use super::http::{Refusal, Wish};
use super::main_loop::{Agent, Answer};
use super::roster::Process;
use super::shared::Ask;
use crate::clock;
use crate::inspect::Inspected;
use crate::process::workers::Lost;

impl Agent<'_> {
    /// Takes a dump that was asked for, unless whoever asked has gone.
    pub(super) fn dump(&mut self, ask: Ask) {
        if ask.answer.is_closed() {
            return;
        }
        match self.admit(&ask) {
            // Whoever has gone does not want to know.
            Err(refusal) => _ = ask.answer.send(Err(refusal)),
            Ok(inspected) => self.begin_dump(ask, inspected),
        }
    }

    fn admit(&self, ask: &Ask) -> Result<Inspected, Refusal> {
        let id = ask.id;
        let refusal =
            asks::refuse(&ask.wish).or_else(|| self.too_large(id)).or_else(|| self.why_undumped(id));
        if let Some(refusal) = refusal {
            return Err(refusal);
        }
        let inspected = self.roster.get(id).and_then(Process::inspected).ok_or(Refusal::NoProcess)?;
        if ask.first.as_ref().is_some_and(|first| !first.inspected.is(&inspected)) {
            let why = "the process has become another program since the first of the two dumps";
            return Err(Refusal::Failed(why.to_owned()));
        }
        Ok(inspected)
    }

    fn begin_dump(&mut self, ask: Ask, inspected: Inspected) {
        let Ask { id, wish, answer, first } = ask;
        let (before, turn) = match first {
            Some(First { profile, turn, .. }) => (Some(profile), Some(turn)),
            None => (None, wish.seconds.and_then(|_| self.deltas.begin(id))),
        };
        if wish.seconds.is_some() && turn.is_none() {
            _ = answer.send(Err(Refusal::UnderWay));
            return;
        }
        let (procfs, shared, program) = (self.procfs.clone(), Arc::clone(&self.shared), inspected.clone());
        let told = move |result: Result<Result<Taken, Refusal>, Lost>| {
            let lost = result.as_ref().err().map(Lost::to_string);
            match result.unwrap_or_else(|lost| Err(Refusal::Failed(lost.to_string()))) {
                Ok(Taken::First(profile)) => {
                    let pause = Duration::from_secs(wish.seconds.unwrap_or_default().into());
                    let first = turn.map(|turn| First { profile, inspected: program, turn });
                    deltas::go_on(Ask { id, wish, answer, first }, pause, shared);
                }
                // Whoever has gone does not want to know.
                Ok(Taken::Answer(bytes)) => _ = answer.send(Ok(bytes)),
                Err(refusal) => _ = answer.send(Err(refusal)),
            }
            Answer::Dumped(id, lost)
        };
        let is_begun = self.begin(move || asks::dump(&inspected, &procfs, &wish, before.as_ref()), told);
        self.under_way.dumps += usize::from(is_begun);
    }

    pub(super) fn why_undumped(&self, id: ProcessId) -> Option<Refusal> {
        let why = self.roster.get(id)?.why_undumped(clock::now())?;
        Some(Refusal::Failed(format!("an earlier dump did not return: {why}")))
    }

    pub(super) fn too_large(&self, id: ProcessId) -> Option<Refusal> {
        let most = Wish::MOST_GOROUTINES;
        let goroutines = self.roster.get(id)?.row().goroutines().filter(|count| *count > most)?;
        Some(Refusal::Failed(format!(
            "{goroutines} goroutines exceed the limit of {most} for a dump by the agent: use leaktrace dump --pid {}",
            id.pid
        )))
    }
}
