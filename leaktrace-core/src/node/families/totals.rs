//! Counters that never fall, though processes end.

use std::collections::{BTreeMap, BTreeSet};

use crate::schema::{NodeProcess, ProcessId};

use super::labels::{GroupLabels, SiteLabels};

/// How many goroutines were made and have ended, as far as that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) created: Option<u64>,
    pub(super) ended: Option<u64>,
}

impl Counted {
    fn plus(self, other: Self) -> Self {
        let sum = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (Some(one), Some(other)) => Some(one.saturating_add(other)),
            (one, other) => one.or(other),
        };
        Self { created: sum(self.created, other.created), ended: sum(self.ended, other.ended) }
    }

    /// Whether `later` counts something else: a process that runs another program begins anew.
    fn falls_to(self, later: Self) -> bool {
        let falls = |one: Option<u64>, later: Option<u64>| later.is_some_and(|later| Some(later) < one);
        falls(self.created, later.created) || falls(self.ended, later.ended)
    }

    /// What is known later, or else was known.
    fn then(self, later: Self) -> Self {
        Self { created: later.created.or(self.created), ended: later.ended.or(self.ended) }
    }
}

/// What is kept of processes with the same labels while one of them lives.
#[derive(Clone, Debug, Default)]
struct Kept {
    living: BTreeMap<ProcessId, Counted>,
    /// What those counted that have ended.
    retired: Counted,
    /// The `go` statements that were told apart the last time.
    places: BTreeSet<SiteLabels>,
}

impl Kept {
    fn update(&mut self, processes: &[&NodeProcess]) {
        let before = std::mem::take(&mut self.living);
        for process in processes {
            let now = Counted { created: process.created, ended: process.ended };
            let known = before.get(&process.id).copied().unwrap_or_default();
            let counted = if known.falls_to(now) {
                self.retired = self.retired.plus(known);
                now
            } else {
                known.then(now)
            };
            self.living.insert(process.id, counted);
        }
        let ended = before.iter().filter(|(id, _)| !self.living.contains_key(*id));
        self.retired = ended.fold(self.retired, |sum, (_, counted)| sum.plus(*counted));
    }
}

/// What has to be known from one time to the next: what processes counted that have ended meanwhile, as long as another one
/// with the same labels lives, and which `go` statements were told apart.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    kept: BTreeMap<GroupLabels, Kept>,
}

impl Totals {
    /// These are the processes that live.
    pub(super) fn update(&mut self, groups: &BTreeMap<GroupLabels, Vec<&NodeProcess>>) {
        self.kept.retain(|labels, _| groups.contains_key(labels));
        for (labels, processes) in groups {
            self.kept.entry(labels.clone()).or_default().update(processes);
        }
    }

    /// What all processes with these labels have counted.
    pub(super) fn of(&self, labels: &GroupLabels) -> Counted {
        let kept = self.kept.get(labels);
        kept.map(|kept| kept.living.values().fold(kept.retired, |sum, one| sum.plus(*one)))
            .unwrap_or_default()
    }

    /// The `go` statements that are told apart.
    pub(super) fn places(&mut self, labels: &GroupLabels) -> &mut BTreeSet<SiteLabels> {
        &mut self.kept.entry(labels.clone()).or_default().places
    }
}
