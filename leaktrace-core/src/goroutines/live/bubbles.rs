//! Test bubbles (`testing/synctest`): which one each goroutine is in.

use super::words::read_structs;
use crate::base::hash::KeyedMap;
use crate::base::memory::Memory;
use crate::base::num::{Avma, Goid};
use crate::go::facts::Bubble;
use crate::go::goroutines::Snapshot;
use crate::go::program::Program;

/// The number that the release prints for the bubble of each goroutine that is in one.
pub(super) fn read(snapshot: &Snapshot, program: &Program<'_>, memory: &dyn Memory) -> KeyedMap<Goid, u64> {
    let mut bubbles = KeyedMap::default();
    let (Some(field), Ok(Some(fact))) = (program.layout.g.bubble, program.facts.bubble) else {
        return bubbles;
    };
    if !has_bubbles(snapshot, program) {
        return bubbles;
    }
    let pointers: Vec<_> = snapshot.goroutines.iter().map(|one| one.g.as_avma().plus(field.into())).collect();
    let mut numbers = KeyedMap::default();
    read_structs(memory, &pointers, 8, |index, words| {
        let Some(bubble) = words.pointer(0).filter(|bubble| !bubble.is_null()) else { return };
        let number = *numbers.entry(bubble).or_insert_with(|| number(fact, bubble, program, memory));
        bubbles.extend(number.map(|number| (snapshot.goroutines[index].goid, number)));
    });
    bubbles
}

/// Whether there are any: the goroutine that made a bubble waits for it to end.
fn has_bubbles(snapshot: &Snapshot, program: &Program<'_>) -> bool {
    let names = &program.wait_reasons;
    let is_root = |number: u8| names.name(number).is_some_and(|name| name.starts_with("synctest.Run"));
    snapshot.goroutines.iter().any(|one| one.status.is_waiting() && is_root(one.wait_reason))
}

/// What the release prints for a bubble.
fn number(fact: Bubble, bubble: Avma, program: &Program<'_>, memory: &dyn Memory) -> Option<u64> {
    match fact {
        Bubble::Id { id } => memory.u64(bubble.plus(id.into())).ok(),
        Bubble::RootGoid { root } => {
            let root = memory.pointer(bubble.plus(root.into())).ok()?;
            memory.u64(root.plus(program.layout.g.goid.into())).ok()
        }
    }
}
