//! Whose profile is pushed next.

use std::collections::BTreeMap;

use crate::node::choice::Most;
use crate::schema::{NodeProcess, NodeState, ProcessId};

/// A process of which a profile may be pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushCandidate {
    /// Which one.
    pub id: ProcessId,
    /// How many goroutines it has.
    pub goroutines: u64,
    /// Whether something is suspected of it, or was found.
    pub is_suspect: bool,
}

impl PushCandidate {
    /// A process as it is told of; nothing if it cannot be read.
    pub fn of(process: &NodeProcess) -> Option<Self> {
        let goroutines = process.goroutines.filter(|_| process.state == NodeState::Watched)?;
        let is_suspect =
            !process.incidents.is_empty() || process.sites.iter().any(|site| site.suspect.is_some());
        Some(Self { id: process.id, goroutines, is_suspect })
    }
}

/// When each was pushed last, by the number of the round.
#[derive(Clone, Debug, Default)]
pub struct PushTurns {
    round: u64,
    pushed: BTreeMap<ProcessId, u64>,
}

impl PushTurns {
    /// Those whose turn it is in this round, in that order: suspects in a half of what there is room for, and in the other half
    /// whoever has waited longest. The first of each half is among them even if it alone has more goroutines than that.
    pub fn next(&mut self, candidates: &[PushCandidate], most: Most) -> Vec<ProcessId> {
        self.round += 1;
        let is_there = |id: &ProcessId| candidates.iter().any(|candidate| candidate.id == *id);
        self.pushed.retain(|id, _| is_there(id));
        let mut waiting: Vec<PushCandidate> =
            candidates.iter().copied().filter(|candidate| candidate.goroutines <= most.goroutines).collect();
        waiting.sort_by_key(|candidate| (self.pushed.get(&candidate.id).copied().unwrap_or(0), candidate.id));
        let half = Most { processes: most.processes.div_ceil(2), goroutines: most.goroutines / 2 };
        let suspects = waiting.iter().filter(|candidate| candidate.is_suspect);
        let mut chosen = fill(suspects, half);
        let others = waiting.iter().filter(|candidate| !chosen.contains(&candidate.id));
        let others = fill(others, Most { processes: most.processes - chosen.len(), ..half });
        chosen.extend(others);
        chosen
    }

    /// Its turn was taken.
    pub fn taken(&mut self, id: ProcessId) {
        self.pushed.insert(id, self.round);
    }
}

/// Those that there is room for, and the first of them anyway.
fn fill<'c>(candidates: impl Iterator<Item = &'c PushCandidate>, most: Most) -> Vec<ProcessId> {
    let (mut chosen, mut goroutines) = (Vec::new(), 0_u64);
    for candidate in candidates {
        if chosen.len() >= most.processes {
            break;
        }
        let sum = goroutines.saturating_add(candidate.goroutines);
        if chosen.is_empty() || sum <= most.goroutines {
            goroutines = sum;
            chosen.push(candidate.id);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::testing::process;

    const MOST: Most = Most { processes: 4, goroutines: 100 };

    fn candidate(pid: u32, goroutines: u64, is_suspect: bool) -> PushCandidate {
        PushCandidate { id: process(pid).id, goroutines, is_suspect }
    }

    fn round(turns: &mut PushTurns, candidates: &[PushCandidate]) -> Vec<u32> {
        let chosen = turns.next(candidates, MOST);
        for id in &chosen {
            turns.taken(*id);
        }
        chosen.into_iter().map(|id| id.pid).collect()
    }

    #[test]
    fn suspects_come_first_and_others_in_turn() {
        let all: Vec<_> = (1..=6).map(|pid| candidate(pid, 10, pid == 6)).collect();
        let mut turns = PushTurns::default();
        assert_eq!(round(&mut turns, &all), [6, 1, 2, 3]);
        assert_eq!(round(&mut turns, &all), [6, 4, 5, 1]);
        assert_eq!(round(&mut turns, &all[..5]), [2, 3, 1, 4]);
    }

    #[test]
    fn suspects_leave_room_for_others_and_large_ones_for_small_ones() {
        let all = [
            candidate(1, 40, true),
            candidate(2, 20, true),
            candidate(3, 5, true),
            candidate(4, 95, false),
            candidate(5, 10, false),
            candidate(6, 101, true),
        ];
        let mut turns = PushTurns::default();
        // With 1, there is no room for 2 in its half; 4 is too much beside 2, and the first of its half later.
        assert_eq!(round(&mut turns, &all), [1, 3, 2, 5]);
        assert_eq!(round(&mut turns, &all), [1, 3, 4]);
        assert_eq!(round(&mut turns, &all), [2, 3, 5, 1]);
    }

    #[test]
    fn a_turn_that_was_not_taken_comes_again() {
        let all: Vec<_> = (1..=8).map(|pid| candidate(pid, 1, false)).collect();
        let mut turns = PushTurns::default();
        let chosen = turns.next(&all, MOST);
        turns.taken(chosen[0]);
        assert_eq!(round(&mut turns, &all), [2, 3, 4, 5]);
    }

    #[test]
    fn whoever_cannot_be_read_is_no_candidate() {
        let refused = NodeProcess { state: NodeState::Refused, ..process(1) };
        assert_eq!(PushCandidate::of(&refused), None);
        let watched = PushCandidate::of(&process(1)).unwrap();
        assert_eq!((watched.goroutines, watched.is_suspect), (1_234, false));
    }
}
