//! Where goroutines stand, by the last snapshot.

use crate::base::hash::KeyedMap;
use crate::base::num::Goid;
use crate::go::goroutines::{Snapshot, StackId};
use crate::go::symbols::Names;
use crate::schema::Frame;

/// The stacks of goroutines by their ids.
pub(super) struct Standing<'a> {
    snapshot: Option<&'a Snapshot>,
    /// Where in the snapshot each goroutine is, once somebody has asked.
    places: Option<KeyedMap<Goid, usize>>,
}

impl<'a> Standing<'a> {
    pub(super) const fn of(snapshot: Option<&'a Snapshot>) -> Self {
        Self { snapshot, places: None }
    }

    /// The stack of this goroutine; empty if it is not known.
    pub(super) fn stack(&mut self, goid: Goid, names: &mut Names<'a>) -> Vec<Frame> {
        let id = self.stack_id(goid);
        let stack = id.and_then(|id| self.snapshot?.stacks.get(id));
        stack.map(|stack| names.stack(stack.pcs)).unwrap_or_default()
    }

    /// The same without names.
    pub(super) fn stack_id(&mut self, goid: Goid) -> Option<StackId> {
        let snapshot = self.snapshot?;
        let places = self.places.get_or_insert_with(|| {
            snapshot.goroutines.iter().enumerate().map(|(index, one)| (one.goid, index)).collect()
        });
        snapshot.goroutines.get(*places.get(&goid)?)?.stack_id
    }
}
