//! Profiles with `seconds=N`: of the difference between two moments.
//!
//! Between its two dumps such a profile takes no thread, only what is kept of the first one.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use leaktrace_core::dump::render::pprof::Kept;
use leaktrace_core::schema::ProcessId;

use super::shared::{Ask, Shared};
use crate::inspect::Inspected;

/// How many are under way at a time.
const MOST: usize = 4;

/// The most that is kept of a first dump, in bytes.
pub(super) const MOST_KEPT: usize = 16 << 20;

/// The first half of such a profile.
pub(super) struct First {
    pub(super) profile: Kept,
    /// The program that it is of.
    pub(super) inspected: Inspected,
    /// It is under way until this is dropped.
    pub(super) turn: Turn,
}

/// All that are under way.
#[derive(Debug, Default)]
pub(super) struct Deltas {
    under_way: BTreeMap<ProcessId, Weak<()>>,
}

/// One that is under way until this is dropped.
#[derive(Debug)]
pub(super) struct Turn(#[expect(dead_code, reason = "only counted")] Arc<()>);

impl Deltas {
    /// Begins one, unless there is one of this process or there are too many.
    pub(super) fn begin(&mut self, id: ProcessId) -> Option<Turn> {
        self.under_way.retain(|_, turn| turn.strong_count() > 0);
        if self.under_way.len() >= MOST || self.under_way.contains_key(&id) {
            return None;
        }
        let turn = Arc::new(());
        self.under_way.insert(id, Arc::downgrade(&turn));
        Some(Turn(turn))
    }
}

/// Asks for the second dump after `pause`, unless whoever wants it goes meanwhile.
pub(super) fn go_on(mut ask: Ask, pause: Duration, shared: Arc<Shared>) {
    tokio::spawn(async move {
        tokio::select! {
            () = ask.answer.closed() => return,
            () = tokio::time::sleep(pause) => {}
        }
        shared.ask(ask).await;
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_a_process_and_a_few_of_all_are_under_way() {
        let id = |pid| ProcessId { pid, start_ticks: 1 };
        let mut deltas = Deltas::default();
        let first = deltas.begin(id(0)).unwrap();
        assert!(deltas.begin(id(0)).is_none());
        let others: Vec<Turn> = (1..100).map_while(|pid| deltas.begin(id(pid))).collect();
        assert_eq!(others.len(), MOST - 1);
        drop(first);
        let again = deltas.begin(id(0));
        assert!(again.is_some() && deltas.begin(id(100)).is_none());
    }
}
